"""What a version's code says to the database, recorded so that it can be said again when that code is gone.

`python -m tests.support.recorded_statements` records this code's, into tests/data/previous-statements.jsonl: for a release, so that the migrations after it can
be held against the code that they must leave working.
"""

import asyncio
import base64
import contextlib
import json
import random
import re
import string
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from payments.storage.database import Connection, connect
from payments.storage.migrate import MIGRATIONS, migrate
from payments.storage.outbox import dispatch
from payments.storage.sessions import Sessions
from tests.integration.notifier import notifier_on
from tests.support.in_process import InProcess, in_process
from tests.support.postgres import running_postgres

FILE = Path(__file__).parents[1] / "data" / "previous-statements.jsonl"
_ID = re.compile(r"(?<![0-9A-Za-z])(?!acct_)([a-z]{2,5}_)[0-9A-Za-z]{24}(?![0-9A-Za-z])")
_NOT_OURS = re.compile(r"\s*(BEGIN|COMMIT|ROLLBACK|DISCARD|SET|RESET)\b|.*(typeinfo_tree|current_setting\('jit'\))", re.DOTALL)
"""What the pool and the driver say for themselves."""


@dataclass(frozen=True)
class Statement:
    role: str | None
    """Which role says it; none: the owner."""
    query: str
    arguments: Sequence[Any]


@dataclass
class Recording:
    last_migration: str
    """Of the version that said this."""
    operations: dict[str, list[Statement]] = field(default_factory=dict[str, list[Statement]])
    """What is said for each, in this order: the later ones need the first."""

    @staticmethod
    def load(path: Path = FILE) -> "Recording":
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        recording, queries = Recording(lines.pop(0)["last_migration"]), [line["query"] for line in lines if "query" in line]
        for line in lines:
            if "operation" in line:
                arguments = [_decoded(each) for each in line["arguments"]]
                recording.operations.setdefault(line["operation"], []).append(Statement(line["role"], queries[line["says"]], arguments))
        return recording

    def save(self, path: Path = FILE) -> None:
        queries = list(dict.fromkeys(each.query for said in self.operations.values() for each in said))
        said = [
            {
                "operation": name,
                "role": each.role,
                "says": queries.index(each.query),
                "arguments": [_encoded(one) for one in each.arguments],
            }
            for name, statements in self.operations.items()
            for each in statements
        ]
        lines = [{"last_migration": self.last_migration}, *({"query": each} for each in queries), *said]
        path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def _encoded(argument: Any) -> Any:
    match argument:
        case bytes():
            return {"bytes": base64.b64encode(argument).decode()}
        case datetime():
            return {"time": argument.isoformat()}
        case list() | tuple():
            return [_encoded(each) for each in argument]
        case _:
            return argument


def _decoded(kept: Any) -> Any:
    match kept:
        case {"bytes": text}:
            return base64.b64decode(text)
        case {"time": text}:
            return datetime.fromisoformat(text)
        case list():
            return [_decoded(each) for each in kept]
        case _:
            return kept


class Replay:
    """Says it again, on connections of a replay's own."""

    def __init__(self, connections: Mapping[str | None, Connection]) -> None:
        self._connections = connections

    async def operation(self, said: Iterable[Statement], *, anew: bool = False) -> list[int]:
        """Say what an operation takes, about the same objects or `anew`, about others; returns how many rows each statement returned."""
        others: dict[str, str] = {}
        counts: list[int] = []
        for each in said:
            arguments = [_renamed(one, others) for one in each.arguments] if anew else each.arguments
            counts.append(len(await self._connections[each.role].fetch(each.query, *arguments)))
        return counts


def _renamed(argument: Any, others: dict[str, str]) -> Any:
    """The argument with other ids in it, the same for the same."""
    match argument:
        case str():
            return _ID.sub(
                lambda found: others.setdefault(found[0], found[1] + "".join(random.choices(string.ascii_letters, k=24))), argument
            )
        case list():
            return [_renamed(each, others) for each in argument]
        case _:
            return argument


@asynccontextmanager
async def replaying(database_url: str, recording: Recording, *, durable: bool = True) -> AsyncGenerator[Replay]:
    roles = {each.role for said in recording.operations.values() for each in said}
    async with AsyncExitStack() as stack:
        connections: dict[str | None, Connection] = {}
        for role in roles:
            connections[role] = await stack.enter_async_context(connect(database_url, name="previous version"))
            if not durable:
                await connections[role].execute("SET synchronous_commit = off")
            if role is not None:
                await connections[role].execute(f"SET ROLE {role}")
        yield Replay(connections)


