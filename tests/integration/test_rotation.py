"""The database's password is rotated while everything runs, and nothing is restarted."""

import asyncio
import io
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager

import pytest

from payments.runtime.background import Background
from payments.runtime.logging import Logger
from payments.storage.credentials import PAUSE_SECONDS, Credentials, LoginRefusedError
from payments.storage.database import CONNECTION_FAILURES, Pool, connect, is_healthy, open_pool
from payments.storage.sessions import Sessions
from payments.storage.wakeup import CHANNEL, Wakeup
from tests.integration.builders import FakeClock
from tests.support.postgres import PasswordServer, password_server
from tests.support.secrets_manager import FakeSecretsManager, fake_secrets_manager
from tests.support.waiting import eventually

OLD, NEW = "old-password", "new-password"
CONNECTIONS = 8


@pytest.fixture(scope="module")
def shared_server() -> Generator[PasswordServer]:
    with password_server() as running:
        with running.admin() as connection:
            connection.execute("CREATE ROLE tap LOGIN")
        yield running


@pytest.fixture
def server(shared_server: PasswordServer) -> PasswordServer:
    shared_server.set_password("tap", OLD)
    return shared_server


@pytest.fixture
def secrets() -> Generator[FakeSecretsManager]:
    with fake_secrets_manager() as fake:
        fake.passwords = {"AWSCURRENT": OLD}
        yield fake
        assert fake.forged == []


class Database:
    """A pool of connections that keep up with rotation, as a service has it."""

    def __init__(self, server: PasswordServer, secrets: FakeSecretsManager) -> None:
        self.server, self.secrets = server, secrets
        self.url = server.url("tap", OLD, "postgres")
        self.clock, self.output = FakeClock(), io.BytesIO()
        self.log = Logger("test", self.output)
        self.credentials = Credentials(secrets.location(), self.url, self.clock, self.log)

    @asynccontextmanager
    async def pool(self) -> AsyncGenerator[Pool]:
        async with open_pool(self.url, role=None, name="rotation", size_max=CONNECTIONS, sessions=Sessions(self.credentials)) as pool:
            yield pool

    async def end_sessions(self, pool: Pool) -> None:
        """End all sessions, and wait until the pool has noticed."""
        ended = await asyncio.to_thread(self.server.end_sessions, "tap")
        holders = pool._holders  # pyright: ignore[reportAttributeAccessIssue]

        async def noticed() -> bool:
            return all(holder._con is None or holder._con.is_closed() or holder._con.get_server_pid() not in ended for holder in holders)

        await eventually(noticed, "the pool has noticed")

    def shown(self) -> str:
        """Whatever is logged or printed of it."""
        self.log.flush()
        return self.output.getvalue().decode() + repr(self.credentials)


@pytest.fixture
def database(server: PasswordServer, secrets: FakeSecretsManager) -> Database:
    return Database(server, secrets)


async def queries(pool: Pool, count: int = CONNECTIONS) -> list[object]:
    return await asyncio.gather(*(pool.fetchval("SELECT 1 FROM pg_sleep(0.05)") for _ in range(count)), return_exceptions=True)


async def test_nothing_is_read_as_long_as_nothing_is_refused(database: Database) -> None:
    async with database.pool() as pool:
        assert await queries(pool) == [1] * CONNECTIONS
    assert database.secrets.reads == []


async def test_a_pool_goes_on_after_a_rotation_and_reads_the_secret_once(database: Database) -> None:
    async with database.pool() as pool:
        assert await queries(pool) == [1] * CONNECTIONS
        database.secrets.passwords = {"AWSCURRENT": NEW}  # first: a login that is refused reads it at once
        database.server.set_password("tap", NEW)
        assert await queries(pool) == [1] * CONNECTIONS, "sessions outlive their password"
        assert database.secrets.reads == []
        await database.end_sessions(pool)
        assert await queries(pool) == [1] * CONNECTIONS
        assert await is_healthy(pool)
    assert database.secrets.reads == ["AWSCURRENT"]
    assert '"event":"database password read again"' in database.shown()
    assert OLD not in database.shown()
    assert NEW not in database.shown()


async def test_a_service_that_starts_with_yesterdays_password_starts(database: Database) -> None:
    database.server.set_password("tap", NEW)
    database.secrets.passwords = {"AWSCURRENT": NEW}
    async with database.pool() as pool:
        assert await queries(pool) == [1] * CONNECTIONS
    assert database.secrets.reads == ["AWSCURRENT"]


async def test_the_pending_password_serves_until_the_rotation_is_complete(database: Database) -> None:
    """Rotation changes the database's password some seconds before it moves the secret's current version."""
    database.server.set_password("tap", NEW)
    database.secrets.passwords = {"AWSCURRENT": OLD, "AWSPENDING": NEW}
    async with database.pool() as pool:
        assert await queries(pool) == [1] * CONNECTIONS
    assert database.secrets.reads == ["AWSCURRENT", "AWSPENDING"]


