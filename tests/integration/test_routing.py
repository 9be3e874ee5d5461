"""A payment goes on to the next acquirer while it is certain that nobody has it, and to one only, whoever dies or stands still in between."""

from collections.abc import AsyncGenerator, Awaitable, Callable

import msgspec
import pytest
from msgspec.structs import replace

from payments.acquirers.acquirer import NotSent, Order, SaysNothing
from payments.acquirers.declines import declined
from payments.acquirers.routing import Route, Routes, Rule
from payments.domain.attempt import Attempt
from payments.domain.outcome import Approved, Final, NotFound, Outcome, Unknown
from payments.storage.attempts import attempts_of
from payments.storage.books import find_faults
from payments.storage.database import Connection
from payments.transaction_processor import sending
from payments.transaction_processor.processor import Processor
from tests.integration.test_acquirers import CARD, owed
from tests.support.in_process import InProcess, in_process

YES, SILENCE = Approved(authorization_code="123456"), Unknown(reason="timeout")
LATER, LACKING = declined("try_again_later"), declined("insufficient_funds")
AWAY = NotSent("nobody is there")
Says = Outcome | NotSent
RULE = Rule(name="both", acquirers=["a", "b"], retry_declines=["try_again_later"])


class Scripted(SaysNothing):
    """An acquirer that says what it is told to, and remembers what arrived."""

    needs_card = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.says: Says = YES
        self.arrived: dict[str, Outcome] = {}
        self.asked = 0
        self.first: Callable[[], Awaitable[None]] | None = None

    async def execute(self, order: Order) -> Outcome:
        self.asked += 1
        if self.first is not None:
            await self.first()
        if isinstance(self.says, NotSent):
            raise self.says
        return self.arrived.setdefault(order.reference, self.says)

    async def inquire(self, order: Order) -> Final | Unknown | NotFound:
        if isinstance(self.says, NotSent):
            raise self.says
        return self.arrived.get(order.reference, NotFound())

    async def give_up(self, order: Order) -> Final | Unknown | NotFound:
        return await self.inquire(order)

    async def verify_card(self, order: Order) -> Outcome:
        return await self.execute(order)

    async def health(self) -> str | None:
        return str(self.says) if isinstance(self.says, NotSent) else None


class Died(BaseException):
    """The process, that is."""


@pytest.fixture(autouse=True)
def nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "_SEND_RETRY_SECONDS", (0.001,))


@pytest.fixture
def a() -> Scripted:
    return Scripted("a")


@pytest.fixture
def b() -> Scripted:
    return Scripted("b")


@pytest.fixture
async def tap(database_url: str, a: Scripted, b: Scripted) -> AsyncGenerator[InProcess]:
    routes = Routes([Route(acquirer="a", livemode=True), Route(acquirer="b", livemode=True)], [RULE])
    async with in_process(database_url, outside=[a, b], routes=routes, copies=2) as made:
        made.principal = replace(made.principal, livemode=True)
        yield made


async def pay(tap: InProcess) -> str:
    """Pay, and return how that went: the intent's status, or the decline's code."""
    made = await tap.post("payment_intents", amount="2000", currency="usd", confirm="true", **CARD)
    return made.body["status"] if made.status == 200 else made.body["error"]["decline_code"]


async def last(connection: Connection) -> Attempt:
    return msgspec.json.decode(await connection.fetchval("SELECT document FROM payments.attempts ORDER BY id DESC LIMIT 1"), type=Attempt)


async def taken_over(tap: InProcess, connection: Connection) -> None:
    await connection.execute("UPDATE payments.attempts SET lease_until = now() - interval '1 second' WHERE closed_at IS NULL")
    await tap.copies[0].sweeper.resolve_abandoned()


