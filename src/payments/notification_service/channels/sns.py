"""Topics of Amazon SNS, whose API is the older query protocol. Source: SNS API reference, "Publish"."""

from dataclasses import dataclass
from urllib.parse import urlencode

from payments.domain.webhook_endpoint import FIFO
from payments.notification_service.channels.channel import Answered, Message
from payments.notification_service.channels.queues import MESSAGE_BYTES_MAX, Queues, answered, text_of, too_large
from payments.notification_service.channels.sqs import attributes, group_of

_VERSION = "2010-03-31"
_ATTRIBUTES_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Sns:
    """Publishes messages."""

    queues: Queues

    async def deliver(self, message: Message) -> Answered:
        """Publish one."""
        arn, event = message.due.endpoint.url, message.due.event
        text = text_of(message.body)
        if len(text.encode()) + _ATTRIBUTES_BYTES > MESSAGE_BYTES_MAX:
            return too_large()
        order = {"Action": "Publish", "Version": _VERSION, "TopicArn": arn, "Message": text}
        for number, (key, value) in enumerate(attributes(message).items(), 1):
            entry = f"MessageAttributes.entry.{number}"
            order |= {f"{entry}.Name": key, f"{entry}.Value.DataType": "String", f"{entry}.Value.StringValue": value}
        if arn.endswith(FIFO):
            order |= {"MessageGroupId": group_of(event), "MessageDeduplicationId": event.id}
        headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
        came = await self.queues.post(arn, headers, urlencode(order).encode())
        return came if isinstance(came, Answered) else answered(came.status, came.code)