@contextlib.contextmanager
def listening(hear: Callable[[Statement], None]) -> Generator[None]:
    """Hear what is said on every connection that is opened meanwhile."""
    open_session = Sessions.open

    async def opened(self: Sessions, *arguments: Any, **options: Any) -> Any:
        connection = await open_session(self, *arguments, **options)
        role = options.get("server_settings", {}).get("role")
        connection.add_query_logger(lambda said: _NOT_OURS.match(said.query) or hear(Statement(role, said.query, said.args)))
        return connection

    Sessions.open = opened
    try:
        yield
    finally:
        Sessions.open = open_session


def migrations_until(last: str, directory: Path) -> Path:
    """The migrations of a version, in a directory of their own."""
    for script in MIGRATIONS.glob("*.sql"):
        if script.stem <= last:
            (directory / script.name).write_text(script.read_text())
    return directory


async def record(database_url: str) -> Recording:
    """Carry out one operation of each kind, and hear what that takes; the database is migrated and empty."""
    recording = Recording(max(script.stem for script in MIGRATIONS.glob("*.sql")))
    said: list[Statement] = []

    def end(name: str) -> None:
        recording.operations[name] = said.copy()
        said.clear()

    with listening(said.append):
        async with in_process(database_url) as tap, notifier_on(database_url, send=_nowhere) as notifier:
            await notifier.endpoint("http://a.example/hook")
            await _pay(tap)  # what is made once, as a merchant's accounts are
            end("setup")
            await dispatch(notifier.pool, 1000)
            await notifier.deliver()
            end("deliveries")
            for name, operation in OPERATIONS.items():
                await operation(tap)
                end(name)
    return recording


async def _nowhere(*_: object) -> Any:
    raise ConnectionError


async def _pay(tap: InProcess, **params: str) -> Any:
    key = "key_" + "".join(random.choices(string.ascii_letters, k=24))
    made = await tap.call(
        "POST", "/v1/payment_intents", key, amount="2000", currency="usd", confirm="true", **{"payment_method": "pm_card_visa", **params}
    )
    return made.body


async def _hold(tap: InProcess) -> None:
    await _pay(tap, capture_method="manual")


async def _capture(tap: InProcess) -> None:
    held = await _pay(tap, capture_method="manual")
    assert (await tap.post(f"payment_intents/{held['id']}/capture", amount_to_capture="1500")).status == 200


async def _cancel(tap: InProcess) -> None:
    held = await _pay(tap, capture_method="manual")
    assert (await tap.post(f"payment_intents/{held['id']}/cancel")).status == 200


async def _refund(tap: InProcess) -> None:
    paid = await _pay(tap)
    assert (await tap.post("refunds", payment_intent=paid["id"], amount="700")).status == 200


async def _decline(tap: InProcess) -> None:
    assert (await _pay(tap, payment_method="pm_card_visa_chargeDeclined"))["error"]["code"] == "card_declined"


async def _challenge(tap: InProcess) -> None:
    waiting = await _pay(tap, payment_method="pm_card_authenticationRequired", return_url="https://shop.example/")
    await tap.decide(waiting["next_action"]["redirect_to_url"]["url"].removeprefix("http://tap"), "complete")


async def _customer(tap: InProcess) -> None:
    customer = (await tap.post("customers", email="a@shop.example")).id
    card = (await tap.post("payment_methods", type="card", **{"card[token]": "tok_visa"})).id
    assert (await tap.post(f"payment_methods/{card}/attach", customer=customer)).status == 200
    assert (await _pay(tap, customer=customer, payment_method=card))["status"] == "succeeded"
    assert (await tap.post(f"customers/{customer}", name="A Shopper")).status == 200


async def _look(tap: InProcess) -> None:
    paid = await _pay(tap)
    await tap.get(f"payment_intents/{paid['id']}")
    await tap.get("payment_intents", limit="10")
    await tap.get("charges", payment_intent=paid["id"])


OPERATIONS: dict[str, Callable[[InProcess], Any]] = {
    "payment": _pay,
    "hold": _hold,
    "capture": _capture,
    "cancellation": _cancel,
    "refund": _refund,
    "decline": _decline,
    "3-D Secure": _challenge,
    "customer": _customer,
    "look": _look,
}


def main() -> None:
    with running_postgres(fsync="off") as server:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE recorded TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'")
        migrate(server.url("recorded"))
        recording = asyncio.run(record(server.url("recorded")))
    recording.save()
    print(f"written: {FILE}, {sum(len(said) for said in recording.operations.values())} statements")


if __name__ == "__main__":
    main()
