"""Runs the bank until it is told to end."""

import asyncio
import random
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from payments.acquirers.far_end.control import control_application
from payments.acquirers.far_end.faults import Faults, Order
from payments.acquirers.far_end.http_host import HttpHost
from payments.acquirers.far_end.iso8583_host import Iso8583Host
from payments.acquirers.far_end.judge import Judge
from payments.acquirers.far_end.record import Record
from payments.acquirers.iso8583.codec import Codec
from payments.acquirers.iso8583.framing import Framing
from payments.runtime.clock import SystemClock

_LOOPBACK = "127.0.0.1"
_DRAIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BankOptions:
    """How the bank is to be."""

    host: str
    port: int
    control_port: int | None
    record: Path
    key_id: str
    secret: bytes = field(repr=False)
    """Of the HTTP protocol; with the other one, the key of the cards' digests."""
    iso8583: tuple[Codec, Framing] | None
    """With these, it speaks ISO 8583."""
    declines: Mapping[int, str]
    order: Order
    """What goes wrong from the beginning on."""


async def run_bank(options: BankOptions) -> None:
    """Serve until SIGTERM or SIGINT; raises `OSError` when a port is taken."""
    clock = SystemClock()
    record = Record(options.record, options.secret)
    faults = Faults(random.Random(), options.order)  # noqa: S311 - faults need no secrecy
    judge = Judge(record, clock, options.declines)
    runners: list[web.AppRunner] = []
    lines: Iso8583Host | None = None
    if options.iso8583 is not None:
        codec, framing = options.iso8583
        lines = Iso8583Host(codec=codec, framing=framing, judge=judge, record=record, faults=faults, clock=clock)
        await lines.serve(options.host, options.port)
    else:
        host = HttpHost(key_id=options.key_id, secret=options.secret, judge=judge, record=record, faults=faults, clock=clock)
        runners.append(await _serve(host.application(), options.host, options.port))
    if options.control_port is not None:
        runners.append(await _serve(control_application(faults, record), _LOOPBACK, options.control_port))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    if lines is not None:
        lines.close()
    for runner in runners:
        await runner.cleanup()
    record.close()


async def _serve(application: web.Application, host: str, port: int) -> web.AppRunner:
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_DRAIN_SECONDS)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