async def test_a_payment_goes_on_only_while_nobody_has_it(tap: InProcess, a: Scripted, b: Scripted, connection: Connection) -> None:
    for a.says, b.says, ends, acquirer, tried in (
        (YES, YES, "succeeded", "a", []),
        (AWAY, YES, "succeeded", "b", ["not sent: nobody is there"]),
        (AWAY, LACKING, "insufficient_funds", "b", ["not sent: nobody is there"]),
        (AWAY, AWAY, "processing_error", "none", ["not sent: nobody is there"] * 2),
        (SILENCE, YES, "processing", "a", []),
        (AWAY, SILENCE, "processing", "b", ["not sent: nobody is there"]),
        (LACKING, YES, "insufficient_funds", "a", []),
        (LATER, YES, "succeeded", "b", ["declined: try_again_later"]),
        (LATER, LATER, "try_again_later", "b", ["declined: try_again_later"]),
        (LATER, AWAY, "try_again_later", "none", ["declined: try_again_later", "not sent: nobody is there"]),
    ):
        assert await pay(tap) == ends
        attempt = await last(connection)
        assert (attempt.acquirer, attempt.route, [each.reason for each in attempt.tried]) == (acquirer, "both", tried)
        assert (a.arrived.get(attempt.id), b.arrived.get(attempt.id)) == (
            None if isinstance(a.says, NotSent) else a.says,
            b.says if tried and not isinstance(b.says, NotSent) else None,
        )
        shown = await connection.fetchval("SELECT document ->> 'acquirer' FROM payments.charges WHERE id = $1", attempt.charge)
        assert shown in (acquirer, None)
    assert await find_faults(connection) == []
    assert await owed(connection) == {"acquirer:a": 2000, "acquirer:b": 4000}


async def test_a_card_is_tried_again_no_more_often_than_schemes_allow(
    tap: InProcess, a: Scripted, b: Scripted, connection: Connection
) -> None:
    a.says = LATER
    for day, succeed in enumerate((3, 3, 3, 1, 0)):
        paid = [await pay(tap) for _ in range(5)]
        assert paid == ["succeeded"] * succeed + ["try_again_later"] * (5 - succeed), day
        await connection.execute("UPDATE payments.resubmissions SET resubmitted_at = resubmitted_at - interval '25 hours'")
    assert len(b.arrived) == 10
    await connection.execute("UPDATE payments.resubmissions SET resubmitted_at = resubmitted_at - interval '30 days'")
    await tap.copies[0].sweeper.purge_claims()
    assert await connection.fetchval("SELECT count(*) FROM payments.resubmissions") == 0


async def test_where_a_payment_went_is_shown(tap: InProcess, a: Scripted, connection: Connection) -> None:
    a.says = AWAY
    made = await tap.post("payment_intents", amount="2000", currency="usd", confirm="true", **CARD)
    ((attempt, outcome),) = await attempts_of(connection, made.id)
    assert (attempt.acquirer, [each.acquirer for each in attempt.tried], outcome) == ("b", ["a"], "approved")


async def test_who_takes_over_asks_the_only_one_that_may_have_it(tap: InProcess, a: Scripted, b: Scripted, connection: Connection) -> None:
    """The process dies between writing that it goes on to b and sending it there; and, the other time, between sending it there and the answer's commit."""
    for arrives in (False, True):
        a.says, b.says = AWAY, YES

        async def die(arrives: bool = arrives) -> None:
            attempt = await last(connection)
            assert attempt.acquirer == "b", "it is written down before anything is sent"
            if arrives:
                b.arrived[attempt.id] = YES
            raise Died

        b.first = die
        with pytest.raises(Died):
            await pay(tap)
        a.says, b.first, asked = YES, None, a.asked
        await taken_over(tap, connection)
        attempt = await last(connection)
        assert a.asked == asked
        assert (list(a.arrived), b.arrived[attempt.id]) == ([], YES)
        assert await connection.fetchval("SELECT closed_at IS NOT NULL FROM payments.attempts WHERE id = $1", attempt.id)
    assert await owed(connection) == {"acquirer:b": 4000}
    assert await find_faults(connection) == []


async def test_who_stood_still_while_another_took_over_sends_it_to_nobody(
    tap: InProcess, a: Scripted, b: Scripted, connection: Connection
) -> None:
    async def stand_still() -> None:
        a.first, a.says = None, YES
        await taken_over(tap, connection)  # which sends it to a
        a.says = AWAY

    a.first = stand_still
    assert await refused(tap) == "LeaseOver"
    assert (len(a.arrived), len(b.arrived)) == (1, 0)
    assert await owed(connection) == {"acquirer:a": 2000}


