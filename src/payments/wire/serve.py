"""Runs a service: uvicorn on uvloop, quiet, and drained on SIGTERM."""

import asyncio
import gc
import logging
import signal
import sys
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import FrameType

import asyncpg
import uvicorn
import uvloop
from starlette.types import ASGIApp

from payments.runtime.logging import LibraryLog, Logger
from payments.runtime.seal import SealError
from payments.wire.bounded_http import IDLE_SECONDS_MAX, BoundedHttpProtocol

DRAIN_SECONDS = 25
"""Requests in flight get this long to finish after SIGTERM; well inside the 60 s after which a container is killed."""

_GC_THRESHOLDS = (20_000, 20, 50)
"""Almost everything that a request makes is freed by its last reference; looking for cycles as often as by default costs six per cent."""

Application = AbstractAsyncContextManager[ASGIApp]
"""A service's composition root: entering it starts the service's own work, leaving it drains that."""


@dataclass(frozen=True, slots=True)
class Binding:
    """Where to listen."""

    host: str
    port: int


def serve(application: Application, binding: Binding, log: Logger) -> None:
    """Serve until SIGTERM or SIGINT."""
    logging.getLogger().addHandler(LibraryLog(log))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(application, binding, log))
    except (OSError, SealError, asyncpg.PostgresError) as failure:
        log.error("start", failure)
        sys.exit(1)


async def _serve(application: Application, binding: Binding, log: Logger) -> None:
    async with application as app:
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                host=binding.host,
                port=binding.port,
                http=BoundedHttpProtocol,
                ws="none",
                lifespan="off",
                access_log=False,
                proxy_headers=False,
                log_config=None,
                server_header=False,
                date_header=False,
                timeout_graceful_shutdown=DRAIN_SECONDS,
                timeout_keep_alive=int(IDLE_SECONDS_MAX),
                backlog=4096,
            )
        )

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
