"""What a service's login can't do, on a server that wants passwords: nobody leaves it for the owner or for another service."""

import asyncio
from collections.abc import Generator
from contextlib import suppress
from urllib.parse import unquote, urlsplit

import asyncpg
import psycopg
import pytest
from psycopg import sql

from payments.runtime.topology import SERVICES, Service
from payments.storage.database import connect, open_pool
from payments.storage.logins import ServiceLogin, login_url, provide_logins
from payments.storage.migrate import migrate
from payments.storage.wakeup import CHANNEL, Wakeup
from tests.integration.test_roles import FORBIDDEN
from tests.support.postgres import PasswordServer, password_server

PASSWORD = "a password/of:each@with%2Fodd?characters#'\""
OWNER_PASSWORD = "owner's"
THREE = (Service.PAYMENT_API, Service.TRANSACTION_PROCESSOR, Service.NOTIFICATION_SERVICE)


def logins(suffix: str, password: str = PASSWORD) -> dict[Service, ServiceLogin]:
    return {
        service: ServiceLogin(f"{spec.database_role}_{suffix}", f"{password}{service}", spec.database_role)
        for service, spec in SERVICES.items()
    }


@pytest.fixture(scope="module")
def server() -> Generator[PasswordServer]:
    """A server of somebody's own, who logs all statements, with the databases of two Taps whose owners aren't superusers."""
    with password_server(log_statement="all") as running:
        with running.admin() as admin:
            for name in ("one", "two"):
                admin.execute(
                    sql.SQL("CREATE ROLE {} LOGIN CREATEROLE PASSWORD {}").format(sql.Identifier(name), sql.Literal(OWNER_PASSWORD))
                )
                database = "CREATE DATABASE {0} OWNER {0} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'"
                admin.execute(sql.SQL(database).format(sql.Identifier(name)))
            for role in (sql.Identifier(spec.database_role) for spec in SERVICES.values()):
                # Since PostgreSQL 16 whoever makes a role may grant it, and nobody else.
                admin.execute(sql.SQL("CREATE ROLE {0}; GRANT {0} TO one, two WITH ADMIN OPTION").format(role))
        for name in ("one", "two"):
            migrate(owner_url(running, name))
            provide_logins(owner_url(running, name), logins(name).values())
        yield running


def owner_url(server: PasswordServer, name: str) -> str:
    return server.url(name, "owner%27s", name)


def url(server: PasswordServer, service: Service, name: str = "one") -> str:
    return login_url(owner_url(server, name), logins(name)[service])


ESCAPES = [
    "RESET ROLE; SET ROLE one",
    "SET ROLE NONE; SET ROLE postgres",
    "RESET SESSION AUTHORIZATION; SET ROLE one",
    "SET SESSION AUTHORIZATION one",
    "SET SESSION AUTHORIZATION postgres",
    *(f"SET ROLE {{other_{number}}}" for number in (1, 2)),
    *(f"SET ROLE {{other_{number}}}_one" for number in (1, 2)),
    *(f"SET SESSION AUTHORIZATION {{other_{number}}}_one" for number in (1, 2)),
    *(f"GRANT {{other_{number}}} TO CURRENT_USER" for number in (1, 2)),
    *(f"ALTER ROLE {{other_{number}}}_one PASSWORD 'mine'" for number in (1, 2)),
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "ALTER ROLE CURRENT_USER CREATEROLE",
    "ALTER ROLE CURRENT_USER BYPASSRLS",
    "ALTER ROLE CURRENT_USER CONNECTION LIMIT -1",
    "ALTER ROLE CURRENT_USER VALID UNTIL 'infinity'",
    "ALTER ROLE {own} RENAME TO mine",
    "ALTER ROLE {own} SET statement_timeout = 0",
    "ALTER ROLE {own} LOGIN",
    "ALTER ROLE {other_1}_one SET statement_timeout = 1",
    "ALTER ROLE ALL SET statement_timeout = 0",
    "ALTER DATABASE one SET statement_timeout = 0",
    "ALTER DATABASE one OWNER TO CURRENT_USER",
    "ALTER TABLE payments.events OWNER TO CURRENT_USER",
    "DROP OWNED BY {other_1}",
    "REASSIGN OWNED BY one TO CURRENT_USER",
    "GRANT {own} TO {other_1}_one",
    "CREATE DATABASE mine",
    "ALTER ROLE one PASSWORD 'mine'",
    "CREATE ROLE mine LOGIN IN ROLE one",
    "CREATE SCHEMA mine",
    "CREATE TABLE public.mine (id int)",
    "CREATE TABLE payments.mine (id int)",
    "COPY payments.events TO PROGRAM 'cat'",
    "SELECT pg_read_file('postgresql.conf')",
    "CREATE EXTENSION dblink",
    "ALTER TABLE ledger.transfers DISABLE TRIGGER append_only",
    "SELECT rolpassword FROM pg_authid",
    "SET session_replication_role = replica",
]


