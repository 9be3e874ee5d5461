"""One measurement of a running Tap, and of the reference beside it: pgbench's TPC-B on the same server."""

import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from payments.cli.data_directory import DataDirectory
from payments.cli.postgres import EmbeddedPostgres
from tests.benchmarks.load import Load, Result, run
from tests.benchmarks.machine import cpu_seconds, exact_cpu_ms, processes
from tests.support.running_tap import RunningTap


@dataclass(frozen=True)
class Measured:
    rate: float
    """Operations a second."""
    cpu_ms: Mapping[str, float]
    """CPU time per operation, by process; the load generator's isn't in it."""
    operations: int = 0
    """How many there were, those of the warm-up included."""
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    errors: int = 0
    first_error: str = ""

    @property
    def cpu_ms_sum(self) -> float:
        return sum(self.cpu_ms.values())


class Bench:
    """A running Tap that is measured."""

    def __init__(self, tap: RunningTap) -> None:
        self._tap = tap
        status = tap.status()
        self._urls = tuple(copy["url"] for copy in status["services"]["payment-api"]["copies"])
        self._api_key = status["secret_key"]
        self.processes = processes(tap)
        directory = DataDirectory(tap.data_dir)
        self.postgres = EmbeddedPostgres(directory.postgres, password=directory.secrets().database_password)

    def operations(self, flow: str, clients: int, seconds: float, *, operations_max: int | None = None) -> Measured:
        """Measure an operation."""
        before = self._cpu()
        result: Result = run(Load(self._urls, self._api_key, flow, clients, seconds, operations_max=operations_max))
        after = self._cpu()
        return Measured(
            rate=result.rate,
            cpu_ms={name: (after[name] - before[name]) * 1000 / max(1, result.operations) for name in after},
            operations=result.operations,
            p50_ms=result.percentile(0.50),
            p99_ms=result.percentile(0.99),
            errors=result.errors,
            first_error=result.first_error,
        )

    def idle_cpu_ms(self, seconds: float) -> Mapping[str, float]:
        """Measure what each process takes a second when there is nothing to do."""
        before, began = {name: exact_cpu_ms(pids) for name, pids in self.processes.items()}, time.monotonic()
        time.sleep(seconds)
        elapsed = time.monotonic() - began
        return {name: (exact_cpu_ms(pids) - before[name]) / elapsed for name, pids in self.processes.items()}

    def _cpu(self) -> dict[str, float]:
        return {name: cpu_seconds(pids) for name, pids in self.processes.items()}

    @cached_property
    def _reference_url(self) -> str:
        self._psql("CREATE DATABASE bench")
        url = self.postgres.url("bench")
        subprocess.run([self.postgres.binaries / "pgbench", "-i", "-q", "-s", "10", url], check=True, capture_output=True)
        # Its tables' vacuum is not to run beside the payments.
        for table in ("accounts", "branches", "tellers", "history"):
            self._psql(f"ALTER TABLE pgbench_{table} SET (autovacuum_enabled = off)", url)
        self._psql("CHECKPOINT")
        return url

    def reference(self, seconds: float) -> Measured:
        """Measure TPC-B: scale 10, 8 clients, prepared statements."""
        url, postmaster = self._reference_url, self.processes["postgresql"]
        for table in ("branches", "tellers"):
            self._psql(f"VACUUM pgbench_{table}", url)
        before = cpu_seconds(postmaster)
        command = [
            str(self.postgres.binaries / "pgbench"),
            "-c",
            "8",
            "-j",
            "2",
            "-M",
            "prepared",
            "-T",
            str(max(1, round(seconds))),
            "-n",
            url,
        ]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        cpu = cpu_seconds(postmaster) - before
        rate, transactions = re.search(r"tps = ([\d.]+)", output), re.search(r"actually processed: (\d+)", output)
        assert rate is not None, output
        assert transactions is not None, output
        return Measured(rate=float(rate[1]), cpu_ms={"postgresql": cpu * 1000 / int(transactions[1])})

    def _psql(self, statement: str, url: str | None = None) -> None:
        subprocess.run([self.postgres.binaries / "psql", "-q", url or self.postgres.url("postgres"), "-c", statement], check=True)
