"""What the system under load takes of the machine: CPU time by process, memory, and what a flush to the disk takes. Source: proc(5)."""

import contextlib
import os
import platform
import statistics
import time
from collections.abc import Iterable
from pathlib import Path

from payments.cli.data_directory import DataDirectory
from tests.support.running_tap import RunningTap

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def processes(tap: RunningTap) -> dict[str, tuple[int, ...]]:
    """The process ids of each service's copies, and of the database, by name."""
    services = {name: tuple(int(copy["pid"]) for copy in service["copies"]) for name, service in tap.status()["services"].items()}
    postmaster = (DataDirectory(tap.data_dir).postgres / "data" / "postmaster.pid").read_text().splitlines()[0]
    return services | {"postgresql": (int(postmaster),)}


def cpu_seconds(pids: Iterable[int]) -> float:
    """The user and system time of processes, their children that are and those that were."""
    family = _descendants(pids)
    return sum(sum(int(field) for field in fields[11:15]) for each in family if (fields := _stat(each)) is not None) / _TICKS_PER_SECOND


def exact_cpu_ms(pids: Iterable[int]) -> float:
    """The CPU time of processes and their children that are. What processes that ended took isn't in it: for those that are idle, of which a clock tick
    would be too coarse a measure."""
    total = 0
    for pid in _descendants(pids):
        try:
            total += sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total / 1e6


def _descendants(pids: Iterable[int]) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) is not None:
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = list[int](), list(pids)
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    return found


def _stat(pid: int) -> list[str] | None:
    """What comes after a process's name, from its state on."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def memory_mb(pids: Iterable[int]) -> float:
    """What of processes is in memory."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def processor() -> str:
    """What the machine says that its processor is."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


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
