"""`tap status`: what is running, and how to reach it."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from payments.cli.data_directory import DataDirectory, Run, RunningProcess, Secrets
from payments.cli.health import is_healthy
from payments.storage.database import CONNECTION_FAILURES, connect
from payments.storage.jobs import job_states

_JOBS_SECONDS_MAX = 5.0


async def read_status(directory: DataDirectory) -> dict[str, Any]:
    """Return the status as `tap status --json` prints it; raises `UsageError` when nothing runs."""
    run, secrets = directory.run(), directory.secrets()
    services = dict(zip(run.services, await asyncio.gather(*(_service(each.copies) for each in run.services.values())), strict=True))
    return {**what_runs(run, secrets), "services": services, "jobs": await _jobs(run.database_url)}


def what_runs(run: Run, secrets: Secrets) -> dict[str, Any]:
    """Return what a directory itself says of what runs, without asking any of it."""
    return {
        "base_url": run.base_url,
        "root_certificate": run.root_certificate,
        "secret_key": secrets.secret_key,
        "publishable_key": secrets.publishable_key,
        "database_url": run.database_url,
        "postgres": {"pid": run.postgres.pid},
    }


async def _jobs(database_url: str) -> list[dict[str, Any]] | None:
    """Return the jobs of all services; None where the database doesn't tell, as while it is away."""
    try:
        async with asyncio.timeout(_JOBS_SECONDS_MAX), connect(database_url) as connection:
            return [each.shown() for each in await job_states(connection)]
    except (TimeoutError, asyncpg.PostgresError, *CONNECTION_FAILURES):
        return None


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
    if status["jobs"]:
        console.print(_jobs_table(status["jobs"], time.time()))


def _jobs_table(jobs: Sequence[Mapping[str, Any]], now: float) -> Table:
    table = Table(Column("job", no_wrap=True), "service", "last run", "took", "rows", "next", "state")
    for job in jobs:
        red = job["state"] in ("failing", "late")
        state = f"{job['state']}, {job['failures']} times: {job['last_error']}" if job["state"] == "failing" else job["state"]
        table.add_row(
            job["name"],
            job["service"],
            "never" if job["last_run"] is None else f"{_duration(now - job['last_run'])} ago",
            "-" if job["seconds"] is None else f"{job['seconds']:.2f} s",
            f"{job['rows_done'] or 0}" + (f", {job['rows_put_off']} put off" if job["rows_put_off"] else ""),
            "now" if job["next_run"] <= now else f"in {_duration(job['next_run'] - now)}",
            f"[red]{escape(state)}[/red]" if red else state,
        )
    return table


def _duration(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
