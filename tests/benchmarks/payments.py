"""What operations of the API cost, beside pgbench's TPC-B on the same server in the same rounds: `make bench`."""

import argparse
import json
import os
import platform
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.flows import FLOWS
from tests.benchmarks.machine import flush_ms, memory_mb, processor
from tests.benchmarks.measuring import Bench, Measured
from tests.support.bank_process import iso8583_process
from tests.support.running_tap import RunningTap, running_tap

RESULTS = Path("bench-results")
IDLE_SECONDS = 30.0
"""Long enough for what is done every fifteen."""
COPIES = 2
ELSEWHERE = [("payment", 128)]
"""What is measured with several processes of each service as well, and with a host's acquirer. Each process takes one core: on a machine of two they get in each
other's way."""
ISO8583, ROUND_TRIP_SECONDS = "ISO 8583", 0.02
"""A payment that a host approves over one line, as far away as one in another country."""
PLAN = [
    *(("payment", clients) for clients in (1, 8, 32, 128)),
    ("hold + capture", 8),
    *((flow, 8 if flow == "list of 10" else 128) for flow in FLOWS if flow != "payment"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4, help="how long each measurement takes")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is repeated; what is told is the median")
    parser.add_argument("--flows", nargs="*", default=list(FLOWS), help="operations that are measured")
    parser.add_argument("--clients", type=int, nargs="*", help="numbers of clients that are measured")
    options = parser.parse_args()
    plan = [(flow, clients) for flow, clients in PLAN if flow in options.flows and (not options.clients or clients in options.clients)]
    with (
        tempfile.TemporaryDirectory() as directory,
        iso8583_process(Path(directory), slow_seconds=ROUND_TRIP_SECONDS) as bank,
        running_tap() as one,
        running_tap(None, "--copies", str(COPIES)) as several,
        running_tap({"TAP_ACQUIRERS": str(bank.configuration)}) as hosted,
    ):
        report = measure(one, {f"{COPIES} copies": several, ISO8583: hosted}, plan, options.rounds, options.seconds)
        books = [tap.tap("verify").stdout.strip().splitlines()[-1] for tap in (one, several, hosted)]
    print("\n" + "\n".join(books))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "payments.json").write_text(json.dumps(report, indent=2))
    print(f"written: {RESULTS / 'payments.json'}")


def measure(
    one: RunningTap, others: Mapping[str, RunningTap], plan: Sequence[tuple[str, int]], rounds: int, seconds: float
) -> dict[str, Any]:
    bench, differently = Bench(one), {name: Bench(tap) for name, tap in others.items()}
    memory = {name: memory_mb(pids) for name, pids in bench.processes.items()}
    idle = bench.idle_cpu_ms(IDLE_SECONDS)
    flush = flush_ms(one.data_dir)
    print(f"idle: {_listed(memory, 'MB')}; {_listed(idle, 'ms of CPU a second')}; a flush to the disk: {flush:.2f} ms")
    references: list[Measured] = []
    measured: dict[tuple[str, int], list[Measured]] = {each: [] for each in plan}
    shared: dict[tuple[str, int], list[Measured]] = {
        (f"{flow}, {name}", clients): [] for name in others for flow, clients in ELSEWHERE if (flow, clients) in plan
    }
    for number in range(rounds):
        references.append(bench.reference(seconds))
        for (flow, clients), results in measured.items():
            results.append(bench.operations(flow, clients, seconds))
        for (name, clients), results in shared.items():
            flow, _, where = name.partition(", ")
            results.append(differently[where].operations(flow, clients, seconds))
        print(f"round {number + 1} of {rounds}", flush=True)
    return {
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "processor": processor(),
        "python": platform.python_version(),
        "flush_ms": flush,
        "idle": {"memory_mb": memory, "cpu_ms_per_second": idle},
        "tpc_b": _row(references, references),
        "operations": [
            {"operation": flow, "clients": clients, **_row(results, references)} for (flow, clients), results in (measured | shared).items()
        ],
        "table": _print(measured | shared, references),
    }


def _print(measured: dict[tuple[str, int], list[Measured]], references: Sequence[Measured]) -> list[str]:
    lines = [
        f"{'operation':<20}{'clients':>8}{'CPU ms':>8}{'of it:':>7}{'api':>7}{'tp':>7}{'pg':>7}{'TPC-B':>8}{'/s':>7}{'TPC-B/s':>9}{'p50 ms':>8}{'p99 ms':>8}{'errors':>7}"
    ]
    reference = _row(references, references)
    lines.append(f"{'TPC-B':<20}{8:>8}{reference['cpu_ms']:>8.3f}{'':>28}{1:>8.2f}{reference['per_second']:>7.0f}{1:>9.2f}")
    for (flow, clients), results in measured.items():
        row = _row(results, references)
        parts = "".join(f"{row['cpu_ms_by_process'][name]:>7.3f}" for name in ("payment-api", "transaction-processor", "postgresql"))
        lines.append(
            f"{flow:<20}{clients:>8}{row['cpu_ms']:>8.3f}{'':>7}{parts}{row['cpu_ratio']:>8.2f}{row['per_second']:>7.0f}{row['ratio']:>9.2f}"
            f"{row['p50_ms']:>8.1f}{row['p99_ms']:>8.1f}{row['errors']:>7}"
        )
        lines += [f"    {each.first_error}" for each in results if each.first_error]
    print("\n" + "\n".join(lines))
    return lines


def _row(results: Sequence[Measured], references: Sequence[Measured]) -> dict[str, Any]:
    """Medians over the rounds; the ratios are those of each round to the reference in it."""

    def median(values: Sequence[float]) -> float:
        return round(statistics.median(values), 3)

    pairs = list(zip(results, references, strict=True))
    return {
        "cpu_ms": median([each.cpu_ms_sum for each in results]),
        "cpu_ms_by_process": {name: median([each.cpu_ms[name] for each in results]) for name in results[0].cpu_ms},
        "cpu_ratio": median([reference.cpu_ms_sum / each.cpu_ms_sum for each, reference in pairs]),
        "per_second": median([each.rate for each in results]),
        "ratio": median([each.rate / reference.rate for each, reference in pairs]),
        "p50_ms": median([each.p50_ms for each in results]),
        "p99_ms": median([each.p99_ms for each in results]),
        "errors": sum(each.errors for each in results),
        "rounds": [{"cpu_ms": each.cpu_ms_sum, "per_second": each.rate} for each in results],
    }


def _listed(figures: Any, unit: str) -> str:
    return ", ".join(f"{name} {value:.1f}" for name, value in figures.items()) + f" {unit}"


if __name__ == "__main__":
    main()
