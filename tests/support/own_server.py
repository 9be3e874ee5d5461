"""A service's own server, as it runs in a task."""

import asyncio
import signal
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.types import ASGIApp

from payments.wire.serve import Binding, LeavingServer, uvicorn_config


@asynccontextmanager
async def own_server(app: ASGIApp, *, certificate_name: str | None, port: int = 0) -> AsyncGenerator[tuple[LeavingServer, int]]:
    """Serve until the context is left, on the port that is returned."""
    server = LeavingServer(uvicorn_config(app, Binding("127.0.0.1", 0, certificate_name=certificate_name)), linger_seconds=60)
    with socket.create_server(("127.0.0.1", port)) as listening:
        running = asyncio.create_task(server._serve([listening]))  # without its signals, which are the test run's
        while not server.started:
            await asyncio.sleep(0.01)
        yield server, listening.getsockname()[1]
        server.handle_exit(signal.SIGINT, None)
        await running
