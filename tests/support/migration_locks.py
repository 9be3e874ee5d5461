"""What a migration holds up: which locks it takes that payments wait for, and how much it does while it has them."""

import re
from collections.abc import Iterator

import psycopg
import sqlparse  # type: ignore[import-untyped]

ROWS_MAX = 100
"""That a transaction may touch while payments wait for it, or that it changes of theirs: whatever grows with the table takes too long one day."""
_WAITED_FOR = ("ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock")
"""What keeps a writer waiting. Source: PostgreSQL, "Explicit locking"."""
_SMALL = ("payments.merchants", "payments.api_keys")
_SCHEMAS = ("payments", "ledger")
"""Payments write nothing of notifications: there only webhooks wait."""

_LOCKED = """
    SELECT DISTINCT c.oid::regclass::text FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE l.pid = pg_backend_pid() AND l.mode = ANY (%s) AND n.nspname = ANY (%s) AND c.relkind IN ('r', 'p')
"""
_TOUCHED = """
    SELECT relid::regclass::text, schemaname = ANY (%s) AS is_paid_by,
        seq_tup_read + coalesce(idx_tup_fetch, 0) AS seen, n_tup_upd + n_tup_del AS changed
    FROM pg_stat_xact_all_tables WHERE schemaname IN ('payments', 'ledger', 'notifications', 'simulator')
"""
_FILES = "SELECT oid::regclass::text, pg_relation_filenode(oid) FROM pg_class WHERE relkind = 'r' AND relnamespace::regnamespace::text = ANY (%s)"


def transactions(script: str) -> Iterator[list[str]]:
    """The statements of a migration, as they are run together: those of one that isn't transactional each alone."""
    statements = [each for each in sqlparse.split(script) if sqlparse.format(each, strip_comments=True).strip()]
    if re.search(r"^--\s*transactional:\s*false", script, re.MULTILINE | re.IGNORECASE):
        yield from ([each] for each in statements)
    else:
        yield statements


def held_up_by(database_url: str, script: str) -> list[str]:
    """Carry a migration out, and return what payments would wait for too long."""
    faults: list[str] = []
    with psycopg.connect(database_url, autocommit=True) as connection:
        for statements in transactions(script):
            if len(statements) == 1 and re.search(r"\b(CREATE|DROP|REINDEX)\b[^;]*\bCONCURRENTLY\b", statements[0], re.IGNORECASE):
                connection.execute(statements[0])  # pyright: ignore[reportArgumentType, reportCallIssue] - it is a file's
            else:
                faults += _held_up_by(connection, statements)
    return faults


def _held_up_by(connection: psycopg.Connection, statements: list[str]) -> list[str]:
    with connection.transaction():
        before = dict(connection.execute(_FILES, (list(_SCHEMAS),)).fetchall())
        seen_before = {table: seen for table, _, seen, _ in connection.execute(_TOUCHED, (list(_SCHEMAS),)).fetchall()}
        for statement in statements:
            connection.execute(statement)  # pyright: ignore[reportArgumentType, reportCallIssue]
        locked = [row[0] for row in connection.execute(_LOCKED, (list(_WAITED_FOR), list(_SCHEMAS))).fetchall()]
        locked = [table for table in locked if table in before and table not in _SMALL]
        touched = connection.execute(_TOUCHED, (list(_SCHEMAS),)).fetchall()
        after = dict(connection.execute(_FILES, (list(_SCHEMAS),)).fetchall())
        faults = [f"{table} is written anew" for table in locked if after.get(table, before[table]) != before[table]]
        if locked:
            faults += [
                f"{seen} rows of {table} are read while {', '.join(locked)} can't be written"
                for table, _, seen, _ in touched
                if seen - seen_before.get(table, 0) > ROWS_MAX
            ]
        return faults + [
            f"{changed} rows of {table} are changed at once" for table, paid, _, changed in touched if paid and changed > ROWS_MAX
        ]
