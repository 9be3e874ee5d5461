"""A Tap in front of an account at Stripe, whose part another Tap takes: what one booked, the other did, to the cent."""

import io
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import pytest
import stripe

from payments.acquirers.acquirer import NotSent, Order
from payments.acquirers.configuration import StripeSpec
from payments.acquirers.routing import Route, Routes
from payments.acquirers.stripe import acquirer as module
from payments.acquirers.stripe.acquirer import NoRedirects, StripeAcquirer, open_stripe
from payments.domain.attempt import AttemptKind
from payments.domain.outcome import Approved, Declined, NotFound, Outcome, Unknown
from payments.runtime.ids import new_id
from payments.runtime.logging import Logger
from payments.storage.books import find_faults
from payments.storage.database import Connection
from tests.integration.builders import FakeClock
from tests.integration.test_acquirers import CARD, owed
from tests.support.acquirers_to_test import LACKING, authorization, follow_up
from tests.support.in_process import InProcess, in_process
from tests.support.running_tap import RunningTap
from tests.support.waiting import eventually

ROUTES = Routes([Route(acquirer="stripe", livemode=False)])


class Lossy(NoRedirects):
    """Loses the next answer to what is sent to a path, or the request."""

    lost: tuple[str, bool] | None = None
    """The path's end, and whether the request arrives."""

    async def request_async(self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None) -> Any:
        if self.lost is None or not url.partition("?")[0].endswith(self.lost[0]):
            return await super().request_async(method, url, headers, post_data)
        arrives, Lossy.lost = self.lost[1], None
        if arrives:
            await super().request_async(method, url, headers, post_data)
        raise stripe.APIConnectionError("lost")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def log() -> io.BytesIO:
    return io.BytesIO()


