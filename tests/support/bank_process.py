"""The bank as a process of its own, as `tap acquirer-simulator` starts it."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.acquirers_to_test import ISO8583_SETTINGS
from tests.support.children import ends_with_us
from tests.support.running_tap import free_port

SECRET = "a secret of the tests, and of no bank's"


@dataclass
class BankProcess:
    directory: Path
    options: tuple[str, ...] = ()
    name: str = "bank"
    port: int = field(default_factory=free_port)
    control_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def record(self) -> Path:
        return self.directory / "bank.sqlite"

    @property
    def configuration(self) -> Path:
        return self.directory / "acquirers.toml"

    def write_configuration(self) -> None:
        secret = self.directory / "bank.key"
        secret.write_text(SECRET)
        secret.chmod(0o600)
        self.configuration.write_text(self.entry("bank.key"))

    def entry(self, secret_file: str) -> str:
        """What acquirers.toml says of it."""
        return (
            f'[[acquirer]]\nname = "{self.name}"\nkind = "http"\nmode = "test"\nurl = "http://127.0.0.1:{self.port}"\nkey_id = "tap"\n'
            f'secret_file = "{secret_file}"\n'
        )

    def start(self) -> None:
        command = [sys.executable, "-m", "payments.cli", "acquirer-simulator", "--port", str(self.port), *self.options]
        command += ["--control-port", str(self.control_port), "--record", str(self.record)]
        command += ["--secret-file", str(self.directory / "bank.key")]
        with (self.directory / "bank.log").open("ab") as log:
            self.process = subprocess.Popen(ends_with_us(*command), stdout=log, stderr=log)
        while True:
            assert self.process.poll() is None, (self.directory / "bank.log").read_text()
            try:
                self.state()
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.02)
            else:
                return

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        assert self.process is not None
        if self.process.poll() is None:
            os.kill(self.process.pid, number)
        if number is signal.SIGKILL:
            self.process.wait()

    def restart(self) -> None:
        self.kill()
        self.start()

    def state(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.control_port}/", timeout=5) as answer:
            return json.load(answer)

    def does(self, fault: str, **options: Any) -> None:
        body = json.dumps({"fault": fault, **options}).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.control_port}/", data=body, timeout=5) as answer:
            assert answer.status == 200

    def approved(self) -> list[tuple[str, str, int, str]]:
        """What it approved: reference, kind, amount, currency."""
        connection = sqlite3.connect(f"file:{self.record}?mode=ro", uri=True)
        try:
            return connection.execute("SELECT reference, kind, amount, currency FROM orders WHERE approved AND NOT reversed").fetchall()
        finally:
            connection.close()


@contextmanager
def bank_process(directory: Path, *options: str, name: str = "bank") -> Generator[BankProcess]:
    directory.mkdir(exist_ok=True)
    bank = BankProcess(directory, options, name)
    bank.write_configuration()
    bank.start()
    try:
        yield bank
    finally:
        bank.kill()


@contextmanager
def iso8583_process(directory: Path, *, slow_seconds: float) -> Generator[BankProcess]:
    """The same over ISO 8583, as far away as `slow_seconds` there and back."""
    bank = BankProcess(directory, ("--protocol", "iso8583", "--fault", "slow", "--seconds", str(slow_seconds)))
    bank.write_configuration()  # the secret, which cards are digested with in its record
    settings = {**ISO8583_SETTINGS, "kind": "iso8583", "mode": "test", "port": bank.port}
    bank.configuration.write_text("[[acquirer]]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items()))
    bank.start()
    try:
        yield bank
    finally:
        bank.kill()
