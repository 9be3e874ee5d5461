"""The web socket of Stripe's command line, spoken to as it speaks: nothing is missed, what isn't acknowledged comes again, and strangers hear nothing."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
import stripe
import uvicorn
from starlette.routing import Router
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from payments.domain.principal import KeyKind
from payments.notification_service.cli_socket import CliSocket
from payments.notification_service.listeners import Listeners
from payments.notification_service.request_tails import RequestTails
from payments.runtime.background import Background
from payments.runtime.clock import SystemClock
from payments.runtime.keyring import KeyRing
from payments.runtime.logging import Logger
from payments.runtime.seal import Sealer
from payments.storage.database import Connection, Pool, open_pool
from payments.storage.keys import create_key, create_merchant
from payments.storage.outbox import dispatch
from payments.storage.streams import Streams
from payments.storage.stripe_cli import TAILS_CHANNEL, position_of
from payments.storage.wakeup import Waker
from payments.wire.cli_session import REQUEST_LOGS, WEBHOOKS, Session, opened, sealed, signing_secret
from payments.wire.lists import Lists
from payments.wire.request_log import RequestLog
from payments.wire.serve import Binding, uvicorn_config
from payments.wire.socket_path import SOCKET_PATH
from payments.wire.websocket import BoundedWebSocketProtocol
from tests.integration.builders import Key
from tests.integration.notifier import tell
from tests.support.waiting import eventually

CLOCK = SystemClock()
PROTOCOL = Subprotocol("stripecli-devproxy-v1")


@dataclass
class Copy:
    """A copy of the service, as far as this goes."""

    port: int
    pool: Pool
    listeners: Listeners
    tails: RequestTails
    log: RequestLog
    sealer: Sealer
    session: Session

    def connect(self, session: Session | None = None, *, websocket_id: str | None = None) -> connect:
        asked = session or self.session
        named = sealed(asked, self.sealer) if websocket_id is None else websocket_id
        url = f"ws://127.0.0.1:{self.port}{SOCKET_PATH}?websocket_feature={asked.feature}"
        return connect(url, additional_headers={"Websocket-Id": named}, subprotocols=[PROTOCOL], compression=None)

    async def dispatch(self) -> None:
        await dispatch(self.pool, 1_000)
        self.listeners.notice()


@asynccontextmanager
async def copy_on(database_url: str, session: Session) -> AsyncGenerator[Copy]:
    async with open_pool(database_url, role="tap_notification_service", name="cli") as pool:
        streams, sealer, log = Streams(pool), Sealer(Key()), Logger("test")
        listeners, request_log = Listeners(streams, pool), RequestLog(pool)
        tails = RequestTails(pool, streams, CLOCK, Waker(pool, TAILS_CHANNEL))
        socket = CliSocket(
            listeners=listeners, tails=tails, streams=streams, lists=Lists(pool), pool=pool, sealer=sealer, clock=CLOCK, log=log
        )
        binding = Binding("127.0.0.1", 0, websockets=BoundedWebSocketProtocol)
        server = uvicorn.Server(uvicorn_config(Router(socket.routes()), binding))
        background = Background(log)
        for name, work in (("streams", listeners.run), ("log", request_log.run), ("tails", tails.run)):
            background.keep(name, work)
        serving = asyncio.ensure_future(server.serve())

        async def started() -> bool:
            return server.started

        await eventually(started, "it serves")
        try:
            yield Copy(server.servers[0].sockets[0].getsockname()[1], pool, listeners, tails, request_log, sealer, session)
        finally:
            server.should_exit = True
            await serving
            await background.stop()


@dataclass
class Heard:
    """As the command line does with what it hears: it acknowledges, unless it is told not to."""

    connection: ClientConnection
    acknowledges: bool = True
    events: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    async def hear(self, count: int) -> list[str]:
        """The ids of so many events in the account's version; the same in the newest is passed over."""
        ids: list[str] = []
        for _ in range(2 * count):
            message = json.loads(await self.connection.recv())
            event = json.loads(message["event_payload"])
            if self.acknowledges:
                ack = {"type": "event_ack", "event_id": event["id"], "webhook_conversation_id": message["webhook_conversation_id"]}
                await self.connection.send(json.dumps(ack | {"webhook_id": message["webhook_id"]}))
            if message["endpoint"]["api_version"] is None:
                self.events.append(message)
                ids.append(event["id"])
        return ids


@pytest.fixture
async def session(connection: Connection) -> Session:
    merchant_id = await create_merchant(connection, "Shop")
    key = await create_key(connection, merchant_id, livemode=False, kind=KeyKind.SECRET, pepper=KeyRing.of(b"p" * 32))
    return Session(
        id="clis_1",
        merchant_id=merchant_id,
        livemode=False,
        account_id="acct_1",
        key_id=key.id,
        api_version="2026-10-28.endive",
        feature=WEBHOOKS,
        filters="",
        expires=int(CLOCK.now()) + 3_600,
    )


