"""The data directory of a local run: database, secrets, logs, and what is running."""

import contextlib
import fcntl
import os
import secrets
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from msgspec import Struct
from msgspec import json as msgjson


class UsageError(Exception):
    """Something that the user can mend; the message says how, in one line."""


class Secrets(Struct, kw_only=True):
    """The secrets of a local run, kept in a file that only its owner may read."""

    api_key_pepper: str
    internal_api_key: str
    secret_key: str = ""
    publishable_key: str = ""

    def __repr__(self) -> str:
        return "Secrets(…)"


class RunningProcess(Struct, kw_only=True):
    """A process of the run."""

    pid: int | None
    url: str | None = None


class Run(Struct, kw_only=True):
    """What is running."""

    supervisor_pid: int
    ready: bool
    base_url: str
    database_url: str
    postgres: RunningProcess
    gateway: RunningProcess
    services: dict[str, RunningProcess]


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """Finds and keeps the files of a data directory."""

    path: Path

    @property
    def postgres(self) -> Path:
        """The embedded server's files."""
        return self.path / "postgres"

    @property
    def logs(self) -> Path:
        """One log a process."""
        return self.path / "logs"

    @property
    def envelope_key(self) -> Path:
        """The key that seals card numbers and webhook secrets."""
        return self.path / "envelope.key"

    @property
    def _secrets(self) -> Path:
        return self.path / "secrets.json"

    @property
    def _lock(self) -> Path:
        return self.path / "lock"

    @property
    def _run(self) -> Path:
        return self.path / "run.json"

    def create(self) -> None:
        """Make the directory with its secrets, unless it is there."""
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
        except OSError as failure:
            raise UsageError(
                f"Can't write to the data directory {self.path}: {failure.strerror}. Choose another with --data-dir."
            ) from None
        if not self.envelope_key.exists():
            _write_private(self.envelope_key, secrets.token_hex(32).encode())
        if not self._secrets.exists():
            self.save_secrets(Secrets(api_key_pepper=secrets.token_hex(32), internal_api_key=secrets.token_urlsafe(32)))

    def lock(self) -> int:
        """Take the directory for this process as long as it lives; raises `UsageError` when another has it."""
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        while not _flock(descriptor, fcntl.LOCK_EX):
            if not _flock(descriptor, fcntl.LOCK_SH):
                os.close(descriptor)
                raise UsageError(f"Tap runs in {self.path} already. Stop it with: tap down --data-dir {self.path}")
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # somebody is only asking, and will be gone in a moment
            time.sleep(0.01)
        return descriptor

    def is_locked(self) -> bool:
        """Tell whether a run has the directory."""
        try:
            descriptor = os.open(self._lock, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            return not _flock(descriptor, fcntl.LOCK_SH)  # shared: who asks keeps nobody else from asking
        finally:
            os.close(descriptor)

    def secrets(self) -> Secrets:
        """Read the secrets."""
        return msgjson.decode(self._secrets.read_bytes(), type=Secrets)

    def save_secrets(self, kept: Secrets) -> None:
        """Write the secrets."""
        _write_private(self._secrets, msgjson.encode(kept))

    def run(self) -> Run:
        """Return what is running; raises `UsageError` when nothing is."""
        if self.is_locked():
            with contextlib.suppress(FileNotFoundError):
                return msgjson.decode(self._run.read_bytes(), type=Run)
        raise UsageError(f"Tap isn't running in {self.path}. Start it with: tap up --data-dir {self.path}")

    def save_run(self, run: Run | None) -> None:
        """Write what is running, or that nothing is."""
        if run is None:
            self._run.unlink(missing_ok=True)
        else:
            _write_private(self._run, msgjson.format(msgjson.encode(run), indent=2))


def _flock(descriptor: int, kind: int) -> bool:
    """Take a lock if it is free; tells whether it was."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_private(path: Path, content: bytes) -> None:
    """Replace a file at once, readable by its owner only."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp makes it 0600
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    Path(name).replace(path)