@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize("service", THREE)
async def test_a_service_doesnt_leave_its_login(server: PasswordServer, service: Service, escape: str) -> None:
    others = [SERVICES[each].database_role for each in THREE if each is not service]
    async with connect(url(server, service)) as connection:
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.FeatureNotSupportedError)):
            await connection.execute(escape.format(own=SERVICES[service].database_role, other_1=others[0], other_2=others[1]))
        # Whatever was tried before: what it may never do it may not do now.
        for back in ("RESET ROLE", "SET ROLE NONE", "RESET ALL", "DISCARD ALL", f"SET ROLE {SERVICES[service].database_role}"):
            await connection.execute(back)
            for statement in FORBIDDEN[service]:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)


@pytest.mark.parametrize("service", THREE)
async def test_a_login_is_a_member_of_its_role_and_has_nothing_of_its_own(server: PasswordServer, service: Service) -> None:
    login = logins("one")[service]
    async with connect(owner_url(server, "one")) as connection:
        memberships = await connection.fetch(
            "SELECT g.rolname FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = $1",
            login.user,
        )
        assert [row["rolname"] for row in memberships] == [login.role]
        rights = "rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls"
        assert not await connection.fetchval(f"SELECT {rights} FROM pg_roles WHERE rolname = $1", login.user)
        owned = "SELECT count(*) FROM pg_class WHERE relowner = (SELECT oid FROM pg_roles WHERE rolname = $1)"
        assert await connection.fetchval(owned, login.user) == 0


@pytest.mark.parametrize("service", THREE)
@pytest.mark.parametrize("password", ["", "x", OWNER_PASSWORD])
async def test_a_login_needs_its_own_password(server: PasswordServer, service: Service, password: str) -> None:
    login = logins("one")[service]
    wrong = login_url(owner_url(server, "one"), ServiceLogin(login.user, password, login.role))
    with pytest.raises((asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InterfaceError)):
        async with connect(wrong):
            pass


async def test_two_taps_on_one_server_have_logins_apart(server: PasswordServer) -> None:
    for name in ("one", "two"):
        async with connect(url(server, Service.PAYMENT_API, name)) as connection:
            assert await connection.fetchval("SELECT session_user") == f"tap_payment_api_{name}"
    provide_logins(owner_url(server, "two"), logins("two", "another").values())
    async with connect(url(server, Service.PAYMENT_API, "one")):
        pass
    with pytest.raises(asyncpg.InvalidPasswordError):
        async with connect(url(server, Service.PAYMENT_API, "two")):
            pass
    provide_logins(owner_url(server, "two"), logins("two").values())
    async with connect(url(server, Service.PAYMENT_API, "two")):
        pass


async def test_a_session_outlives_its_logins_password_and_the_next_one_needs_the_new_one(server: PasswordServer) -> None:
    async with connect(url(server, Service.TRANSACTION_PROCESSOR, "two")) as open_before:
        provide_logins(owner_url(server, "two"), logins("two", "another").values())
        assert await open_before.fetchval("SELECT count(*) FROM ledger.transfers") == 0
        with pytest.raises(asyncpg.InvalidPasswordError):
            async with connect(url(server, Service.TRANSACTION_PROCESSOR, "two")):
                pass
        provide_logins(owner_url(server, "two"), logins("two").values())


async def test_logins_may_be_provided_by_several_at_once(server: PasswordServer) -> None:
    several = [asyncio.to_thread(provide_logins, owner_url(server, "one"), logins("one").values()) for _ in range(6)]
    await asyncio.gather(*several)
    async with connect(url(server, Service.PAYMENT_API)) as connection:
        assert await connection.fetchval("SELECT session_user") == "tap_payment_api_one"