@pytest.fixture
async def acquirer(tap: RunningTap, clock: FakeClock, log: io.BytesIO, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[StripeAcquirer]:
    monkeypatch.setattr(module, "NoRedirects", Lossy)
    status = tap.status()
    spec = StripeSpec(name="stripe", mode="test", url=status["base_url"], timeout_seconds=60, begin_timeout_seconds=60)
    async with open_stripe(spec, status["secret_key"], clock, Logger("test", log)) as opened:
        yield opened


@pytest.fixture
async def near(database_url: str, acquirer: StripeAcquirer) -> AsyncGenerator[InProcess]:
    async with in_process(database_url, outside=[acquirer], routes=ROUTES) as made:
        yield made


def the_other(client: stripe.StripeClient, reference: str) -> stripe.Charge:
    """The charge of a payment on the other side."""
    intent = client.v1.payment_intents.retrieve(reference, {"expand": ["latest_charge"]})
    assert isinstance(intent.latest_charge, stripe.Charge)
    return intent.latest_charge


async def test_both_ledgers_agree(near: InProcess, client: stripe.StripeClient, connection: Connection) -> None:
    paid = await near.post("payment_intents", amount="2000", currency="eur", confirm="true", **CARD)
    await near.post("refunds", payment_intent=paid.id, amount="500")
    held = await near.post("payment_intents", amount="3000", currency="eur", confirm="true", capture_method="manual", **CARD)
    assert held.body["status"] == "requires_capture"
    await near.post(f"payment_intents/{held.id}/capture", amount_to_capture="500", final_capture="false")
    await near.post(f"payment_intents/{held.id}/capture", amount_to_capture="700")
    given_up = await near.post("payment_intents", amount="700", currency="eur", confirm="true", capture_method="manual", **CARD)
    await near.post(f"payment_intents/{given_up.id}/cancel")
    declined = await near.post(
        "payment_intents", amount="900", currency="eur", confirm="true", **{**CARD, "payment_method_data[card][number]": LACKING}
    )
    assert (declined.status, declined.body["error"]["decline_code"]) == (402, "insufficient_funds")

    rows = await connection.fetch(
        "SELECT document ->> 'acquirer_reference' AS theirs, amount_captured, amount_refunded FROM payments.charges"
    )
    for row in rows:
        if row["theirs"] is not None:
            charge = the_other(client, row["theirs"])
            released = 0 if charge.captured else charge.amount
            assert (charge.amount_captured, charge.amount_refunded - released) == (
                row["amount_captured"],
                row["amount_refunded"] - released,
            )
    theirs = [the_other(client, row["theirs"]) for row in rows if row["theirs"] is not None]
    assert len(theirs) == 3
    settles = sum(each.amount_captured - (each.amount_refunded if each.captured else 0) for each in theirs)
    moved = [client.v1.balance_transactions.list({"source": each.id}).data for each in theirs if each.captured]
    refunds = [client.v1.refunds.list({"charge": each.id}).data for each in theirs if each.captured]
    booked = sum(change.amount for changes in moved for change in changes if change.type == "charge")
    assert await owed(connection) == {"acquirer:stripe": settles}
    assert settles == booked - sum(refund.amount for each in refunds for refund in each) == 1500 + 1200
    assert await find_faults(connection) == []


def of_this(order: Order, approved: Outcome, reference: str) -> Order:
    assert isinstance(approved, Approved)
    return order_of(order, reference=new_id("att"), original_reference=reference, acquirer_reference=approved.acquirer_reference)


def order_of(order: Order, **changes: Any) -> Order:
    return Order(**{name: getattr(order, name) for name in Order.__slots__} | changes)


def new(clock: FakeClock, **options: Any) -> Order:
    return order_of(authorization(new_id("att"), **options), created=int(clock.now()), livemode=False)


async def test_every_kind_of_order_is_carried_out_once_and_learned_again(acquirer: StripeAcquirer, clock: FakeClock) -> None:
    hold, payment, lacking = new(clock, capture=False), new(clock), new(clock, number=LACKING)
    held, paid, refused = [await acquirer.execute(each) for each in (hold, payment, lacking)]
    assert isinstance(refused, Declined)
    assert refused.decline_code == "insufficient_funds"
    other, second = new(clock, capture=False), new(clock, capture=False)
    of_other, of_second = await acquirer.execute(other), await acquirer.execute(second)
    orders = [
        (of_this(follow_up(AttemptKind.INCREMENT, "", amount=2500), held, hold.reference), Approved),
        (of_this(follow_up(AttemptKind.CAPTURE, "", amount=2400), held, hold.reference), Approved),
        (of_this(follow_up(AttemptKind.CAPTURE, "", amount=2001), of_other, other.reference), Declined),
        (of_this(follow_up(AttemptKind.VOID, ""), of_second, second.reference), Approved),
        (of_this(follow_up(AttemptKind.REFUND, "", amount=500), paid, payment.reference), Approved),
        (of_this(follow_up(AttemptKind.REFUND, "", amount=1501), paid, payment.reference), Declined),
    ]
    for order, expected in orders:
        now = order_of(order, created=int(clock.now()))
        answer = await acquirer.execute(now)
        assert isinstance(answer, expected), (order.kind, order.amount, answer)
        again = await acquirer.inquire(now)
        assert again == answer or (order.kind is AttemptKind.REFUND and expected is Declined and isinstance(again, NotFound))
    assert [await acquirer.inquire(each) for each in (payment, lacking)] == [paid, refused]
    late = [order_of(order, created=int(clock.now()) - module.KEYS_SECONDS) for order, expected in orders if expected is Approved]
    assert [type(await acquirer.inquire(each)) for each in late] == [Approved] * 4, "without the help of its keys"


async def test_a_payment_whose_key_is_forgotten_is_searched_for(acquirer: StripeAcquirer, clock: FakeClock) -> None:
    payment = new(clock)
    paid = await acquirer.execute(payment)
    late = order_of(payment, created=int(clock.now()) - module.KEYS_SECONDS)

    async def is_found() -> bool:
        return await acquirer.inquire(late) == paid

    await eventually(is_found, "the other side searches for it")
    assert await acquirer.inquire(new_long_ago(clock)) == NotFound()


def new_long_ago(clock: FakeClock) -> Order:
    return order_of(new(clock), created=int(clock.now()) - module.KEYS_SECONDS)


async def test_what_got_lost_is_found_out(acquirer: StripeAcquirer, clock: FakeClock) -> None:
    for path, arrives, first, then in (
        ("/payment_intents", True, NotSent, Declined),  # begun, and nobody has the card
        ("/payment_intents", False, NotSent, Declined),
        ("/confirm", True, Unknown, Approved),
        ("/confirm", False, Unknown, Declined),
    ):
        order = new(clock)
        Lossy.lost = path, arrives
        try:
            answer = await acquirer.execute(order)
        except NotSent:
            answer = None
        assert (NotSent if answer is None else type(answer)) is first
        found = await acquirer.inquire(order)
        assert isinstance(found, then)
        assert await acquirer.inquire(order) == found
        if isinstance(found, Declined):
            assert found.code == "processing_error"
            late = await acquirer.execute(order)
            assert isinstance(late, Declined), "what comes late finds its payment cancelled"


async def test_a_repetition_is_no_second_payment(acquirer: StripeAcquirer, clock: FakeClock) -> None:
    order = order_of(new(clock), cvc="123")
    first = await acquirer.execute(order)
    assert await acquirer.execute(order_of(order, cvc=None)) == first, "the code isn't kept, so a repetition is without it"
    assert isinstance(first, Approved)


async def test_a_card_that_wants_authentication_is_declined_so(acquirer: StripeAcquirer, clock: FakeClock, log: io.BytesIO) -> None:
    answer = await acquirer.execute(new(clock, number="4000002760003184"))
    assert isinstance(answer, Declined)
    assert answer.decline_code == "authentication_required"
    assert isinstance(await acquirer.verify_card(new(clock, amount=0)), Approved)
    assert isinstance(await acquirer.verify_card(new(clock, amount=0, number="4000000000000002")), Declined)
    assert await acquirer.health() is None
    assert b"4000002760003184" not in log.getvalue()
