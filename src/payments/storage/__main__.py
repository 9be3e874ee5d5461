"""Runs a one-off task on the database: `python -m payments.storage [migrate | verify]`."""

import asyncio
import os
import sys

from payments.runtime.logging import Logger
from payments.runtime.settings import MaintenanceSettings
from payments.storage.maintenance import COMMANDS, EXPLAINED


def main(arguments: list[str]) -> int:
    """Run the task that the arguments name, the migrations by default; returns the exit status."""
    command = arguments[0] if arguments else "migrate"
    if command not in COMMANDS or len(arguments) > 1:
        print(f"There is no task {' '.join(arguments)!r}. There are: {', '.join(COMMANDS)}", file=sys.stderr)  # noqa: T201 - for whoever typed it
        return 2
    log = Logger(command)
    try:
        return asyncio.run(_run(command, log))
    except EXPLAINED as failure:
        log.event("error", where=command, kind=type(failure).__qualname__, message=str(failure))
    except Exception as failure:  # noqa: BLE001 - whatever it is, the task's log gets one line of it
        log.error(command, failure)
    return 1


async def _run(command: str, log: Logger) -> int:
    return await COMMANDS[command](MaintenanceSettings.from_environment(os.environ), log)


sys.exit(main(sys.argv[1:]))
