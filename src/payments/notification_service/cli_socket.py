"""The web socket of `stripe listen` and `stripe logs tail`: events, signed as webhooks are, or requests; each is acknowledged.

A session goes on where it has acknowledged, on whichever copy it comes back to. What it hasn't is sent again. Source: stripe-cli, `pkg/websocket`, `pkg/proxy`.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Struct
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from payments.domain.api_version import NEWEST
from payments.domain.errors import TapError
from payments.notification_service.acknowledged import Acknowledged
from payments.notification_service.event_stream import HEARTBEAT_SECONDS
from payments.notification_service.following import Place, follow
from payments.notification_service.listeners import Listeners, event_body
from payments.notification_service.request_tails import Filters, RequestTails
from payments.notification_service.signing import delivery_headers, signature_headers
from payments.runtime.clock import Clock
from payments.runtime.logging import Logger
from payments.runtime.seal import Sealer
from payments.storage import stripe_cli
from payments.storage.database import Pool
from payments.storage.streams import Streams
from payments.wire.cli_session import WEBHOOKS, Session, opened, signing_secret
from payments.wire.errors import wire_error
from payments.wire.lists import Lists
from payments.wire.socket_path import SOCKET_PATH
from payments.wire.streaming import LEAVING

_SUBPROTOCOL = "stripecli-devproxy-v1"
_SAVE_SECONDS = 5.0
"""Between two times that it is noted where a session stands, while events come: so much is sent again when a copy dies."""
_LEAVING, _POLICY, _OVERLOADED = 1001, 1008, 1013
_UNKNOWN = msgspec.json.encode({"error": {"type": "invalid_request_error", "message": "Unknown WebSocket ID."}})
"""At this, word for word, the command line begins another session."""
_encode = msgspec.json.Encoder().encode


class _Message(Struct, frozen=True):
    """What comes back: acknowledgements, and what a web server answered, which nobody here keeps."""

    type: str = ""
    event_id: str = ""
    webhook_conversation_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CliSocket:
    """The route."""

    listeners: Listeners
    tails: RequestTails
    streams: Streams
    lists: Lists
    pool: Pool
    sealer: Sealer
    clock: Clock
    log: Logger
    now: Callable[[], float] = field(default=time.monotonic)

    def routes(self) -> list[BaseRoute]:
        """What is mounted."""
        return [WebSocketRoute(SOCKET_PATH, self._serve)]

    async def _serve(self, socket: WebSocket) -> None:
        session = opened(socket.headers.get("websocket-id"), self.sealer, self.clock.now())
        if session is None or session.feature != socket.query_params.get("websocket_feature", session.feature):
            await _deny(socket, 401, _UNKNOWN)
            return
        if await self.streams.revoked([session.key_id]):
            await _deny(socket, 401, _UNKNOWN)
            return
        try:
            await (self._send_events(socket, session) if session.feature == WEBHOOKS else self._send_requests(socket, session))
        except TapError as refusal:
            if socket.client_state is WebSocketState.CONNECTING:
                error = wire_error(refusal)
                await _deny(socket, error.status, error.body)
        except WebSocketDisconnect:
            pass

    async def _send_events(self, socket: WebSocket, session: Session) -> None:
        async with self.listeners.listening(session.principal) as listener:
            key = listener.stream.key
            position = await self._resumed(session, listener.stream.position)
            await _accept(socket)
            acknowledged = Acknowledged(position, self.now)
            places = follow(listener, self.streams, self.lists, position, HEARTBEAT_SECONDS)

            async def save() -> None:
                if acknowledged.is_unsaved:
                    position = acknowledged.saved = acknowledged.position
                    await stripe_cli.save_position(self.pool, key, session.id, position)

            async def keep_saving() -> None:
                while True:
                    await acknowledged.changed()
                    await asyncio.sleep(_SAVE_SECONDS)
                    await save()

            try:
                await self._until_any(socket, self._pump(socket, session, places, acknowledged), _read(socket, acknowledged), keep_saving())
            finally:
                await places.aclose()
                await asyncio.shield(save())

    async def _resumed(self, session: Session, newest: int) -> int:
        """Return where a session goes on: where it stood, unless what came since can't be had any more; then with what happens now, and this is logged."""
        stream = (session.merchant_id, session.livemode)
        position = await stripe_cli.position_of(self.pool, stream, session.id)
        if position is None:
            return newest
        extent = await self.streams.extent(self.pool, stream)
        if extent.begun_after <= position <= extent.position:
            return position
        self.log.event("cli session missed events", merchant=session.merchant_id, session=session.id)
        return newest

    async def _pump(self, socket: WebSocket, session: Session, places: AsyncGenerator[Place], acknowledged: Acknowledged) -> None:
        secret = signing_secret(session.key_id, self.sealer)
        async for place in places:
            acknowledged.check()
            if place.streamed is None:
                continue
            # Each comes in the account's version and in the newest: the command line passes over the one that it wasn't asked for.
            for kind, version in (("default", session.api_version), ("latest", NEWEST)):
                body = self.listeners.body(place.kept, version) if place.kept is not None else event_body(place.streamed, version)
                event = place.streamed.event
                headers = delivery_headers(event.object_version, 1) | signature_headers(event.id, body, int(self.clock.now()), [secret])
                message = {
                    "type": "webhook_event",
                    "endpoint": {"api_version": None if kind == "default" else version},
                    "event_payload": body.decode(),
                    "http_headers": headers,
                    "webhook_conversation_id": acknowledged.sent(place.position),
                    "webhook_id": f"{session.id}_{kind}",
                }
                await socket.send_text(_encode(message).decode())
            await acknowledged.room()

    async def _send_requests(self, socket: WebSocket, session: Session) -> None:
        filters = msgspec.json.decode(session.filters, type=Filters) if session.filters else Filters()
        async with self.tails.watching(session.principal, filters) as tail:
            await _accept(socket)
            acknowledged = Acknowledged(0, self.now)

            async def pump() -> None:
                async for request in tail.requests():
                    acknowledged.check()
                    # It says by the id which one it acknowledges.
                    message = {"type": "request_log_event", "event_payload": request.document, "request_log_id": acknowledged.sent(0)}
                    await socket.send_text(_encode(message).decode())
                    await acknowledged.room()

            await self._until_any(socket, pump(), _read(socket, acknowledged))

    async def _until_any(self, socket: WebSocket, *work: Coroutine[Any, Any, None]) -> None:
        """Work until one of these ends, or the process takes leave; then say why."""
        tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(each) for each in work]
        leaving: asyncio.Event | None = socket.scope.get(LEAVING)
        goes: asyncio.Future[Any] = asyncio.ensure_future(leaving.wait() if leaving is not None else asyncio.Event().wait())
        try:
            await asyncio.wait({*tasks, goes}, return_when=asyncio.FIRST_COMPLETED)
            done = [task for task in tasks if task.done()]
        finally:
            for task in (*tasks, goes):
                task.cancel()
            await asyncio.gather(*tasks, goes, return_exceptions=True)
        failures = [failure for task in done if (failure := task.exception()) is not None]
        if any(isinstance(failure, WebSocketDisconnect) for failure in failures):
            return
        slow = [failure for failure in failures if isinstance(failure, TimeoutError)]
        for failure in failures:
            if failure not in slow:
                self.log.error("cli socket", failure)
        await socket.close(_POLICY if slow or (done and not failures) else _OVERLOADED if failures else _LEAVING)


async def _accept(socket: WebSocket) -> None:
    await socket.accept(_SUBPROTOCOL if _SUBPROTOCOL in socket.scope["subprotocols"] else None)


async def _deny(socket: WebSocket, status: int, body: bytes) -> None:
    await socket.send({"type": "websocket.http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
    await socket.send({"type": "websocket.http.response.body", "body": body})


async def _read(socket: WebSocket, acknowledged: Acknowledged) -> None:
    """Take acknowledgements until the client goes; what else it says is its own business."""
    while True:
        try:
            message = msgspec.json.decode(await socket.receive_text(), type=_Message)
        except (msgspec.MsgspecError, KeyError):
            continue
        if message.type == "event_ack":
            acknowledged.take(message.webhook_conversation_id or message.event_id)
