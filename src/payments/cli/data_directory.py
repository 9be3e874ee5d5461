"""The data directory of a local run: database, secrets, logs, and what is running."""

import fcntl
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

from msgspec import Meta, Struct
from msgspec import json as msgjson

from payments.cli.private_files import make_private_directory, tighten, write_private
from payments.cli.typed import typed
from payments.runtime.keyring import KeyRing
from payments.runtime.seal import FileKeyProvider, SealError

_Kept = TypeVar("_Kept", bound=Struct)
_KeyRing = Annotated[str, Meta(pattern=r"^([0-9a-f]{64}|[0-9]{1,3}:[0-9a-f]{64}(,[0-9]{1,3}:[0-9a-f]{64})*)\Z")]
_ENTRIES = {"envelope.key", "gateway", "lock", "logs", "postgres", "run.json", "secrets.json"}
"""What a data directory may hold before it has an envelope key, since a run was stopped while it made it."""


class UsageError(Exception):
    """Something that the user can mend; the message says how, in one line."""


class Login(Struct, kw_only=True, frozen=True):
    """A login of the database's."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Login({self.user}, …)"


class Secrets(Struct, kw_only=True):
    """The secrets of a local run, kept in a file that only its owner may read."""

    api_key_pepper: _KeyRing
    internal_api_key: str
    secret_key: str = ""
    publishable_key: str = ""
    database_password: str = ""
    """Of the embedded server's owner."""
    logins: dict[str, Login] = {}
    """What each service logs in to the database with."""

    @property
    def pepper(self) -> KeyRing:
        """The keys of the hashes under which API keys are stored."""
        return KeyRing.parse(self.api_key_pepper)

    def __repr__(self) -> str:
        return "Secrets(…)"


class RunningProcess(Struct, kw_only=True):
    """A process of the run."""

    pid: int | None
    url: str | None = None


class RunningService(RunningProcess):
    """The first copy of a service, and with it the others."""

    others: list[RunningProcess] = []

    @property
    def copies(self) -> list[RunningProcess]:
        """All of them, the first one first."""
        return [RunningProcess(pid=self.pid, url=self.url), *self.others]


