"""Whether a payment costs the same however many there are: `make bench-growth`. Exits with 1 when it costs more at the end than at the beginning."""

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.machine import memory_mb
from tests.benchmarks.measuring import Bench
from tests.support.running_tap import RunningTap, run_tap, running_tap

RESULTS = Path("bench-results")
CLIENTS = (8, 128)
GROWTH_MAX = 1.1
"""By how much a payment may cost more over the last third of the measurements than over the first, both as multiples of TPC-B's transaction beside it."""
_FILLING_CLIENTS = 128
_FILLING_SECONDS_MAX = 3600.0
_VERIFYING_SECONDS_MAX = 3600.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payments", type=int, default=1_000_000, help="how many there are at the end")
    parser.add_argument("--steps", type=int, default=20, help="how often is measured on the way")
    parser.add_argument("--seconds", type=float, default=5, help="how long each measurement takes")
    options = parser.parse_args()
    with running_tap() as tap:
        rows = grow(tap, options.payments, options.steps, options.seconds)
        books = run_tap("verify", "--data-dir", str(tap.data_dir), timeout=_VERIFYING_SECONDS_MAX)
    print(books.stdout.strip().splitlines()[-1])
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "growth.json").write_text(json.dumps(rows, indent=2))
    growth = {clients: _growth([row["cpu_ratio"][clients] for row in rows]) for clients in CLIENTS}
    for clients, factor in growth.items():
        print(f"{clients} clients: a payment costs {factor:.2f} times as much at the end as at the beginning")
    sys.exit(1 if max(growth.values()) > GROWTH_MAX else 0)


def grow(tap: RunningTap, payments: int, steps: int, seconds: float) -> list[dict[str, Any]]:
    bench = Bench(tap)
    done = 0
    rows: list[dict[str, Any]] = []
    print(
        f"{'payments':>10} {'clients':>8} {'/s':>7} {'CPU ms':>8} {'api':>7} {'tp':>7} {'pg':>7} {'x TPC-B':>8} {'p50 ms':>8} {'p99 ms':>8} {'errors':>7}  memory, MB"
    )
    for step in range(steps):
        row: dict[str, Any] = {"cpu_ratio": {}, "payments": done}
        reference = bench.reference(seconds).cpu_ms_sum
        memory = {name: memory_mb(pids) for name, pids in bench.processes.items() if name != "postgresql"}
        for clients in CLIENTS:
            measured = bench.operations("payment", clients, seconds)
            done += measured.operations
            row["cpu_ratio"][clients] = measured.cpu_ms_sum / reference
            row[f"clients_{clients}"] = {"per_second": measured.rate, "cpu_ms": dict(measured.cpu_ms), "p99_ms": measured.p99_ms}
            parts = " ".join(f"{measured.cpu_ms[name]:>7.3f}" for name in ("payment-api", "transaction-processor", "postgresql"))
            print(
                f"{row['payments']:>10} {clients:>8} {measured.rate:>7.0f} {measured.cpu_ms_sum:>8.3f} {parts} {row['cpu_ratio'][clients]:>8.2f}"
                f" {measured.p50_ms:>8.1f} {measured.p99_ms:>8.1f} {measured.errors:>7}  {', '.join(f'{value:.0f}' for value in memory.values())}",
                flush=True,
            )
        rows.append(row | {"memory_mb": memory})
        wanted = payments * (step + 1) // steps - done
        if wanted > 0 and step + 1 < steps:
            done += bench.operations("payment", _FILLING_CLIENTS, _FILLING_SECONDS_MAX, operations_max=wanted).operations
    return rows


def _growth(ratios: Sequence[float]) -> float:
    third = max(1, len(ratios) // 3)
    return statistics.median(ratios[-third:]) / statistics.median(ratios[:third])


if __name__ == "__main__":
    main()
