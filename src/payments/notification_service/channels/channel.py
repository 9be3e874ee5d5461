"""What brings an event to an endpoint. Claiming, retries, dead letters, replays, shares and the log are the same for all kinds of endpoint.

A kind is a file beside this one, with a class that has `deliver`, and a line in the composition root: docs/adr/0039.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from payments.domain.destination import ChannelType
from payments.notification_service.connections import Answer
from payments.storage.deliveries import DueDelivery


class Verdict(StrEnum):
    """What becomes of a delivery after an attempt."""

    DELIVERED = "delivered"
    LATER = "later"
    """It is tried again, as long as the schedule lasts."""
    REFUSED = "refused"
    """It will never be taken: a dead letter."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a channel is given."""

    due: DueDelivery
    body: bytes
    """The event as JSON, in the version that the endpoint gets its events in."""
    attempt: int
    """From 1."""
    at: float
    """Unix seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What it answers."""

    verdict: Verdict
    answer: Answer
    """What the log says of it."""
    asked_seconds: float | None = None
    """How long the receiver wants to be left alone."""
    felt: int | None = None
    """The HTTP status that says the same of how busy the receiver is, which its share goes by; None: it didn't answer in time."""
    says_of_endpoint: bool = True
    """Whether it says anything of the endpoint: what failed on our side doesn't, nor does one address among many."""
    is_gone: bool = False
    """The receiver wants nothing more."""
    sent: Mapping[str, str] | None = field(default=None, repr=False)
    """Header fields of a request to a merchant's own URL, which the log shows; None: there was no such request."""


class Channel(Protocol):
    """Brings events to one kind of endpoint."""

    async def deliver(self, message: Message) -> Answered:
        """Bring one, within `SEND_SECONDS_MAX`. What it raises is an attempt that failed, and says nothing of the endpoint."""
        ...


Channels = Mapping[ChannelType, Channel]
"""The kinds of endpoint that this service delivers to."""


def failed(failure: BaseException | str) -> Answered:
    """Answer for what went wrong on our side."""
    error = failure if isinstance(failure, str) else type(failure).__name__
    return Answered(verdict=Verdict.LATER, answer=Answer(error=error), says_of_endpoint=False)
