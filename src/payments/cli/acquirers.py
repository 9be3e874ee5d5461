"""`tap acquirers` and `tap acquirer-simulator`."""

import asyncio
import datetime
import io
import re
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from rich.console import Console
from rich.table import Table

from payments.acquirers.breaker import BreakerState
from payments.acquirers.configuration import Configuration, ConfigurationError, configured, read, read_private
from payments.acquirers.declines import DECLINE_CODES
from payments.acquirers.far_end.faults import Order
from payments.acquirers.far_end.main import BankOptions, run_bank
from payments.acquirers.far_end.settlement import Format, SettlementOptions, write_settlement
from payments.acquirers.iso8583.codec import Codec, Encoding
from payments.acquirers.iso8583.framing import Framing
from payments.acquirers.iso8583.traces import MadeOfReferences
from payments.acquirers.opening import open_configured
from payments.acquirers.registry import Acquirers, AcquirerState
from payments.cli.data_directory import DataDirectory, UsageError
from payments.runtime.clock import SystemClock
from payments.runtime.logging import Logger
from payments.runtime.topology import Service
from payments.wire.internal import ACQUIRERS_PATH

_ASK_SECONDS_MAX = 15.0
_PAYMENTS = {
    BreakerState.CLOSED: "are sent",
    BreakerState.HALF_OPEN: "one at a time",
    BreakerState.OPEN: "[red]not sent[/red]",
}
"""Of this copy of transaction-processor."""


async def list_acquirers(console: Console, directory: DataDirectory) -> None:
    """Ask the first copy of transaction-processor how its acquirers are, and print it; raises `UsageError` when nothing runs."""
    url = directory.run().services[Service.TRANSACTION_PROCESSOR].url or ""
    headers = {"Authorization": f"Bearer {directory.secrets().internal_api_key}"}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_ASK_SECONDS_MAX)) as session,
            session.get(url + ACQUIRERS_PATH, headers=headers) as response,
        ):
            response.raise_for_status()
            states = msgspec.json.decode(await response.read(), type=list[AcquirerState])
    except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError) as failure:
        raise UsageError(f"transaction-processor doesn't answer ({type(failure).__name__}): see {directory.logs}") from None
    _show(console, states, with_breakers=True)


async def check_acquirers(console: Console, file: Path | None, environment: Mapping[str, str], *, offline: bool) -> int:
    """Check a configuration and ask everybody in it; returns the exit status. Raises `UsageError` for a configuration that is wrong."""
    try:
        configuration: Configuration = read(file) if file is not None else configured(environment)
        secrets = configuration.secrets(environment)
    except ConfigurationError as mistake:
        raise UsageError(str(mistake)) from None
    if not configuration.acquirers:
        print("No acquirer is configured: test payments go to the sandbox, and live ones are refused.")
        return 0
    for spec in configuration.acquirers:
        print(f"{spec.name}: {spec.mode} payments in {', '.join(spec.currencies) or 'all currencies'}, at {spec.place}")
    for rule in configuration.rules:
        print(f"route {rule.name}: {', then '.join(rule.acquirers)}")
    if offline:
        return 0
    async with AsyncExitStack() as stack:
        acquirers = Acquirers(
            await open_configured(configuration, secrets, SystemClock(), Logger("tap", io.BytesIO()), stack, MadeOfReferences())
        )
        states = await acquirers.states()
    _show(console, states, with_breakers=False)
    return int(any(state.fault is not None for state in states))


def _show(console: Console, states: Sequence[AcquirerState], *, with_breakers: bool) -> None:
    table = Table("acquirer", "health", "round trip", "unclear answers", "last error", *(["payments"] if with_breakers else []))
    for state in states:
        last = "" if state.last_error is None else f"{_time(state.last_error_at)} {state.last_error}"
        table.add_row(
            state.name,
            "well" if state.fault is None else f"[red]{state.fault}[/red]",
            f"{1000 * state.round_trip_seconds:.1f} ms",
            str(state.unknown),
            last,
            *([_PAYMENTS[state.breaker]] if with_breakers else []),
        )
    console.print(table)


def _time(unix_seconds: float | None) -> str:
    return datetime.datetime.fromtimestamp(unix_seconds or 0, datetime.UTC).isoformat(timespec="seconds")


def run_simulator(
    *,
    encoding: Encoding | None,
    host: str,
    port: int,
    control_port: int | None,
    record: Path,
    secret_file: Path,
    key_id: str,
    told: Mapping[str, Any],
    declines: Sequence[str],
) -> None:
    """Run the bank until it is stopped; raises `UsageError`."""
    try:
        secret = read_private("simulator", secret_file).strip().encode()
        order = msgspec.convert(told, Order)
    except (ConfigurationError, msgspec.ValidationError) as mistake:
        raise UsageError(str(mistake)) from None
    options = BankOptions(
        host=host,
        port=port,
        control_port=control_port,
        record=record,
        key_id=key_id,
        secret=secret,
        iso8583=None
        if encoding is None
        else (Codec(encoding, "hex"), Framing(length_bytes=2, length_format="binary", counts_itself=False, tpdu=b"")),
        declines=dict(_decline(each) for each in declines),
        order=order,
    )
    try:
        asyncio.run(run_bank(options))
    except OSError as failure:
        raise UsageError(f"The simulator can't listen on port {port}: {failure.strerror}") from None


def write_settlement_file(
    record: Path, out: Path, format_: Format, *, acquirer: str, day: datetime.date, value_days: int, fee_basis_points: int
) -> None:
    """Write what the bank settles of a day; raises `UsageError`."""
    if re.fullmatch(r"[a-z][a-z0-9-]{0,30}", acquirer) is None:
        raise UsageError(f"--acquirer {acquirer}: that is no name of an acquirer's.")
    options = SettlementOptions(
        acquirer=acquirer, day=day, value_date=day + datetime.timedelta(days=value_days), fee_basis_points=fee_basis_points
    )
    unfinished = out.with_name(f"{out.name}.unfinished")
    try:
        with unfinished.open("wb") as file:
            lines = write_settlement(record, file, format_, options, datetime.datetime.now(datetime.UTC))
        unfinished.replace(out)
    except sqlite3.Error as failure:
        unfinished.unlink(missing_ok=True)
        raise UsageError(f"{record} is no record of the simulator's: {failure}") from None
    except OSError as failure:
        raise UsageError(f"{out} can't be written: {failure.strerror}") from None
    print(f"{out}: {lines} lines")


def _decline(given: str) -> tuple[int, str]:
    amount, _, code = given.partition("=")
    if not (amount.isascii() and amount.isdigit()) or code not in DECLINE_CODES:
        raise UsageError(f"--decline {given}: it must be AMOUNT=DECLINE_CODE, as 4002=insufficient_funds")
    return int(amount), code
