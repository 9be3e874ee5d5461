"""Runs a service: uvicorn on uvloop, quiet, and drained on SIGTERM."""

import gc

import uvicorn
from starlette.types import ASGIApp

from payments.runtime.settings import Settings

DRAIN_SECONDS = 25
"""Requests in flight get this long to finish after SIGTERM; well inside the 60 s after which a container is killed."""


def serve(app: ASGIApp, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    # What start-up made lives as long as the process: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        timeout_keep_alive=75,
    )
