"""The channels of a service, by its environment."""

import contextlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from payments.domain.destination import ChannelType
from payments.notification_service.channels.channel import Channels
from payments.notification_service.channels.email import Email
from payments.notification_service.channels.eventbridge import EventBridge
from payments.notification_service.channels.queues import Allowed, Queues
from payments.notification_service.channels.receipts import Receipts
from payments.notification_service.channels.sns import Sns
from payments.notification_service.channels.sqs import Sqs
from payments.notification_service.channels.webhook import Send, Webhook
from payments.notification_service.mail.server import Mailer, MailServer
from payments.runtime.aws_role import AwsAccess, AwsCaller
from payments.runtime.clock import Clock
from payments.runtime.logging import Logger
from payments.runtime.seal import Sealer
from payments.runtime.topology import QUEUES_VARIABLE
from payments.storage.database import Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSettings:
    """What the environment says of channels beside webhooks."""

    allowed: Allowed
    """`TAP_QUEUES`: the ARNs of queues, topics and buses that API keys may name, with `*` for anything and blanks between them; unset: none."""
    access: AwsAccess
    mail: MailServer | None
    """`TAP_SMTP_URL`, `TAP_MAIL_FROM` and `TAP_MAIL_PER_SECOND`; unset: no mail is sent."""

    @staticmethod
    def from_environment(environment: Mapping[str, str]) -> "ChannelSettings":
        """Read them; raises `SettingsError`."""
        return ChannelSettings(
            allowed=Allowed(tuple(environment.get(QUEUES_VARIABLE, "").split())),
            access=AwsAccess.from_environment(environment),
            mail=MailServer.from_environment(environment),
        )


@asynccontextmanager
async def open_channels(
    settings: ChannelSettings, *, send: Send, pool: Pool, sealer: Sealer, public_url: str, clock: Clock, log: Logger
) -> AsyncGenerator[Channels]:
    """Open all of them; leaving the context closes what they keep."""
    caller = AwsCaller(settings.access, clock)
    queues, mailer = Queues(caller, settings.allowed, log), None if settings.mail is None else Mailer(settings.mail)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(caller.close)
        yield {
            ChannelType.WEBHOOK: Webhook(send, sealer, clock),
            ChannelType.SQS: Sqs(queues),
            ChannelType.SNS: Sns(queues),
            ChannelType.EVENTBRIDGE: EventBridge(queues),
            ChannelType.EMAIL: Email(pool, public_url, mailer),
            ChannelType.RECEIPTS: Receipts(pool, sealer, public_url, mailer),
        }
