"""A copy of notification-service, without its API."""

import io
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass

import msgspec

from payments.domain.destination import ChannelType
from payments.domain.event import Origin, event_of
from payments.domain.webhook_endpoint import ORDERING, PER_OBJECT, WebhookEndpoint
from payments.notification_service.channels.channel import Channels
from payments.notification_service.channels.webhook import Send, Webhook, secret_context
from payments.notification_service.deliverer import LEASE_SECONDS, Deliverer
from payments.notification_service.sender import Resolver, Sender
from payments.notification_service.signing import new_secret
from payments.runtime.ids import new_id
from payments.runtime.logging import Logger
from payments.runtime.seal import Sealer
from payments.storage.database import Connection, Pool, open_pool
from payments.storage.deliveries import Deliveries
from payments.storage.events import append_events
from payments.storage.group_commit import GroupCommit
from payments.wire.kinds import WEBHOOK_ENDPOINT
from tests.integration.builders import FakeClock, Key, payment


@dataclass
class Notifier:
    pool: Pool
    deliverer: Deliverer
    sealer: Sealer
    log: io.BytesIO

    async def endpoint(self, url: str, *events: str, merchant_id: int = 1, enabled: bool = True, ordered: bool = False) -> str:
        """Make an endpoint, and return its secret."""
        made = WebhookEndpoint(
            id=new_id("we"),
            merchant_id=merchant_id,
            livemode=False,
            created=0,
            url=url,
            enabled_events=list(events) or ["*"],
            enabled=enabled,
            metadata={ORDERING: PER_OBJECT} if ordered else {},
        )
        secret = new_secret()
        sealed = self.sealer.seal(secret.encode(), secret_context(made))
        await WEBHOOK_ENDPOINT.noun.insert(self.pool, made, sealed_secret=sealed)
        return secret

    def send_by(self, send: Send) -> None:
        """Send webhooks by this from now on."""
        webhook = Webhook(send, self.sealer, FakeClock())
        self.deliverer._channels = {**self.deliverer._channels, ChannelType.WEBHOOK: webhook}

    async def deliver(self) -> None:
        """Deliver all that is due now."""
        while await self.deliverer.deliver_due():
            await self.deliverer.drain()

    async def begin_all(self) -> None:
        """Begin all that may begin."""
        while await self.deliverer.deliver_due():
            pass

    async def make_due(self) -> None:
        # The notifier may be recording what became of some, and an update of all locks them in another order.
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute("LOCK TABLE notifications.deliveries IN SHARE ROW EXCLUSIVE MODE")
            await connection.execute("UPDATE notifications.deliveries SET next_attempt_at = now() WHERE status = 'pending' AND NOT held")

    async def statuses(self) -> list[tuple[str, int]]:
        rows = await self.pool.fetch("SELECT status, attempts FROM notifications.deliveries ORDER BY event_id, endpoint_id")
        return [(row["status"], row["attempts"]) for row in rows]


@asynccontextmanager
async def notifier_on(
    database_url: str, *, allow_private: bool = True, send: Send | None = None, channels: Channels | None = None
) -> AsyncGenerator[Notifier]:
    """Send really, unless there is another `send`; webhooks, unless there are other `channels` beside them."""
    async with open_pool(database_url, role="tap_notification_service", name="test") as pool:
        # No time limit: the receivers run on this very loop, and it may be slow. Nobody is trusted: they speak no TLS.
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        with (
            closing(Resolver()) as resolver,
            closing(Sender(resolver.resolve, allow_private=allow_private, tls=tls, seconds_max=None)) as sender,
        ):
            deliveries, sealer, log, clock = Deliveries(pool, lease_seconds=LEASE_SECONDS), Sealer(Key()), io.BytesIO(), FakeClock()
            deliverer = Deliverer(
                deliveries=deliveries,
                results=GroupCommit(deliveries.record, name="test"),
                pool=pool,
                channels={ChannelType.WEBHOOK: Webhook(send or sender.post, sealer, clock), **(channels or {})},
                clock=clock,
                log=Logger("test", log),
            )
            yield Notifier(pool, deliverer, sealer, log)


async def tell(connection: Connection, event_type: str = "payment_intent.created", *, merchant_id: int = 1, count: int = 1) -> None:
    """Let something happen to a merchant's payment."""
    events = [
        event_of(new_id("evt"), event_type, payment(merchant_id)[1].intent, created=1_800_000_000, origin=Origin()) for _ in range(count)
    ]
    await append_events(connection, events)


async def tell_versions(connection: Connection, versions: int, *, merchant_id: int = 1) -> str:
    """Let a payment change several times, each in a commit of its own; returns its id."""
    intent = payment(merchant_id)[1].intent
    for version in range(1, versions + 1):
        told = msgspec.structs.replace(intent, version=version)
        await append_events(
            connection, [event_of(new_id("evt"), "payment_intent.amount_capturable_updated", told, created=1_800_000_000, origin=Origin())]
        )
    return intent.id
