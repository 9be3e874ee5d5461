"""A login for each service: a member of the service's role, and of nothing else.

Whoever logs in as the owner and takes a role may leave it again. A login of one's own has nothing to go back to.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import psycopg

from payments.storage.sessions import LIBPQ_SETTINGS
from payments.storage.sql import queries

_SQL = queries("logins.sql")
_OF_THE_USER = frozenset({"user", "password", "passfile"})
"""Parameters of a URL that say who logs in. Source: PostgreSQL, "Parameter Key Words"."""


@dataclass(frozen=True, slots=True)
class ServiceLogin:
    """Who a service is for the database."""

    user: str
    password: str = field(repr=False)
    role: str
    """The role whose rights it has."""


def provide_logins(database_url: str, logins: Iterable[ServiceLogin]) -> None:
    """Make each login, or set its password, as the owner; raises `psycopg.Error`, above all `InsufficientPrivilege`. The roles are there already.

    Sessions of a login outlive its password.
    """
    settings: Any = LIBPQ_SETTINGS
    with psycopg.connect(database_url, cursor_factory=psycopg.RawCursor, **settings) as connection:
        connection.execute(_SQL["one_at_a_time"].encode())
        for login in logins:
            # The server, and its log, see what the password is checked by, and not the password.
            verifier = connection.pgconn.encrypt_password(login.password.encode(), login.user.encode(), b"scram-sha-256").decode()
            set_password = "alter_login" if _value(connection, "has_login", login.user) else "create_login"
            for statement in (
                _value(connection, set_password, login.user, verifier),
                _value(connection, "forget_settings", login.user),
                _value(connection, "join_role", login.user, login.role),
                _value(connection, "let_in", login.user),
            ):
                connection.execute(str(statement).encode())


def login_url(database_url: str, login: ServiceLogin) -> str:
    """Return the owner's URL of the database for another login."""
    parts = urlsplit(database_url)
    place = parts.netloc.rpartition("@")[2]
    kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in _OF_THE_USER]
    who = f"{quote(login.user, safe='')}:{quote(login.password, safe='')}"
    return parts._replace(netloc=f"{who}@{place}", query=urlencode(kept, quote_via=quote, safe="/")).geturl()


def _value(connection: psycopg.Connection, query: str, *arguments: str) -> object:
    row = connection.execute(_SQL[query].encode(), arguments).fetchone()
    return None if row is None else row[0]
