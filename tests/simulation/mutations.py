"""The product with one of its protections taken out, for the tests of the simulation alone: whoever simulates that must notice."""

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from payments.acquirers.declines import PROCESSING_ERROR, declined
from payments.acquirers.far_end.faults import Fault
from payments.acquirers.http.acquirer import HttpAcquirer
from payments.acquirers.iso8583.acquirer import Iso8583Acquirer
from payments.domain.outcome import NotFound, Outcome, Unknown
from payments.storage import commit, versions
from payments.storage.sql import queries
from payments.transaction_processor.sending import Sender
from tests.simulation.clients import Plan
from tests.simulation.invariants import AGREED, ANSWERED_ALIKE, BALANCED, BOOKS, BOUNDED, DONE_ONCE, TOLD


@dataclass(frozen=True, slots=True)
class Mutation:
    """Something that is taken out."""

    what: str
    without: Callable[[], AbstractContextManager[Any]]
    plan: Plan
    """Under which it is missed soon."""
    broken: Sequence[str]
    """What is found to be broken: one of these."""

    def __str__(self) -> str:
        return self.what


@contextmanager
def _statement(file: str, name: str, said: str, instead: str) -> Generator[None]:
    statements = queries(file)
    whole = statements[name]
    assert said in whole, f"{file} {name} says it otherwise by now"
    statements[name] = whole.replace(said, instead)
    commit._text.cache_clear()
    try:
        yield
    finally:
        statements[name] = whole
        commit._text.cache_clear()


@contextmanager
def _conditional_write() -> Generator[None]:
    unconditional = {
        target: queries("versions.sql")["lock"].format(
            rows="{rows}", table=versions._TABLES[target[0]][0], unmoved="true", strength=target[1]
        )
        for target in versions.LOCKS
    }
    with (
        patch.dict(versions.LOCKS, unconditional),
        _statement("commit.sql", "advanced", "AND i.version = n.version - 1 AND i.open_attempt = n.unit", ""),
    ):
        yield


@contextmanager
def _lease() -> Generator[None]:
    with (
        _statement("attempts.sql", "take_over", "AND lease_until < now()", ""),
        _statement("jobs.sql", "waiting_attempts", " AND lease_until < now()", ""),
    ):
        yield


def _reversal() -> AbstractContextManager[Any]:
    async def undo(self: Iso8583Acquirer, order: object) -> Outcome:
        del self, order
        return declined(PROCESSING_ERROR)

    return patch.object(Iso8583Acquirer, "_undo", undo)


@contextmanager
def _inquiry() -> Generator[None]:
    """Without giving up either: that is an inquiry, too, by an order that is only taken when nothing is known of the first."""

    async def inquire(self: HttpAcquirer, order: object) -> NotFound:
        del self, order
        return NotFound()

    with patch.object(HttpAcquirer, "inquire", inquire), _giving_up():
        yield


def _giving_up() -> AbstractContextManager[Any]:
    async def give_up(self: HttpAcquirer, order: object) -> NotFound:
        del self, order
        return NotFound()

    return patch.object(HttpAcquirer, "give_up", give_up)


def _doubt() -> AbstractContextManager[Any]:
    ask = Sender._asked

    async def asked(self: Sender, *arguments: Any, **options: Any) -> Outcome | NotFound:
        answer = await ask(self, *arguments, **options)
        return declined(PROCESSING_ERROR) if isinstance(answer, Unknown) else answer

    return patch.object(Sender, "_asked", asked)


def _claim() -> AbstractContextManager[None]:
    return _statement(
        "commit.sql",
        "claims",
        "ON CONFLICT DO NOTHING",
        "ON CONFLICT (merchant_id, livemode, key) DO UPDATE SET request_id = excluded.request_id, response_event = excluded.response_event",
    )


def _outbox() -> AbstractContextManager[None]:
    return _statement(
        "commit.sql",
        "events",
        "SELECT merchant_id, livemode, id, type FROM events",
        "SELECT merchant_id, livemode, id, type FROM events LIMIT 1",
    )


_OPERATIONS = 12
MUTATIONS = (
    Mutation(
        "the conditional write",
        _conditional_write,
        Plan(operations=24, kinds=("capture",), at_once=1.0, manual=1.0, harm=0.2, currencies=("gbp",)),
        (BOOKS, AGREED, BOUNDED, BALANCED),
    ),
    Mutation("the lease", _lease, Plan(operations=_OPERATIONS, currencies=("usd",), bank=Fault.LATE, harm=0.3), (AGREED,)),
    Mutation("the reversal", _reversal, Plan(operations=_OPERATIONS, currencies=("usd",), bank=Fault.SILENT), (AGREED,)),
    Mutation("the inquiry", _inquiry, Plan(operations=_OPERATIONS, currencies=("eur",), bank=Fault.SILENT, long_times=0.5), (AGREED,)),
    Mutation("the giving up", _giving_up, Plan(operations=_OPERATIONS, currencies=("eur",), bank=Fault.BELATED, long_times=0.5), (AGREED,)),
    Mutation("the doubt of what wasn't answered", _doubt, Plan(operations=_OPERATIONS, currencies=("eur",), bank=Fault.DROP), (AGREED,)),
    Mutation("the claim on a key", _claim, Plan(operations=_OPERATIONS), (ANSWERED_ALIKE, DONE_ONCE)),
    Mutation("the outbox", _outbox, Plan(operations=4), (TOLD,)),
)
