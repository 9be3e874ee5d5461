"""More copies of a running system's services, on machines of their own as far as clocks go."""

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from payments.cli.private_files import open_private
from payments.runtime.topology import HEALTH_PATH, SERVICES, Service
from tests.support.children import ends_with_us
from tests.support.running_tap import RunningTap, free_port
from tests.support.waiting import wait_until

_WITH_ANOTHER_CLOCK = """
import runpy, sys, time
seconds, clock, clock_ns = float(sys.argv[1]), time.time, time.time_ns
time.time = lambda: clock() + seconds
time.time_ns = lambda: clock_ns() + int(seconds * 1e9)
runpy.run_module(sys.argv[2], run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True)
class Copy:
    url: str
    process: subprocess.Popen[bytes]


@contextmanager
def copy_of(tap: RunningTap, service: Service, *, clock_ahead_seconds: float = 0) -> Generator[Copy]:
    """Run another copy of a service, with the environment of the one that runs."""
    running = psutil.Process(tap.status()["services"][service]["pid"])
    port = free_port()
    environment = {**running.environ(), "TAP_PORT": str(port)}
    command = [sys.executable, "-c", _WITH_ANOTHER_CLOCK, str(clock_ahead_seconds), SERVICES[service].module]
    with open_private(tap.data_dir / "logs" / f"{service}-{port}.log", append=False) as log:
        process = subprocess.Popen(ends_with_us(*command), env=environment, stdout=log, stderr=log)
    try:
        copy = Copy(f"http://127.0.0.1:{port}", process)
        wait_until(lambda: answers_well(copy.url + HEALTH_PATH), f"another {service} is healthy")
        yield copy
    finally:
        process.terminate()
        process.wait(60)


def answers_well(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False
