"""Event buses of Amazon EventBridge: the event is the detail, its type the detail's type. Source: EventBridge API reference, "PutEvents"."""

from dataclasses import dataclass

import msgspec
from msgspec import Struct

from payments.notification_service.channels.channel import Answered, Message
from payments.notification_service.channels.queues import MESSAGE_BYTES_MAX, Queues, answered, text_of, too_large

SOURCE = "tap"
_ENTRY_BYTES = 2048
"""What an entry has beside its detail, at most."""


class _Entry(Struct, rename="pascal"):
    error_code: str | None = None


class _Put(Struct, rename="pascal"):
    entries: list[_Entry] = []


@dataclass(frozen=True, slots=True)
class EventBridge:
    """Puts events on a bus."""

    queues: Queues

    async def deliver(self, message: Message) -> Answered:
        """Put one."""
        arn, event = message.due.endpoint.url, message.due.event
        detail = text_of(message.body)
        if len(detail.encode()) + _ENTRY_BYTES > MESSAGE_BYTES_MAX:
            return too_large()
        entry = {
            "EventBusName": arn,
            "Source": SOURCE,
            "DetailType": event.type,
            "Detail": detail,
            "Resources": [f"merchant/{event.merchant_id}/{'live' if event.livemode else 'test'}"],
        }
        headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": "AWSEvents.PutEvents"}
        came = await self.queues.post(arn, headers, msgspec.json.encode({"Entries": [entry]}))
        if isinstance(came, Answered):
            return came
        return answered(came.status, came.code or _refusal(came.body))


def _refusal(body: bytes) -> str:
    """Return the error of the one entry: the answer to the call itself is 200 all the same."""
    try:
        entries = msgspec.json.decode(body, type=_Put).entries
    except msgspec.MsgspecError:
        return "InternalFailure"
    return (entries[0].error_code or "") if entries else "InternalFailure"