class Run(Struct, kw_only=True):
    """What is running."""

    supervisor_pid: int
    ready: bool
    base_url: str
    database_url: str
    postgres: RunningProcess
    gateway: RunningProcess
    services: dict[str, RunningService]
    root_certificate: str | None = None
    """What a client has to trust, with HTTPS."""


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
    def gateway(self) -> Path:
        """What the front door keeps."""
        return self.path / "gateway"

    @property
    def secrets_file(self) -> Path:
        """Keys and passwords of this run."""
        return self.path / "secrets.json"

    @property
    def _lock(self) -> Path:
        return self.path / "lock"

    @property
    def _run(self) -> Path:
        return self.path / "run.json"

    def create(self) -> None:
        """Make the directory with its secrets, unless it is there; raises `UsageError` where it can't be, or is somebody else's."""
        try:
            make_private_directory(self.path)
            self._check_ours()
            self._check_whole()
            make_private_directory(self.logs)
            if not self.envelope_key.exists():
                write_private(self.envelope_key, secrets.token_hex(32).encode())
            if not self.secrets_file.exists():
                self.save_secrets(Secrets(api_key_pepper=secrets.token_hex(32), internal_api_key=secrets.token_urlsafe(32)))
        except OSError as failure:
            raise UsageError(
                f"Can't write to the data directory {self.path}: {failure.strerror}. Choose another with --data-dir."
            ) from None

    def _check_ours(self) -> None:
        """Before anything is put in, and before anybody's rights are taken away."""
        if os.geteuid() not in {0, self.path.stat().st_uid}:
            raise UsageError(f"The directory {self.path} belongs to another user. Choose another with --data-dir.")
        found = {path.name for path in self.path.iterdir()}
        unfinished = tuple(f".{name}." for name in _ENTRIES)  # as `write_private` calls a file until it is whole
        if self.envelope_key.name not in found and any(name not in _ENTRIES and not name.startswith(unfinished) for name in found):
            raise UsageError(f"The directory {self.path} has other files than Tap's. Choose another with --data-dir.")

    def _check_whole(self) -> None:
        """A key made anew opens nothing that was sealed with the one that is lost, and passwords made anew don't let into the database."""
        for path in (self.envelope_key, self.secrets_file):
            if not path.exists() and any(self.postgres.glob("data/*")):
                raise UsageError(
                    f"{path} is missing, without which the database is of no use: restore it from a copy, or choose another directory with --data-dir."
                )

    def check_envelope_key(self) -> None:
        """Raise `UsageError` when the services wouldn't start with it."""
        try:
            FileKeyProvider(self.envelope_key).envelope_keys()
        except SealError:
            raise _damaged(self.envelope_key) from None

    def tighten(self) -> None:
        """Take all rights of others, who may have had some; for who has the lock, since a server may be running."""
        try:
            tighten(self.path, self.logs)
        except OSError as failure:
            raise UsageError(f"Can't take others' rights from {failure.filename}: {failure.strerror}.") from None

    def lock(self) -> int:
        """Take the directory for this process as long as it lives; raises `UsageError` when another has it."""
        try:
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.fchmod(descriptor, 0o600)
        except OSError as failure:
            raise UsageError(
                f"Can't write to the data directory {self.path}: {failure.strerror}. Choose another with --data-dir."
            ) from None
        while not _flock(descriptor, fcntl.LOCK_EX):
            if not _flock(descriptor, fcntl.LOCK_SH):
                os.close(descriptor)
                raise UsageError(f"Tap runs in {self.path} already. Stop it with: {self.command('down')}")
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # somebody is only asking, and will be gone in a moment
            time.sleep(0.01)
        return descriptor

    def is_locked(self) -> bool:
        """Tell whether a run has the directory; raises `UsageError` when we may not know."""
        try:
            descriptor = os.open(self._lock, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as failure:
            raise UsageError(f"Can't read the data directory {self.path}: {failure.strerror}.") from None
        try:
            return not _flock(descriptor, fcntl.LOCK_SH)  # shared: who asks keeps nobody else from asking
        finally:
            os.close(descriptor)

    def secrets(self) -> Secrets:
        """Read the secrets; raises `UsageError` when they can't be read, or aren't any."""
        return _decode(self.secrets_file, Secrets)

    def save_secrets(self, kept: Secrets) -> None:
        """Write the secrets."""
        write_private(self.secrets_file, msgjson.encode(kept))

    def run(self) -> Run:
        """Return what is running; raises `UsageError` when nothing is."""
        if self.is_locked() and self._run.exists():
            return _decode(self._run, Run)
        raise UsageError(f"Tap isn't running in {self.path}. Start it with: {self.command('up')}")

    def command(self, *arguments: object) -> str:
        """Return a `tap` command about this directory, as it is typed."""
        return typed(*arguments, "--data-dir", self.path)

    def save_run(self, run: Run | None) -> None:
        """Write what is running, or that nothing is."""
        if run is None:
            self._run.unlink(missing_ok=True)
        else:
            write_private(self._run, msgjson.format(msgjson.encode(run), indent=2))


def _flock(descriptor: int, kind: int) -> bool:
    """Take a lock if it is free; tells whether it was."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _decode(path: Path, kind: type[_Kept]) -> _Kept:
    """Read a file of ours. What it holds is never told."""
    try:
        return msgjson.decode(path.read_bytes(), type=kind)
    except OSError as failure:
        raise UsageError(f"Can't read {path}: {failure.strerror}.") from None
    except ValueError:  # of JSON, of UTF-8 and of types
        raise _damaged(path) from None


def _damaged(path: Path) -> UsageError:
    return UsageError(f"{path} is damaged: restore it from a copy, or choose another directory with --data-dir.")