async def test_a_session_goes_on_where_it_has_acknowledged(database_url: str, connection: Connection, session: Session) -> None:
    merchant = session.merchant_id
    async with copy_on(database_url, session) as copy, copy_on(database_url, session) as other:
        async with copy.connect() as socket:
            assert socket.subprotocol == PROTOCOL
            await tell(connection, merchant_id=merchant, count=3)
            await tell(connection, merchant_id=merchant + 1)
            await copy.dispatch()
            heard = Heard(socket)
            first = await heard.hear(3)
            message = heard.events[0]
            secret = signing_secret(session.key_id, copy.sealer)
            signature = message["http_headers"]["Stripe-Signature"]
            assert stripe.Webhook.construct_event(message["event_payload"], signature, secret).id == first[0]
            await socket.send("nonsense")
            await socket.send(json.dumps({"type": "webhook_response", "status": 200, "body": "x" * 5_000}))
            heard.acknowledges = False
            await tell(connection, merchant_id=merchant)
            await copy.dispatch()
            unacknowledged = await heard.hear(1)

        async def stands() -> bool:
            return await position_of(copy.pool, (merchant, False), session.id) is not None

        await eventually(stands, "it is saved")
        await tell(connection, merchant_id=merchant)
        await copy.dispatch()
        async with other.connect() as socket:
            again = await Heard(socket).hear(2)
        assert again[0] == unacknowledged[0]
        assert not set(again) & set(first)
        assert len(copy.listeners) == 0

        # Who isn't let in, and how the command line is told to begin another session.
        expired = msgspec.structs.replace(session, expires=int(CLOCK.now()) - 1)
        for websocket_id in ("", "nonsense", "A" * 8_000, sealed(expired, copy.sealer), sealed(session, copy.sealer)[:-8] + "AAAAAAAA"):
            with pytest.raises(InvalidStatus) as refused:
                async with copy.connect(websocket_id=websocket_id):
                    pass
            assert refused.value.response.status_code == 401
            assert json.loads(refused.value.response.body or b"")["error"]["message"] == "Unknown WebSocket ID."
        with pytest.raises(InvalidStatus, match="400"):  # longer than any line that the library takes
            async with copy.connect(websocket_id="A" * 9_000):
                pass
        assert opened(sealed(session, copy.sealer), copy.sealer, CLOCK.now()) == session

        # A key that is revoked hears nothing more.
        async with copy.connect() as socket:
            await connection.execute("UPDATE payments.api_keys SET revoked_at = now() WHERE id = $1", session.key_id)

            async def ended() -> bool:
                copy.listeners._looked_at = -1e9
                copy.listeners.notice()
                return socket.close_code is not None

            reading = asyncio.ensure_future(socket.wait_closed())
            await eventually(ended, "it ends")
            await reading
        with pytest.raises((InvalidStatus, ConnectionClosed)):
            async with copy.connect():
                pass


async def test_requests_come_to_those_who_watch_them(database_url: str, session: Session) -> None:
    filters = json.dumps({"filter_status_code_type": ["400"], "filter_http_method": ["post"]})
    watching = msgspec.structs.replace(session, feature=REQUEST_LOGS, filters=filters)
    async with copy_on(database_url, watching) as copy:
        error = json.dumps({"error": {"type": "card_error", "code": "card_declined", "message": "Bob's card"}}).encode()

        def ask(request_id: str, method: str, status: int, principal: Any = watching.principal) -> None:
            copy.log.take(principal, method, "/v1/payment_intents", status, request_id, error, CLOCK.now())

        ask("req_before", "POST", 402)
        async with copy.connect() as socket:

            async def knows() -> bool:
                copy.log.notice()
                return bool(copy.log._until)

            await eventually(knows, "whose requests are watched is known")
            ask("req_get", "GET", 402)
            ask("req_paid", "POST", 200)
            ask("req_declined", "POST", 402)
            copy.tails.notice()
            message = json.loads(await socket.recv())
            assert message["type"] == "request_log_event"
            request = json.loads(message["event_payload"])
            assert request.pop("created_at") > 1_700_000_000
            assert request == {
                "livemode": False,
                "method": "POST",
                "request_id": "req_declined",
                "status": 402,
                "url": "/v1/payment_intents",
                "error": {"type": "card_error", "code": "card_declined"},
            }
            await socket.send(json.dumps({"type": "event_ack", "event_id": message["request_log_id"]}))