async def test_the_previous_password_serves_until_the_database_has_the_new_one(database: Database) -> None:
    """A task that starts meanwhile was injected the new one; whoever runs already goes on with the old one."""
    database.secrets.passwords = {"AWSCURRENT": NEW, "AWSPREVIOUS": OLD}
    starting = Database(database.server, database.secrets)
    starting.url = database.server.url("tap", NEW, "postgres")
    starting.credentials = Credentials(database.secrets.location(), starting.url, starting.clock, starting.log)
    async with database.pool() as running, starting.pool() as started:
        assert await queries(running) == await queries(started) == [1] * CONNECTIONS
        database.server.set_password("tap", NEW)
        for each, pool in ((database, running), (starting, started)):
            await each.end_sessions(pool)
            each.clock.time += PAUSE_SECONDS
            assert await queries(pool) == [1] * CONNECTIONS


async def test_a_login_that_stays_refused_is_an_error_and_no_hot_loop(database: Database) -> None:
    async with database.pool() as pool:
        assert await queries(pool) == [1] * CONNECTIONS
        before = database.server.refusals()
        database.secrets.passwords = {"AWSCURRENT": "neither"}
        database.server.set_password("tap", NEW)
        await database.end_sessions(pool)
        for _ in range(10):
            refused = await queries(pool)
            assert all(isinstance(each, LoginRefusedError) for each in refused)
            assert not await is_healthy(pool), "health tells the truth"
        assert database.secrets.reads == ["AWSCURRENT"]
        logins = database.server.refusals() - before
        assert 2 <= logins <= 2 * CONNECTIONS, (
            "each connection that was being opened tried the old password and the new one, and then nobody for a while"
        )

        database.secrets.passwords = {"AWSCURRENT": NEW}
        with pytest.raises(LoginRefusedError, match="refuses the login"):
            await pool.fetchval("SELECT 1")
        database.clock.time += PAUSE_SECONDS
        assert await queries(pool) == [1] * CONNECTIONS
        assert await is_healthy(pool)
    assert database.secrets.reads == ["AWSCURRENT", "AWSCURRENT"]


async def test_a_secret_that_cannot_be_read_is_an_error_that_passes(database: Database) -> None:
    database.server.set_password("tap", NEW)
    database.secrets.passwords = {"AWSCURRENT": NEW}
    database.secrets.status = 500
    with pytest.raises(LoginRefusedError):
        async with database.pool():
            pass
    assert "Secrets Manager answers 500 InternalServiceError" in database.shown()
    database.secrets.status = 200
    database.clock.time += PAUSE_SECONDS
    async with database.pool() as pool:
        assert await queries(pool) == [1] * CONNECTIONS


async def test_whoever_stops_waiting_does_not_stop_the_reading(database: Database) -> None:
    database.server.set_password("tap", NEW)
    database.secrets.passwords = {"AWSCURRENT": NEW}
    database.secrets.delay_seconds = 0.3
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.15), database.pool():
            pass
    async with database.pool() as pool:
        assert await queries(pool) == [1] * CONNECTIONS
    assert database.secrets.reads == ["AWSCURRENT"]


async def test_the_listener_goes_on_after_a_rotation(database: Database) -> None:
    wakeup = Wakeup(lambda: connect(database.url, Sessions(database.credentials)))
    background = Background(database.log)
    background.keep("listen", wakeup.listen)
    try:
        with database.server.admin() as admin:

            async def listens(besides: set[int]) -> bool:
                rows = admin.execute(
                    "SELECT pid FROM pg_stat_activity WHERE usename = 'tap' AND state = 'idle' AND query IN ('LISTEN', 'SELECT')"
                ).fetchall()
                return bool({pid for (pid,) in rows} - besides)

            await eventually(lambda: listens(set()), "it listens")
            database.secrets.passwords = {"AWSCURRENT": NEW}
            database.server.set_password("tap", NEW)
            ended = await asyncio.to_thread(database.server.end_sessions, "tap")
            await eventually(lambda: listens(ended), "it listens again")

            async def heard() -> bool:
                admin.execute(f"NOTIFY {CHANNEL}")
                return wakeup._noticed.is_set()

            await eventually(heard, "it hears")
    finally:
        await background.stop()
    assert database.secrets.reads == ["AWSCURRENT"]


def test_a_refused_login_is_worth_the_patience_of_a_restart() -> None:
    assert issubclass(LoginRefusedError, CONNECTION_FAILURES)


async def test_without_a_secret_a_refused_login_is_what_it_was(server: PasswordServer) -> None:
    with pytest.raises(CONNECTION_FAILURES, match="password authentication failed"):
        async with open_pool(server.url("tap", "wrong", "postgres"), role=None, name="static"):
            pass