async def left_open(tap: InProcess, connection: Connection) -> None:
    """Another process took it over, and nobody was there who knows of it."""
    await taken_over(tap, connection)


async def run_out(tap: InProcess, connection: Connection) -> None:  # noqa: ARG001 - all have the same
    """The lease has, and somebody may be about to take it over."""
    await connection.execute("UPDATE payments.attempts SET lease_until = now() - interval '1 second'")


async def gone_on(tap: InProcess, connection: Connection) -> None:  # noqa: ARG001 - all have the same
    """The same call arrived twice, and the other one goes on already."""
    await connection.execute('UPDATE payments.attempts SET document = (document::jsonb || \'{"acquirer": "b"}\')::json')


@pytest.mark.parametrize("meanwhile", [left_open, run_out, gone_on])
@pytest.mark.parametrize("says", [AWAY, LATER], ids=["away", "declined"])
async def test_what_isnt_ones_own_any_more_goes_to_no_other(
    tap: InProcess,
    a: Scripted,
    b: Scripted,
    connection: Connection,
    meanwhile: Callable[[InProcess, Connection], Awaitable[None]],
    says: Says,
) -> None:
    async def stand_still() -> None:
        a.first, a.says = None, AWAY
        await meanwhile(tap, connection)
        a.says = says

    a.first = stand_still
    await refused(tap)
    assert b.arrived == {}
    assert await find_faults(connection) == []


async def test_what_was_taken_over_goes_to_no_other(tap: InProcess, a: Scripted, b: Scripted, connection: Connection) -> None:
    """Whoever had it may have sent it, or may be about to."""

    async def die() -> None:
        raise Died

    a.first = die
    with pytest.raises(Died):
        await pay(tap)
    a.first, a.says = None, AWAY
    await taken_over(tap, connection)
    assert (await last(connection)).acquirer == "a"
    assert b.arrived == {}


async def test_that_nobody_gets_it_is_written_down_before_it_is_told(
    tap: InProcess, a: Scripted, b: Scripted, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: object) -> None:
        raise Died

    a.says = b.says = AWAY
    with monkeypatch.context() as patched:
        patched.setattr(Processor, "_settle", die)
        with pytest.raises(Died):
            await pay(tap)
    a.says = b.says = YES
    await taken_over(tap, connection)
    assert (a.arrived, b.arrived) == ({}, {})
    error = await connection.fetchval("SELECT document -> 'last_payment_error' ->> 'code' FROM payments.payment_intents")
    assert error == "processing_error"


async def test_an_acquirer_that_is_away_is_left_alone_until_it_is_well_again(
    tap: InProcess, a: Scripted, b: Scripted, connection: Connection
) -> None:
    first, second = (each.processor.acquirers for each in tap.copies)  # a breaker is a process's own
    a.says = AWAY
    for _ in range(12):
        assert await pay(tap) == "succeeded"
    assert a.asked == 10
    assert (await last(connection)).tried[0].reason == "not sent: its breaker is open"
    b.says, b.asked = AWAY, 0
    for _ in range(12):
        assert await pay(tap) == "processing_error"
    attempt = await last(connection)
    assert [each.reason for each in attempt.tried] == ["not sent: its breaker is open"] * 2
    assert b.asked <= 20, "each of five is asked twice"
    a.says = b.says = YES
    assert await pay(tap) == "processing_error", "nobody has asked yet whether they are well"
    tap.clock.time += 5
    for copy in (first, second):
        await copy.probe()
        assert {each.breaker for each in await copy.states()} == {"closed", "half-open"}
    for _ in range(4):
        assert await pay(tap) == "succeeded"
    assert {each.breaker for each in await first.states() if each.name == "a"} == {"closed"}


async def refused(tap: InProcess) -> str:
    """Have a payment made in process, where what is raised isn't hidden."""
    try:
        return await pay(tap)
    except Exception as failure:  # noqa: BLE001 - its name is what is looked at
        return type(failure).__name__
