"""`tap status`: what is running, and how to reach it."""

import asyncio
import json
from typing import Any

from rich.console import Console
from rich.table import Table

from payments.cli.data_directory import DataDirectory
from payments.cli.health import is_healthy


async def read_status(directory: DataDirectory) -> dict[str, Any]:
    """Return the status as `tap status --json` prints it; raises `UsageError` when nothing runs."""
    run, secrets = directory.run(), directory.secrets()
    healthy = await asyncio.gather(*(is_healthy(process.url or "") for process in run.services.values()))
    return {
        "base_url": run.base_url,
        "root_certificate": run.root_certificate,
        "secret_key": secrets.secret_key,
        "publishable_key": secrets.publishable_key,
        "database_url": run.database_url,
        "postgres": {"pid": run.postgres.pid},
        "services": {
            name: {"pid": process.pid, "url": process.url, "healthy": good}
            for (name, process), good in zip(run.services.items(), healthy, strict=True)
        },
    }


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
        table.add_row(name, str(service["pid"] or "-"), service["url"], "healthy" if service["healthy"] else "[red]not healthy[/red]")
    console.print(table)
