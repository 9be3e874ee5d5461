"""Who has nothing to do does next to nothing: what there is to do is told, and looked for only now and then in case that it wasn't."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psycopg
import pytest

from payments.runtime.topology import Service
from tests.support.running_tap import running_tap

WAKE_UPS_MAX = {Service.PAYMENT_API: 5.0, Service.TRANSACTION_PROCESSOR: 8.0, Service.NOTIFICATION_SERVICE: 11.0}
"""A second, of all threads together. To look at the database once wakes a process twice: to ask, and to read."""
STATEMENTS_MAX = 8.0
"""A second, of all services together; each watches the database once a second, notification-service twice. One statement finds the jobs that are due and
whether there is anything for them to do."""
SECONDS = 15.0
"""A multiple of what most of the work in the background pauses for, so that it is counted as often as it is done."""


def wake_ups(pids: Mapping[str, int]) -> dict[str, int]:
    """How often each process began to wait, of its own accord. Source: proc(5)."""
    counted: dict[str, int] = {}
    for name, pid in pids.items():
        statuses = [(task / "status").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
        counted[name] = sum(int(line.split()[1]) for text in statuses for line in text.splitlines() if line.startswith("voluntary_ctxt"))
    return counted


@pytest.mark.skipif(sys.platform != "linux", reason="what is counted is the kernel's own count")
def test_an_idle_service_wakes_up_for_little_but_its_watch_over_the_database(new_directory: Path) -> None:
    with running_tap(copied_from=new_directory) as tap:
        status = tap.status()
        pids = {name: service["pid"] for name, service in status["services"].items()}
        with psycopg.connect(status["database_url"], autocommit=True) as connection:

            def statements() -> int:
                connection.execute("SELECT pg_stat_clear_snapshot()")
                row = connection.execute("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()").fetchone()
                assert row is not None
                return int(row[0])

            time.sleep(SECONDS / 5)  # whatever is done once has been done
            woken, asked, began = wake_ups(pids), statements(), time.monotonic()
            time.sleep(SECONDS)
            seconds = time.monotonic() - began
            rates = {name: (count - woken[name]) / seconds for name, count in wake_ups(pids).items()}
            rate = (statements() - asked) / seconds
    print(rates, rate)
    assert {name: each for name, each in rates.items() if each > WAKE_UPS_MAX[Service(name)]} == {}
    assert rate < STATEMENTS_MAX
