"""Acquirers to test, each with its far end."""

import io
import random
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from payments.acquirers.acquirer import Acquirer, Order
from payments.acquirers.configuration import HttpSpec, Iso8583Spec
from payments.acquirers.far_end.faults import Fault, Faults
from payments.acquirers.far_end.faults import Order as Told
from payments.acquirers.far_end.http_host import HttpHost
from payments.acquirers.far_end.iso8583_host import Iso8583Host
from payments.acquirers.far_end.judge import Judge
from payments.acquirers.far_end.record import Record
from payments.acquirers.http.acquirer import open_http
from payments.acquirers.iso8583.acquirer import open_iso8583
from payments.acquirers.iso8583.codec import Codec, Encoding
from payments.acquirers.iso8583.framing import Framing
from payments.acquirers.iso8583.traces import MadeOfReferences, Traces
from payments.domain.attempt import AttemptKind
from payments.domain.card import Pan
from payments.runtime.clock import SystemClock
from payments.runtime.logging import Logger

SECRET = b"a secret of the tests, and of no bank's"
VISA = "4242424242424242"
LACKING = "4000000000009995"
"""A card without the money."""


FRAMING = Framing(length_bytes=2, length_format="binary", counts_itself=False, tpdu=b"")
ISO8583_SETTINGS: dict[str, Any] = {
    "name": "host",
    "mode": "live",
    "host": "127.0.0.1",
    "port": 1,
    "currencies": ["usd", "eur"],
    "terminal_id": "TAP00001",
    "merchant_id": "000000000000001",
    "merchant_location": "Shoes and sons           Bern         CH",
    "merchant_category_code": "5661",
    "institution": "123456",
    "tls": False,
    "timeout_seconds": 10.0,
    "repeat_seconds": 5.0,
}


@dataclass(kw_only=True)
class Bank:
    """An acquirer with its far end."""

    acquirer: Acquirer
    record: Record
    faults: Faults
    port: int = 0
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    def does(self, fault: Fault, *, times: int | None = 1, seconds: float = 0.0) -> None:
        self.faults.tell(Told(fault=fault, times=times, seconds=seconds))


@asynccontextmanager
async def http_bank(directory: Path, *, timeout_seconds: float = 0.3) -> AsyncGenerator[Bank]:
    """The acquirer over HTTP, and the bank's own host of it."""
    clock, faults = SystemClock(), Faults(random.Random(1))
    record = Record(directory / "record.sqlite", SECRET)
    judge = Judge(record, clock, {4002: "insufficient_funds"})
    host = HttpHost(key_id="tap", secret=SECRET, judge=judge, record=record, faults=faults, clock=clock)
    runner = web.AppRunner(host.application(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    spec = HttpSpec(name="bank", mode="live", url=f"http://127.0.0.1:{port}", key_id="tap", timeout_seconds=timeout_seconds)
    async with open_http(spec, SECRET, clock) as acquirer:
        yield Bank(acquirer=acquirer, record=record, faults=faults)
    await runner.cleanup()
    record.close()


@asynccontextmanager
async def iso8583_bank(
    directory: Path, encoding: Encoding = "ascii", *, framing: Framing = FRAMING, traces: Traces | None = None, **settings: Any
) -> AsyncGenerator[Bank]:
    """The acquirer over ISO 8583, and the bank's own host of it; connected."""
    clock, faults = SystemClock(), Faults(random.Random(1))
    record = Record(directory / "record.sqlite", SECRET)
    judge = Judge(record, clock, {4002: "insufficient_funds"})
    host = Iso8583Host(codec=Codec(encoding, "hex"), framing=framing, judge=judge, record=record, faults=faults, clock=clock)
    server = await host.serve("127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    given = {**ISO8583_SETTINGS, "port": port, "encoding": encoding, **settings}
    spec = msgspec.convert({"kind": "iso8583", **given}, Iso8583Spec)
    async with open_iso8583(spec, clock, Logger("test", io.BytesIO()), traces=traces or MadeOfReferences()) as acquirer:
        assert await acquirer.health() is None
        yield Bank(acquirer=acquirer, record=record, faults=faults, port=port)
    server.close()
    host.close()
    record.close()


def authorization(reference: str = "att_1", *, amount: int = 2000, number: str = VISA, capture: bool = True) -> Order:
    return Order(
        reference=reference,
        kind=AttemptKind.AUTHORIZE,
        merchant_id=1,
        livemode=True,
        amount=amount,
        currency="usd",
        created=1_800_000_000,
        capture=capture,
        pan=Pan(number),
        exp_month=12,
        exp_year=2030,
    )


def follow_up(kind: AttemptKind, reference: str, *, amount: int = 2000, original: str = "att_1", holds: bool = True) -> Order:
    return Order(
        reference=reference,
        kind=kind,
        merchant_id=1,
        livemode=True,
        amount=amount,
        currency="usd",
        created=1_800_000_100,
        original_reference=original,
        original_created=1_800_000_000,
        original_capture=not holds,
        original_amount=2000,
        authorization_code="123456",
        pan=Pan(VISA),
        exp_month=12,
        exp_year=2030,
    )
