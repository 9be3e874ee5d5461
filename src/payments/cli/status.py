"""`tap status`: what is running, and how to reach it."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from payments.cli.data_directory import DataDirectory, RunningProcess
from payments.cli.health import is_healthy


async def read_status(directory: DataDirectory) -> dict[str, Any]:
    """Return the status as `tap status --json` prints it; raises `UsageError` when nothing runs."""
    run, secrets = directory.run(), directory.secrets()
    services = dict(zip(run.services, await asyncio.gather(*(_service(each.copies) for each in run.services.values())), strict=True))
    return {
        "base_url": run.base_url,
        "root_certificate": run.root_certificate,
        "secret_key": secrets.secret_key,
        "publishable_key": secrets.publishable_key,
        "database_url": run.database_url,
        "postgres": {"pid": run.postgres.pid},
        "services": services,
    }


async def _service(running: Sequence[RunningProcess]) -> dict[str, Any]:
    """Return a service's first copy, whether all are healthy, and each of them."""
    healthy = await asyncio.gather(*(is_healthy(copy.url or "") for copy in running))
    copies = [{"pid": copy.pid, "url": copy.url, "healthy": good} for copy, good in zip(running, healthy, strict=True)]
    return {**copies[0], "healthy": all(healthy), "copies": copies}


def show_status(console: Console, status: dict[str, Any], *, as_json: bool) -> None:
    """Print the status for a program, or for people."""
    if as_json:
        print(json.dumps(status, indent=2))
        return
    shown = {
        "API": status["base_url"],
        "Trust": status["root_certificate"],
        "Secret key": status["secret_key"],
        "Publishable key": status["publishable_key"],
        "Database": status["database_url"],
    }
    for name, value in shown.items():
        if value is not None:
            print(f"{name:<17}{value}")
    table = Table("process", "pid", "url", "health")
    table.add_row("postgres", str(status["postgres"]["pid"] or "external"), "", "")
    for name, service in status["services"].items():
        for copy in service["copies"]:
            table.add_row(name, str(copy["pid"] or "-"), copy["url"], "healthy" if copy["healthy"] else "[red]not healthy[/red]")
    console.print(table)
