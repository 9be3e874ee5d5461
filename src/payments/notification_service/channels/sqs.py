"""Queues of Amazon SQS: an event is a message, in a FIFO queue of its object's group. Source: SQS API reference, "SendMessage"."""

import hashlib
import re
from dataclasses import dataclass
from typing import Any

import msgspec

from payments.domain.event import Event
from payments.domain.webhook_endpoint import FIFO
from payments.notification_service.channels.channel import Answered, Message
from payments.notification_service.channels.queues import MESSAGE_BYTES_MAX, Queues, answered, text_of, too_large

_GROUP = re.compile(r"[!-~]{1,128}")
_ATTRIBUTES_BYTES = 1024
"""What the attributes take at most."""


@dataclass(frozen=True, slots=True)
class Sqs:
    """Sends messages."""

    queues: Queues

    async def deliver(self, message: Message) -> Answered:
        """Send one."""
        arn, event = message.due.endpoint.url, message.due.event
        text = text_of(message.body)
        if len(text.encode()) + _ATTRIBUTES_BYTES > MESSAGE_BYTES_MAX:
            return too_large()
        *_, account, name = arn.split(":")
        order: dict[str, Any] = {
            "QueueUrl": f"{self.queues.caller.access.endpoint(arn)}/{account}/{name}",
            "MessageBody": text,
            "MessageAttributes": {key: {"DataType": "String", "StringValue": value} for key, value in attributes(message).items()},
        }
        if name.endswith(FIFO):
            order |= {"MessageGroupId": group_of(event), "MessageDeduplicationId": event.id}
        headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "AmazonSQS.SendMessage"}
        came = await self.queues.post(arn, headers, msgspec.json.encode(order))
        return came if isinstance(came, Answered) else answered(came.status, came.code)


def attributes(message: Message) -> dict[str, str]:
    """Return what a message says of its event beside it, so that a receiver may choose by it. Whose event it is can't be said by anybody else."""
    event = message.due.event
    return {
        "tap-event": event.id,
        "tap-type": event.type,
        "tap-merchant": str(event.merchant_id),
        "tap-livemode": "true" if event.livemode else "false",
        "tap-object-sequence": str(event.object_version),
    }


def group_of(event: Event) -> str:
    """Return the group of an event: its object. An id that a merchant chose may have characters that no group has."""
    return event.object_id if _GROUP.fullmatch(event.object_id) else hashlib.sha256(event.object_id.encode()).hexdigest()
