"""An engine of the rehearsal's own: `dockerd` with its own files, started and stopped, whatever an earlier run left behind."""

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

_RUN = Path("/run")
"""Only root writes there, and its paths are short enough for a socket's."""
_START_SECONDS_MAX = 60.0
_STOP_SECONDS_MAX = 30.0
_POLL_SECONDS = 0.1


class EngineError(Exception):
    """There is no engine to rehearse on, or it refused something; the message is one line."""


@contextmanager
def private_engine(directory: Path, *, dockerd: str, answers: Callable[[Path], bool]) -> Generator[Path]:
    """Run `dockerd` with its data in `directory`, and give its socket; raises `EngineError`. What it was made of goes at the end, its data stays."""
    if os.geteuid():
        raise EngineError("No Docker engine runs, and only root can start one: start Docker, or name an engine by DOCKER_HOST.")
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise EngineError(f"Another rehearsal runs with the engine in {directory}: wait until it is done.") from None
        runtime = _RUN / f"tap-rehearsal-{hashlib.sha256(os.fsencode(directory)).hexdigest()[:8]}"
        runtime.mkdir(mode=0o711, exist_ok=True)
        stop_left_over(runtime / "pid", directory / "data")
        end_orphans(runtime)
        try:
            with _daemon(directory, runtime, dockerd, answers):
                yield runtime / "socket"
        finally:
            end_orphans(runtime)
            _unmount(runtime)
            _unmount(directory / "data")
            shutil.rmtree(runtime, ignore_errors=True)


@contextmanager
def _daemon(directory: Path, runtime: Path, dockerd: str, answers: Callable[[Path], bool]) -> Generator[None]:
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(
            [
                dockerd,
                *("--data-root", str(directory / "data"), "--exec-root", str(runtime / "exec"), "--pidfile", str(runtime / "pid")),
                *("--host", f"unix://{runtime / 'socket'}", "--bridge", "none", "--log-level", "warn"),
            ],
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the rehearsal, which stops its containers first
        )
    try:
        deadline = time.monotonic() + _START_SECONDS_MAX
        while not answers(runtime / "socket"):
            if process.poll() is not None or time.monotonic() > deadline:
                lines = (directory / "log").read_text(errors="replace").splitlines()
                raise EngineError(f"The engine doesn't start: {lines[-1] if lines else 'it says nothing'} ({directory / 'log'})")
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def stop_left_over(pid_file: Path, data: Path) -> None:
    """Stop the engine that a killed rehearsal left running on this data, and remove its pid file, which would keep another from starting.

    The number may be another process's by now: that one is left alone.
    """
    try:
        pid = int(pid_file.read_text())
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        arguments, pid = [], 0
    if os.fsencode(data) in arguments:
        deadline = time.monotonic() + _STOP_SECONDS_MAX
        _kill(pid, signal.SIGTERM)
        while _runs(pid):
            if time.monotonic() > deadline:
                _kill(pid, signal.SIGKILL)
            time.sleep(_POLL_SECONDS)
    pid_file.unlink(missing_ok=True)


def end_orphans(runtime: Path) -> None:
    """End what an engine leaves when it is killed: `containerd`, and its shims with their containers. Each has a path below `runtime` as an argument."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            program, *arguments = (process / "cmdline").read_bytes().split(b"\0")
            if not (Path(os.fsdecode(program)).name.startswith("containerd") and any(os.fsencode(runtime) in each for each in arguments)):
                continue
            # A container's first process takes the others with it.
            children = [int(each) for task in (process / "task").iterdir() for each in (task / "children").read_text().split()]
        except OSError:
            continue  # it has ended by itself
        for pid in (int(process.name), *children):
            _kill(pid, signal.SIGKILL)
    (runtime / "exec/containerd/containerd.pid").unlink(missing_ok=True)


def _kill(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it may end by itself at any moment
        os.kill(pid, number)


def _runs(pid: int) -> bool:
    try:
        # A process that ended is there until its parent asks.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _unmount(directory: Path) -> None:
    """Undo what a killed engine left mounted below a directory, the innermost first."""
    mounted_there = mounts_below(directory, Path("/proc/self/mounts").read_text())
    # The engine mounts its data on itself. A file system that somebody else mounted there is another device.
    if directory.exists() and directory.stat().st_dev == directory.parent.stat().st_dev:
        mounted_there.append(str(directory))
    for mounted in sorted(mounted_there, reverse=True):
        subprocess.run(["umount", "--lazy", mounted], capture_output=True, timeout=_STOP_SECONDS_MAX, check=False)


def mounts_below(directory: Path, table: str) -> list[str]:
    """Return the mount points below a directory, of a table as proc(5) describes it, in which a space is written as its octal number."""
    points = [line.split()[1].encode().decode("unicode_escape") for line in table.splitlines() if line]
    return [point for point in points if directory in Path(point).parents]
