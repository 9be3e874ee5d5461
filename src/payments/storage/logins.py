"""A login for each service: a member of the service's role, and of nothing else.

Whoever logs in as the owner and takes a role may leave it again. A login of one's own has nothing to go back to.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import psycopg

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
    """Make each login, or set its password, as the owner; raises `psycopg.Error`, above all `InsufficientPrivilege`. The roles are there already."""
    with psycopg.connect(database_url, cursor_factory=psycopg.RawCursor) as connection:
        for login in logins:
            # The server, and its log, see what the password is checked by, and not the password.
            verifier = connection.pgconn.encrypt_password(login.password.encode(), login.user.encode(), b"scram-sha-256").decode()
            if _value(connection, "has_login", login.user):
                statements = [_value(connection, "alter_login", login.user, verifier)]
            else:
                statements = [_value(connection, "create_login", login.user, verifier, login.role)]
            for statement in (*statements, _value(connection, "let_in", login.user)):
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
