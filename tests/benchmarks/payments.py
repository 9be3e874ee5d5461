"""Card payments per second through the API, against pgbench's TPC-B on the same server in the same run: `make bench`."""

import argparse
import json
import multiprocessing
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

from payments.cli.data_directory import DataDirectory
from payments.cli.postgres import EmbeddedPostgres
from tests.benchmarks.load import Result, pay
from tests.support.running_tap import RunningTap, running_tap

CLIENTS = (1, 8, 32, 128, 256)
RESULTS = Path("bench-results")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8, help="how long each number of clients is measured")
    parser.add_argument("--clients", type=int, nargs="*", default=CLIENTS)
    options = parser.parse_args()
    with running_tap() as tap:
        report = measure(tap, options.clients, options.seconds)
        books = tap.tap("verify")
    print(books.stdout.strip().splitlines()[-1])
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "payments.json").write_text(json.dumps(report, indent=2))
    print(f"written: {RESULTS / 'payments.json'}")


def measure(tap: RunningTap, clients: list[int], seconds: float) -> dict[str, Any]:
    status = tap.status()
    memory = {name: _resident_mb(service["pid"]) for name, service in status["services"].items()}
    print("idle memory, MB: " + ", ".join(f"{name} {value}" for name, value in memory.items()))
    directory = DataDirectory(tap.data_dir)
    postgres = EmbeddedPostgres(directory.postgres, password=directory.secrets().database_password)
    reference = tpc_b(postgres, seconds)
    print(f"pgbench TPC-B, scale 10, 8 clients, prepared: {reference:.0f} transactions/s\n")
    print(f"{'clients':>8} {'payments/s':>11} {'p50 ms':>8} {'p99 ms':>8} {'errors':>7} {'of TPC-B':>9}")
    rows: list[dict[str, Any]] = []
    url = status["services"]["payment-api"]["url"]
    for count in clients:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            result: Result = pool.apply(pay, (url, status["secret_key"], count, seconds, 2.0))
        rate = result.payments / result.seconds
        row = {
            "clients": count,
            "payments_per_second": round(rate, 1),
            "p50_ms": round(result.percentile(0.50), 2),
            "p99_ms": round(result.percentile(0.99), 2),
            "errors": result.errors,
            "ratio": round(rate / reference, 3),
        }
        rows.append(row)
        print(f"{count:>8} {rate:>11.0f} {row['p50_ms']:>8.1f} {row['p99_ms']:>8.1f} {result.errors:>7} {row['ratio']:>9.2f}", flush=True)
        if result.first_error:
            print(f"         first error: {result.first_error}")
    return {
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "idle_memory_mb": memory,
        "tpc_b_per_second": round(reference, 1),
        "runs": rows,
    }


def tpc_b(postgres: EmbeddedPostgres, seconds: float) -> float:
    """Return pgbench's transactions per second."""
    subprocess.run([postgres.binaries / "psql", "-q", postgres.url("postgres"), "-c", "CREATE DATABASE bench"], check=True)
    pgbench = str(postgres.binaries / "pgbench")
    subprocess.run([pgbench, "-i", "-q", "-s", "10", postgres.url("bench")], check=True, capture_output=True)
    output = subprocess.run(
        [pgbench, "-c", "8", "-j", "2", "-M", "prepared", "-T", str(max(1, round(seconds))), "-n", postgres.url("bench")],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    # Its tables are gone before the payments start, so that their vacuum doesn't run beside them.
    for statement in ("DROP DATABASE bench", "CHECKPOINT"):
        subprocess.run([postgres.binaries / "psql", "-q", postgres.url("postgres"), "-c", statement], check=True)
    found = re.search(r"tps = ([\d.]+)", output)
    assert found is not None, output
    return float(found[1])


def _resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return 0.0
    found = re.search(r"VmRSS:\s+(\d+) kB", status.read_text())
    return round(int(found[1]) / 1024, 1) if found else 0.0


if __name__ == "__main__":
    main()
