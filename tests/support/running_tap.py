"""The whole system as real processes, started with the `tap` command and stopped without a trace."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import stripe

from payments.cli.data_directory import DataDirectory
from payments.cli.status import what_runs


@dataclass(frozen=True)
class RunningTap:
    data_dir: Path
    port: int

    def status(self) -> dict[str, Any]:
        """What `tap status --json` says and keeps being so while all runs: it is read where the command reads it, which costs no process."""
        directory = DataDirectory(self.data_dir)
        run, secrets = directory.run(), directory.secrets()
        services = {
            name: {"pid": service.pid, "url": service.url, "copies": [{"pid": copy.pid, "url": copy.url} for copy in service.copies]}
            for name, service in run.services.items()
        }
        return {**what_runs(run, secrets), "services": services}

    def shown_status(self) -> dict[str, Any]:
        """What the command says, which asks each service and the database how they are."""
        return json.loads(self.tap("status", "--json").stdout)

    def client(self, key: str | None = None, **options: Any) -> stripe.StripeClient:
        """A client of a merchant's; without a key, of the sandbox."""
        status = self.status()
        return stripe.StripeClient(key or status["secret_key"], base_addresses={"api": status["base_url"]}, **options)

    def kill(self, name: str, copy: int = 0) -> None:
        """Kill the database, or a copy of a service."""
        status = self.status()
        pid = status["postgres"]["pid"] if name == "postgres" else status["services"][name]["copies"][copy]["pid"]
        if pid is not None:  # it may be about to be started again
            os.kill(pid, signal.SIGKILL)

    def create_key(self, *options: str) -> str:
        return self.tap("keys", "create", *options).stdout.strip().splitlines()[-1]

    def tap(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return run_tap(*arguments, "--data-dir", str(self.data_dir), check=check)


def run_tap(
    *arguments: str, check: bool = True, environment: Mapping[str, str] | None = None, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "payments.cli", *arguments]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TAP_")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env={**inherited, **(environment or {})}, check=False)
    if check and done.returncode:
        raise AssertionError(f"tap {' '.join(arguments)} exited with {done.returncode}: {done.stdout}{done.stderr}")
    return done


@contextmanager
def running_tap(environment: Mapping[str, str] | None = None, *options: str, copied_from: Path | None = None) -> Generator[RunningTap]:
    """Start it with `options` of `tap up`, from nothing or from a copy of another one's data directory."""
    data_dir = Path(tempfile.mkdtemp(prefix="tap-test-"))
    tap = RunningTap(data_dir, free_port())
    try:
        if copied_from is not None:
            copy_data_directory(copied_from, data_dir)
        run_tap("up", "--detach", "--port", str(tap.port), "--data-dir", str(data_dir), *options, environment=environment)
        yield tap
    finally:
        run_tap("down", "--data-dir", str(data_dir), check=False)
        shutil.rmtree(data_dir, ignore_errors=True)


def copy_data_directory(ended: Path, data_dir: Path) -> None:
    """Copy that of a run that has ended, with the owners of its files: to make the database takes longer."""
    subprocess.run(["cp", "-a", f"{ended}/.", data_dir], check=True)


def make_data_directory(data_dir: Path) -> None:
    """Have a run of its own make it, and end: the directories around a test's own are pytest's, and as root `tap up` opens those to its server's user."""
    with running_tap() as tap:
        tap.tap("down")
        copy_data_directory(tap.data_dir, data_dir)


def _ports_of_this_worker() -> list[int]:
    """Outside of what the kernel hands out for outgoing connections, and of what `tap up` chooses from; no other worker of pytest's has them."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    ports = range(12_000 + worker, 19_000, workers)
    return random.sample(ports, len(ports))


_ports = _ports_of_this_worker()


def free_port() -> int:
    """A port to listen on later: it is given to nobody else meanwhile."""
    while True:
        port = _ports.pop()
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