async def test_what_a_process_sets_for_its_next_sessions_is_taken_back(server: PasswordServer) -> None:
    """The server lets anybody do that to himself."""
    async with connect(url(server, Service.NOTIFICATION_SERVICE)) as connection:
        await connection.execute("ALTER ROLE CURRENT_USER SET search_path = pg_temp")
    provide_logins(owner_url(server, "one"), logins("one").values())
    async with connect(url(server, Service.NOTIFICATION_SERVICE)) as connection:
        assert await connection.fetchval("SHOW search_path") != "pg_temp"


async def test_a_login_that_lost_its_role_has_it_again(server: PasswordServer) -> None:
    login = logins("one")[Service.PAYMENT_API]
    async with connect(owner_url(server, "one")) as connection:
        await connection.execute(f"REVOKE {login.role} FROM {login.user}")
    provide_logins(owner_url(server, "one"), logins("one").values())
    async with connect(url(server, Service.PAYMENT_API)) as connection:
        assert await connection.fetchval("SELECT count(*) FROM payments.merchants") == 0


async def test_a_login_gets_into_a_database_that_isnt_everybodys(server: PasswordServer) -> None:
    with server.admin() as admin:
        admin.execute("REVOKE CONNECT ON DATABASE two FROM PUBLIC")
    provide_logins(owner_url(server, "two"), logins("two").values())
    async with connect(url(server, Service.NOTIFICATION_SERVICE, "two")):
        pass
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with connect(login_url(owner_url(server, "two"), logins("one")[Service.NOTIFICATION_SERVICE])):
            pass


async def test_a_login_hears_notices_and_works_in_a_pool(server: PasswordServer) -> None:
    wakeup = Wakeup(lambda: connect(url(server, Service.NOTIFICATION_SERVICE)))
    listening = asyncio.create_task(wakeup.listen(lambda: None))
    try:
        async with open_pool(url(server, Service.PAYMENT_API), role=None, name="payment-api") as pool:
            heard = asyncio.create_task(wakeup.wait(120))
            while not heard.done():  # until it listens
                await pool.execute(f"NOTIFY {CHANNEL}")
                await asyncio.sleep(0.05)
            assert await pool.fetchval("SELECT count(*) FROM payments.merchants") == 0
    finally:
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening


def test_the_server_never_sees_a_login_s_password(server: PasswordServer) -> None:
    log = server.log.read_text()
    assert "SCRAM-SHA-256$" in log
    assert "with%2Fodd" not in log
    assert PASSWORD not in log
    assert all(PASSWORD not in repr(login) for login in logins("one").values())


def test_who_may_not_make_roles_is_refused(server: PasswordServer) -> None:
    with server.admin() as admin:
        admin.execute("CREATE ROLE weak LOGIN PASSWORD 'w'")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        provide_logins(server.url("weak", "w", "one"), logins("weak").values())


@pytest.mark.parametrize(
    ("owner", "place"),
    [
        ("postgresql://o:p@h:1/d", "h:1/d"),
        ("postgresql://h/d", "h/d"),
        ("postgres://o@h/d?sslmode=verify-full&sslrootcert=/a%20b", "h/d?sslmode=verify-full&sslrootcert=/a%20b"),
        ("postgresql://o:p%40q@/d?host=/tmp/a%20b%23%25%26", "/d?host=/tmp/a%20b%23%25%26"),
        ("postgresql:///d?host=/run&user=o&password=p&passfile=/f", "/d?host=/run"),
        ("postgresql://o:p@h1:1,h2:2/d?target_session_attrs=primary", "h1:1,h2:2/d?target_session_attrs=primary"),
        ("postgresql://o:p@[::1]:5/d", "[::1]:5/d"),
    ],
)
def test_a_login_takes_the_owners_place_in_a_url(owner: str, place: str) -> None:
    made = login_url(owner, ServiceLogin("u", PASSWORD, "r"))
    parts = urlsplit(made)
    assert (parts.username, unquote(parts.password or "")) == ("u", PASSWORD)
    assert made.rpartition("@")[2] == place
