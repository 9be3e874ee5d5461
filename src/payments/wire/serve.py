"""Runs a service: uvicorn on uvloop, quiet; on SIGTERM it takes leave of whoever still sends, and drains."""

import asyncio
import contextlib
import gc
import logging
import signal
import sys
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from types import FrameType

import asyncpg
import uvicorn
import uvloop
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from payments.runtime.clock import SystemClock
from payments.runtime.logging import LibraryLog, Logger
from payments.runtime.own_certificate import own_context
from payments.runtime.seal import SealError
from payments.runtime.settings import Settings
from payments.wire.bounded_http import (
    IDLE_SECONDS_MAX,
    WEBSOCKET_BYTES_MAX,
    WEBSOCKET_PING_SECONDS,
    BoundedHttpProtocol,
)
from payments.wire.streaming import LEAVING

DRAIN_SECONDS = 25
"""Requests in flight get this long to finish after SIGTERM; well inside the 60 s after which a container is killed."""

CONNECTIONS_WAITING_MAX = 4096
"""Until they are accepted, in the system's own queue."""

_GC_THRESHOLDS = (20_000, 20, 50)
"""Almost everything that a request makes is freed by its last reference; looking for cycles as often as by default costs six per cent."""

Application = AbstractAsyncContextManager[ASGIApp]
"""A service's composition root: entering it starts the service's own work, leaving it drains that."""


@dataclass(frozen=True, slots=True)
class Binding:
    """Where and how to listen, and for how long after SIGTERM."""

    host: str
    port: int
    linger_seconds: float = 0.0
    """Whoever ends a task tells it and the load balancer at the same time: for so long requests may still come."""
    websockets: type[asyncio.Protocol] | None = None
    """How it speaks web sockets; None where it doesn't."""
    certificate_name: str | None = None
    """Of the certificate that it makes for itself, to speak TLS; without a name it speaks plain HTTP, as on loopback."""

    @staticmethod
    def from_settings(settings: Settings, name: str, *, websockets: type[asyncio.Protocol] | None = None) -> "Binding":
        """Return what the settings say of a service called `name`."""
        return Binding(
            settings.host,
            settings.port,
            settings.linger_seconds,
            websockets=websockets,
            certificate_name=name if settings.serves_tls else None,
        )


class LeavingServer(uvicorn.Server):
    """After SIGTERM it goes on accepting for a while, and asks whoever it answers to open no more requests on that connection."""

    def __init__(self, config: uvicorn.Config, *, linger_seconds: float) -> None:
        """Serve `config.app` as it is until then."""
        self._app: ASGIApp = config.app  # pyright: ignore[reportAttributeAccessIssue] - it was given one
        config.app, config.interface = self._answer, "asgi3"  # of a method uvicorn can't tell
        super().__init__(config)
        self._linger_seconds = linger_seconds
        self._is_leaving = False
        self._signalled, self._leaving = asyncio.Event(), asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take note of a signal; a second one ends what the first began."""
        if sig == signal.SIGTERM and not self._is_leaving and self._linger_seconds > 0:
            self._is_leaving = True
        else:
            super().handle_exit(sig, frame)
        if self._loop is None:
            self._signalled.set()
        else:  # it sleeps, and this is no callback of its own
            self._loop.call_soon_threadsafe(self._signalled.set)

    async def main_loop(self) -> None:
        """Serve until it is time to drain. Uvicorn's own would look ten times a second whether it is: an idle service's greatest expense."""
        self._loop = asyncio.get_running_loop()
        await self.on_tick(0)  # it makes the header fields that each answer has
        await self._signalled.wait()
        self._signalled.clear()
        self._leaving.set()  # answers that would go on for ever end, and whoever listens goes elsewhere
        if not self.should_exit:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._linger_seconds):
                    await self._signalled.wait()
            self.should_exit = True

    def _answer(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # No coroutine of its own: every request comes by.
        scope[LEAVING] = self._leaving
        return self._app(scope, receive, send if not self._is_leaving else partial(_close_after, send))


async def _close_after(send: Send, message: Message) -> None:
    if message["type"] == "http.response.start":
        message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
    await send(message)


def serve(application: Application, binding: Binding, log: Logger) -> None:
    """Serve until SIGTERM or SIGINT."""
    logging.getLogger().addHandler(LibraryLog(log))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(application, binding, log))
    except (OSError, SealError, asyncpg.PostgresError) as failure:
        log.error("start", failure)
        sys.exit(1)


def uvicorn_config(app: ASGIApp, binding: Binding) -> uvicorn.Config:
    """Return how uvicorn serves an application, with a certificate that is made now if it is to have one; raises `OSError`."""
    tls = None if binding.certificate_name is None else own_context(binding.certificate_name, SystemClock().now())
    return uvicorn.Config(
        app,
        host=binding.host,
        port=binding.port,
        http=BoundedHttpProtocol,
        ws=binding.websockets or "none",
        ws_max_size=WEBSOCKET_BYTES_MAX,
        ws_ping_interval=WEBSOCKET_PING_SECONDS,
        ws_ping_timeout=WEBSOCKET_PING_SECONDS,
        ws_per_message_deflate=False,  # what it unpacks to is anybody's guess
        lifespan="off",
        access_log=False,
        proxy_headers=False,
        log_config=None,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        timeout_keep_alive=int(IDLE_SECONDS_MAX),
        backlog=CONNECTIONS_WAITING_MAX,
        ssl_context_factory=None if tls is None else lambda _config, _default: tls,
    )


async def _serve(application: Application, binding: Binding, log: Logger) -> None:
    async with application as app:
        server = LeavingServer(uvicorn_config(app, binding), linger_seconds=binding.linger_seconds)

        def stop(_signal: int, _frame: FrameType | None) -> None:
            server.should_exit = True

        # Uvicorn raises the signal again when it is done; by then it must not end the process, which has its own work to drain.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        # What start-up made lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)
        log.event("started", port=binding.port)
        await server.serve()
    log.event("stopped")
