"""Runs a one-off task on the database: `python -m payments.storage [migrate | logins | verify | list-keys | create-key ORDER | revoke-key ORDER |
settings ORDER | key-uses | reseal]`.

An order is the JSON of `CreateKey`, `RevokeKey` or `SettingsOrder`.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import msgspec

from payments.runtime.logging import Logger
from payments.runtime.settings import MaintenanceSettings
from payments.storage.envelope_tasks import EnvelopeTask, run_reseal, run_uses
from payments.storage.key_tasks import (
    CreateKey,
    KeyTask,
    LimitKey,
    RevokeKey,
    run_create_key,
    run_limit_key,
    run_list_keys,
    run_revoke_key,
)
from payments.storage.keys import MerchantError, UnknownKeyError
from payments.storage.maintenance import EXPLAINED, run_logins, run_migrate, run_verify
from payments.storage.merchant_tasks import SETTINGS, SettingsOrder, run_settings

Task = Callable[[MaintenanceSettings, Logger], Awaitable[int]]

_Order = TypeVar("_Order", bound=msgspec.Struct)
_TASKS = (
    "migrate",
    "logins",
    "verify",
    KeyTask.LIST,
    f"{KeyTask.CREATE} ORDER",
    f"{KeyTask.REVOKE} ORDER",
    f"{SETTINGS} ORDER",
    EnvelopeTask.USES,
    EnvelopeTask.RESEAL,
)
_EXPLAINED = (*EXPLAINED, MerchantError, UnknownKeyError)


class ArgumentsError(Exception):
    """The arguments name no task, or its order can't be read."""


def main(arguments: list[str]) -> int:
    """Run the task that the arguments name, the migrations by default; returns the exit status."""
    command, *orders = arguments or ["migrate"]
    try:
        task = _task(command, orders)
    except ArgumentsError as mistake:
        print(mistake, file=sys.stderr)  # noqa: T201 - for whoever typed it
        return 2
    log = Logger(command)
    try:
        return asyncio.run(_run(task, log))
    except _EXPLAINED as failure:
        log.event("error", where=command, kind=type(failure).__qualname__, message=str(failure))
    except Exception as failure:  # noqa: BLE001 - whatever it is, the task's log gets one line of it
        log.error(command, failure)
    return 1


def _task(command: str, orders: list[str]) -> Task:
    match command, orders:
        case "migrate", []:
            return run_migrate
        case "logins", []:
            return run_logins
        case "verify", []:
            return run_verify
        case KeyTask.LIST, []:
            return run_list_keys
        case KeyTask.CREATE, [order]:
            return partial(run_create_key, order=_read(order, CreateKey))
        case KeyTask.REVOKE, [order]:
            return partial(run_revoke_key, order=_read(order, RevokeKey))
        case KeyTask.LIMIT, [order]:
            return partial(run_limit_key, order=_read(order, LimitKey))
        case "settings", [order]:
            return partial(run_settings, order=_read(order, SettingsOrder))
        case EnvelopeTask.USES, []:
            return run_uses
        case EnvelopeTask.RESEAL, []:
            return run_reseal
        case _:
            raise ArgumentsError(f"There is no task {' '.join([command, *orders])!r}. There are: {', '.join(_TASKS)}")


def _read(order: str, kind: type[_Order]) -> _Order:
    try:
        return msgspec.json.decode(order.encode(errors="replace"), type=kind)
    except msgspec.DecodeError as mistake:  # a ValidationError is one, too
        raise ArgumentsError(f"The order isn't the JSON of a {kind.__name__}: {mistake}") from None


async def _run(task: Task, log: Logger) -> int:
    return await task(MaintenanceSettings.from_environment(os.environ), log)


sys.exit(main(sys.argv[1:]))
