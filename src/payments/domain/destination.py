"""Where a merchant wants to hear of events otherwise than by webhooks: a queue, a topic or a bus of AWS, a mailbox, or the buyers' own mailboxes."""

import re
from enum import StrEnum

from payments.domain.errors import InvalidRequest
from payments.domain.webhook_endpoint import FIFO, WebhookEndpoint

RECEIPTS = "receipts:"
RECEIPT_EVENTS = ("charge.captured", "charge.refunded", "charge.succeeded", "charge.updated")
"""Those that a buyer may be written to about."""
_ACCOUNT = r"[0-9]{12}"
_REGION = r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}"
_ARN = re.compile(
    rf"arn:(aws|aws-cn|aws-us-gov):(?P<service>sqs|sns|events):(?P<region>{_REGION}):(?P<account>{_ACCOUNT}):(?P<name>[A-Za-z0-9._/-]{{1,256}})"
)
_BUS = "event-bus/"


class ChannelType(StrEnum):
    """How events are brought to an endpoint; the values are what the API calls them."""

    WEBHOOK = "webhook"
    SQS = "sqs"
    SNS = "sns"
    EVENTBRIDGE = "eventbridge"
    EMAIL = "email"
    """Somebody who looks after the merchant's payments is told of an event."""
    RECEIPTS = "receipts"
    """Buyers get receipts of what they paid, and got back."""


QUEUES = (ChannelType.SQS, ChannelType.SNS, ChannelType.EVENTBRIDGE)
_BY_SERVICE = {"sqs": ChannelType.SQS, "sns": ChannelType.SNS, "events": ChannelType.EVENTBRIDGE}


def channel_of(url: str) -> ChannelType:
    """Return how events are brought to an address: its scheme says it."""
    match url.split(":"):
        case ["arn", _, service, *_]:
            return _BY_SERVICE.get(service, ChannelType.WEBHOOK)
        case ["mailto", *_]:
            return ChannelType.EMAIL
        case ["receipts", *_]:
            return ChannelType.RECEIPTS
        case _:
            return ChannelType.WEBHOOK


class Destination(WebhookEndpoint, frozen=True, kw_only=True, omit_defaults=True):
    """A receiver of events that isn't a URL of its merchant's; its `url` is `arn:…`, `mailto:…` or `receipts:`. It has no signing secret."""

    OBJECT = "notification.destination"

    @property
    def channel(self) -> ChannelType:
        """How events are brought to it."""
        return channel_of(self.url)

    @property
    def receipts(self) -> bool:
        """Whether it is the buyers who are written to."""
        return self.channel is ChannelType.RECEIPTS


def check_arn(channel: ChannelType, arn: str) -> str:
    """Return the address of a queue, topic or bus; raises `InvalidRequest` for an ARN of anything else."""
    found = _ARN.fullmatch(arn)
    if found is None or _BY_SERVICE[found["service"]] is not channel:
        raise InvalidRequest(f"Invalid arn: it is not the ARN of what a destination of type {channel} is.", param="arn")
    name = found["name"]
    if channel is ChannelType.EVENTBRIDGE:
        if not name.startswith(_BUS) or len(name) == len(_BUS):
            raise InvalidRequest("Invalid arn: an event bus's ends in event-bus/NAME.", param="arn")
    elif not re.fullmatch(rf"[A-Za-z0-9_-]+({re.escape(FIFO)})?", name):
        raise InvalidRequest("Invalid arn: names of queues and topics are letters, digits, hyphens and underscores.", param="arn")
    return arn
