"""What the system under load takes of the machine: CPU time by process, memory, and what a flush to the disk takes. Source: proc(5)."""

import os
import statistics
import time
from pathlib import Path

from payments.cli.data_directory import DataDirectory
from tests.support.running_tap import RunningTap

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def processes(tap: RunningTap) -> dict[str, int]:
    """The process ids of services and database, by name."""
    services = {name: int(service["pid"]) for name, service in tap.status()["services"].items()}
    postmaster = (DataDirectory(tap.data_dir).postgres / "data" / "postmaster.pid").read_text().splitlines()[0]
    return services | {"postgresql": int(postmaster)}


def cpu_seconds(pid: int) -> float:
    """The user and system time of a process, its children that are and those that were."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) is not None:
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    total, waiting = 0, [pid]
    while waiting:
        each = waiting.pop()
        waiting += children.get(each, [])
        fields = _stat(each)
        total += 0 if fields is None else sum(int(field) for field in fields[11:15])
    return total / _TICKS_PER_SECOND


def _stat(pid: int) -> list[str] | None:
    """What comes after a process's name, from its state on."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def memory_mb(pid: int) -> float:
    """What of a process is in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def flush_ms(directory: Path, times: int = 50) -> float:
    """What it takes to have a page on the disk, as the median."""
    taken: list[float] = []
    path = directory / "flush"
    with path.open("wb", buffering=0) as file:
        file.write(bytes(8192 * times))
        for position in range(times):
            started = time.perf_counter()
            os.pwrite(file.fileno(), b"x" * 8192, position * 8192)
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter() - started) * 1000)
    path.unlink()
    return statistics.median(taken)
