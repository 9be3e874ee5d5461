"""The lifecycle events of an ECS deployment, in the order in which CodeDeploy works on them.

AWS: "AppSpec 'hooks' section for an Amazon ECS deployment".
"""

from dataclasses import dataclass
from enum import StrEnum


class Event(StrEnum):
    """A step of a deployment."""

    BEFORE_INSTALL = "BeforeInstall"
    INSTALL = "Install"
    AFTER_INSTALL = "AfterInstall"
    ALLOW_TEST_TRAFFIC = "AllowTestTraffic"
    AFTER_ALLOW_TEST_TRAFFIC = "AfterAllowTestTraffic"
    BEFORE_ALLOW_TRAFFIC = "BeforeAllowTraffic"
    ALLOW_TRAFFIC = "AllowTraffic"
    AFTER_ALLOW_TRAFFIC = "AfterAllowTraffic"


EVENTS: tuple[Event, ...] = tuple(Event)
HOOK_EVENTS: frozenset[Event] = frozenset(EVENTS) - {Event.INSTALL, Event.ALLOW_TEST_TRAFFIC, Event.ALLOW_TRAFFIC}
"""Those for which an AppSpec may name a Lambda function; CodeDeploy keeps the others to itself."""


class EventStatus(StrEnum):
    """What became of an event."""

    PENDING = "Pending"
    IN_PROGRESS = "InProgress"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    SKIPPED = "Skipped"


@dataclass(slots=True)
class EventRecord:
    """An event as GetDeploymentTarget tells it; times are the clock's seconds."""

    event: Event
    status: EventStatus = EventStatus.PENDING
    started_at: float | None = None
    ended_at: float | None = None
    message: str = ""
