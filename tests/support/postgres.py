"""PostgreSQL servers of the tests' own: one that trusts whoever reaches its socket, and one that wants a password over TCP."""

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from payments.cli.postgres import EmbeddedPostgres
from tests.support.children import ends_with_us
from tests.support.running_tap import free_port
from tests.support.waiting import wait_until

_HBA = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"


@contextmanager
def running_postgres(*, hba: str | None = None, **settings: str) -> Generator[EmbeddedPostgres]:
    """Run a server until the context is left; `hba` replaces its pg_hba.conf."""
    directory = Path(tempfile.mkdtemp(prefix="tap-pg-"))
    server = EmbeddedPostgres(directory, **settings)
    server.prepare()
    if hba is not None:
        (directory / "data" / "pg_hba.conf").write_text(hba)
    program = server.program(directory / "postgres.log")
    with (directory / "postgres.log").open("ab") as log:
        process = subprocess.Popen(
            ends_with_us(*program.command, stopped_by=signal.SIGINT, user=program.user),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=dict(program.environment),
        )
    try:
        wait_until(lambda: _answers(server, settings.get("port", "5432")), "PostgreSQL answers")
        yield server
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
        server.tidy()
        shutil.rmtree(directory, ignore_errors=True)


def _answers(server: EmbeddedPostgres, port: str) -> bool:
    try:
        psycopg.connect(server.url("postgres"), port=port).close()
    except psycopg.OperationalError:
        return False
    return True


@dataclass(frozen=True)
class PasswordServer:
    """A server that is reached on 127.0.0.1 with a password, and by the tests on its socket without."""

    server: EmbeddedPostgres
    port: int
    log: Path

    def admin(self, database: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(self.server.url(database), port=self.port, autocommit=True)

    def url(self, user: str, password: str, database: str) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def set_password(self, user: str, password: str) -> None:
        with self.admin() as connection:
            connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(user), sql.Literal(password)))

    def end_sessions(self, user: str) -> set[int]:
        """End a user's sessions, as a fail-over does; returns their process ids."""
        with self.admin() as connection:
            ended = connection.execute(
                "WITH theirs AS MATERIALIZED (SELECT pid FROM pg_stat_activity WHERE usename = %s) "
                "SELECT pid FROM theirs WHERE pg_terminate_backend(pid, 5000)",
                (user,),
            ).fetchall()
        return {pid for (pid,) in ended}

    def refusals(self) -> int:
        """How many logins the server has refused."""
        return self.log.read_text().count("password authentication failed")


@contextmanager
def password_server(**settings: str) -> Generator[PasswordServer]:
    """Run a server with password authentication (scram-sha-256) on 127.0.0.1."""
    port = free_port()
    address = {"listen_addresses": "127.0.0.1", "port": str(port), "password_encryption": "scram-sha-256"}
    with running_postgres(hba=_HBA, fsync="off", shared_buffers="64MB", **address, **settings) as server:
        yield PasswordServer(server, port, server._directory / "postgres.log")
