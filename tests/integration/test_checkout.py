"""Checkout sessions while time goes by, banks are silent and others are quicker: each ends once, and nobody pays twice."""

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from payments.acquirers.acquirer import Order
from payments.domain.checkout import CheckoutSession
from payments.domain.outcome import Approved, AuthenticationRequired, Outcome, Unknown
from payments.payment_api import steps
from payments.payment_api.checkout.closing import Closing
from payments.storage.books import find_faults
from payments.storage.database import Connection
from payments.storage.keys import MerchantError
from payments.storage.merchant_tasks import SettingsOrder, change_settings
from tests.integration.test_settled_from import APPROVED, DECLINED, Bank
from tests.support.in_process import PUBLIC_URL, InProcess, in_process

DAY = 24 * 3600
SHOP = "https://shop.example/done"
CARD = {"number": "4242424242424242", "exp": "12/40", "cvc": "123", "name": "Ada", "email": "ada@example.com"}
ENDED = {"open": [], "complete": ["checkout.session.completed"], "expired": ["checkout.session.expired"]}
WHAT = {
    "line_items[0][price_data][currency]": "usd",
    "line_items[0][price_data][unit_amount]": "2500",
    "line_items[0][price_data][product_data][name]": "Scarf",
    "line_items[0][quantity]": "1",
}


@pytest.fixture
def bank() -> Bank:
    return Bank()


@pytest.fixture
async def tap(database_url: str, bank: Bank) -> AsyncGenerator[InProcess]:
    async with in_process(database_url, acquirer=bank) as made:
        yield made


async def opened(tap: InProcess, **params: str) -> Any:
    made = await tap.post("checkout/sessions", success_url=SHOP, **{**WHAT, **params})
    assert made.status == 200, made
    return made.body


async def state(tap: InProcess, url: str) -> str:
    found = re.search(r'name="state" value="([^"]*)"', (await tap.open_page(url)).body)
    assert found is not None
    return found[1]


async def pay_on_page(tap: InProcess, session: Any, **typed: str) -> Any:
    return await tap.open_page(session["url"], state=await state(tap, session["url"]), **{**CARD, **typed})


async def read(tap: InProcess, session: Any) -> Any:
    return await tap.get(f"checkout/sessions/{session['id']}")


async def told(connection: Connection, session: Any) -> list[str]:
    rows = await connection.fetch("SELECT type FROM payments.events WHERE object_id = $1 ORDER BY id", session["id"])
    return [row["type"] for row in rows]


async def stored(connection: Connection, session: Any) -> str:
    """What the row says, without anybody looking at it."""
    return await connection.fetchval("SELECT status FROM payments.checkout_sessions WHERE id = $1", session["id"])


async def test_a_session_expires_by_whoever_looks_first(tap: InProcess, connection: Connection) -> None:
    for look in ("api", "page", "job"):
        session = await opened(tap)
        tap.clock.time += DAY - 1
        assert (await read(tap, session))["status"] == "open"
        tap.clock.time += 1
        match look:
            case "api":
                assert (await read(tap, session))["status"] == "expired"
            case "page":
                assert (await tap.open_page(session["url"])).status == 410
            case _:
                assert await tap.closing.sweep() == 1
        assert await stored(connection, session) == "expired"
        assert await told(connection, session) == ["checkout.session.expired"]
    assert await tap.closing.sweep() == 0
    assert await find_faults(connection) == []


async def test_many_copies_expire_each_session_once(tap: InProcess, connection: Connection) -> None:
    sessions = [await opened(tap) for _ in range(12)]
    tap.clock.time += DAY
    await asyncio.gather(*(tap.closing.sweep() for _ in range(5)), *(read(tap, session) for session in sessions))
    for session in sessions:
        assert await told(connection, session) == ["checkout.session.expired"]
    assert await connection.fetchval("SELECT count(*) FROM payments.checkout_sessions WHERE due_at IS NOT NULL") == 0


async def test_an_unknown_outcome_is_waited_for_and_completes_the_session_late(tap: InProcess, bank: Bank, connection: Connection) -> None:
    session = await opened(tap)
    bank.answer = Unknown(reason="timeout")
    form = await state(tap, session["url"])
    assert (await tap.open_page(session["url"], state=form, **CARD)).body == session["url"]
    waiting = await tap.open_page(session["url"])
    assert "being processed" in waiting.body
    assert 'http-equiv="refresh"' in waiting.body
    assert (await tap.open_page(session["url"], state=form, **CARD)).status == 303, "another tab pays nothing"
    assert (await tap.post(f"checkout/sessions/{session['id']}/expire")).status == 429, "nobody ends it under a payment"
    tap.clock.time += DAY + 60
    await tap.closing.sweep()
    assert (await read(tap, session))["status"] == "open", "it is being paid: its time isn't over yet"
    bank.answer = Approved(authorization_code="1")
    await connection.execute("UPDATE payments.attempts SET lease_until = now() - interval '1 second'")
    assert await tap.copies[0].sweeper.resolve_abandoned() == 1
    assert await stored(connection, session) == "open"
    tap.clock.time += 1000
    assert await tap.closing.sweep() == 1
    assert await stored(connection, session) == "complete"
    assert await told(connection, session) == ["checkout.session.completed"]
    assert (await tap.open_page(session["url"])).body == SHOP
    assert await connection.fetchval("SELECT count(*) FROM payments.attempts") == 1
    assert await find_faults(connection) == []


async def test_a_page_says_that_a_payment_is_under_way_when_the_bank_is_slow(
    tap: InProcess, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = asyncio.Event()

    async def slowly(order: Order) -> Outcome:  # noqa: ARG001 - the protocol's
        await answers.wait()
        return bank.answer

    monkeypatch.setattr(bank, "execute", slowly)
    monkeypatch.setattr(steps, "PAGE_WAIT_SECONDS", 0.1)
    session = await opened(tap)
    assert (await pay_on_page(tap, session)).body == session["url"]
    assert "being processed" in (await tap.open_page(session["url"])).body

    back = "https://shop.example/back"
    bank.answer = AuthenticationRequired()
    answers.set()
    challenged = await tap.post(
        "payment_intents", amount="100", currency="usd", payment_method="pm_card_visa", confirm="true", return_url=back
    )
    answers.clear()
    led = await tap.decide(challenged.body["next_action"]["redirect_to_url"]["url"], "complete")
    assert (led.status, "redirect_status=succeeded" in led.body) == (303, True)
    answers.set()


@pytest.mark.parametrize("path", ["/pay/", "/pay/c/test/1/cs_1", "/pay/l/test/1/plink_1/more", "/pay/../x"])
async def test_an_address_that_was_cut_off_is_answered_to_a_person(tap: InProcess, path: str) -> None:
    answer = await tap.open_page(PUBLIC_URL + path)
    assert (answer.status, "<title>Unknown page</title>" in answer.body) == (404, True)


async def test_the_job_finishes_what_a_process_that_died_began(tap: InProcess, connection: Connection) -> None:
    """The payment is through, and whoever began it is gone before the session was told."""
    session = await opened(tap)
    form = await state(tap, session["url"])
    looks = iter([Closing.up_to_date])

    async def once(closing: Closing, session: CheckoutSession) -> CheckoutSession:
        """The look before the payment; after it there is nobody any more."""
        look = next(looks, None)
        if look is None:
            raise ConnectionError
        return await look(closing, session)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Closing, "up_to_date", once)
        assert (await tap.open_page(session["url"], state=form, **CARD)).status == 503
    assert await stored(connection, session) == "open"
    tap.clock.time += 11
    assert await tap.closing.sweep() == 1
    assert await told(connection, session) == ["checkout.session.completed"]
    assert await find_faults(connection) == []


async def test_paying_and_expiring_at_once_end_in_one_of_the_two(tap: InProcess, connection: Connection) -> None:
    for _ in range(8):
        session = await opened(tap)
        form = await state(tap, session["url"])
        await asyncio.gather(
            tap.open_page(session["url"], state=form, **CARD), tap.post(f"checkout/sessions/{session['id']}/expire"), return_exceptions=True
        )
        after = await read(tap, session)
        assert await told(connection, session) == ENDED[after["status"]]
        assert (after["status"] == "complete") == (after["payment_status"] == "paid")
    assert await find_faults(connection) == []


async def test_forms_sent_at_once_begin_one_payment(tap: InProcess, bank: Bank, connection: Connection) -> None:
    for answer in (Approved(authorization_code="1"), DECLINED):
        bank.answer = answer
        session = await opened(tap, customer_creation="always")
        form = await state(tap, session["url"])
        answers = await asyncio.gather(*(tap.open_page(session["url"], state=form, **CARD) for _ in range(10)))
        assert {each.status for each in answers} == {303}
        intent = (await read(tap, session))["payment_intent"]
        assert await connection.fetchval("SELECT count(*) FROM payments.attempts WHERE payment_intent = $1", intent) == 1
    assert await connection.fetchval("SELECT count(*) FROM payments.customers") == 2
    assert await find_faults(connection) == []


async def test_what_the_merchant_changes_meanwhile_stops_nobody(tap: InProcess) -> None:
    session = await opened(tap)
    form = await state(tap, session["url"])
    assert (await tap.post(f"checkout/sessions/{session['id']}", **{"metadata[a]": "1"})).status == 200
    assert (await tap.open_page(session["url"], state=form, **CARD)).body == SHOP
    after = await read(tap, session)
    assert (after["status"], after["metadata"]) == ("complete", {"a": "1"})


async def test_an_intent_that_the_merchant_canceled_is_made_anew(tap: InProcess, bank: Bank, connection: Connection) -> None:
    session = await opened(tap)
    bank.answer = DECLINED
    await pay_on_page(tap, session)
    first = (await read(tap, session))["payment_intent"]
    assert (await tap.post(f"payment_intents/{first}/cancel")).status == 200
    bank.answer = Approved(authorization_code="1")
    assert (await pay_on_page(tap, session)).body == SHOP
    assert (await read(tap, session))["payment_intent"] != first
    assert await find_faults(connection) == []


async def test_what_was_shown_is_charged_whatever_became_of_the_intent(tap: InProcess, bank: Bank) -> None:
    session = await opened(tap)
    bank.answer = DECLINED
    await pay_on_page(tap, session)
    intent = (await read(tap, session))["payment_intent"]
    assert (await tap.post(f"payment_intents/{intent}", amount="9900")).status == 200
    bank.answer = Approved(authorization_code="1")
    assert (await pay_on_page(tap, session)).body == SHOP
    assert (await tap.get(f"payment_intents/{intent}"))["amount_received"] == 2500


@pytest.mark.parametrize("mode", ["payment", "setup"])
async def test_who_paid_pays_no_more_though_the_session_was_not_told_yet(tap: InProcess, connection: Connection, mode: str) -> None:
    session = await opened(tap) if mode == "payment" else (await tap.post("checkout/sessions", mode="setup", success_url=SHOP)).body
    form = await state(tap, session["url"])

    async def untold(_: Closing, session: CheckoutSession) -> CheckoutSession:
        return session

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Closing, "up_to_date", untold)
        if mode == "setup":
            patch.setattr(Closing, "complete", uncompleted)
        assert (await tap.open_page(session["url"], state=form, **CARD)).body == session["url"]
        assert "being processed" in (await tap.open_page(session["url"])).body
        known = await connection.fetchrow(
            "SELECT document ->> 'tries' AS tries FROM payments.checkout_sessions WHERE id = $1", session["id"]
        )
        assert known is not None
        fresh = f"{known['tries']}-{form.partition('-')[2]}"
        assert (await tap.open_page(session["url"], state=fresh, **CARD)).body == session["url"]
    assert await connection.fetchval("SELECT count(*) FROM payments.attempts") == (mode == "payment")
    assert await connection.fetchval("SELECT count(*) FROM payments.setup_attempts") == (mode == "setup")
    assert (await tap.open_page(session["url"])).body == SHOP
    assert await find_faults(connection) == []


async def uncompleted(_: Closing, __: Connection, session: CheckoutSession, ___: Any) -> tuple[CheckoutSession, list[Any]]:
    return session, []


async def test_a_customer_who_is_gone_is_said_to_be(tap: InProcess) -> None:
    customer = (await tap.post("customers", email="c@example.com")).id
    session = await opened(tap, customer=customer)
    form = await state(tap, session["url"])
    await tap.call("DELETE", f"/v1/customers/{customer}")
    assert (await tap.open_page(session["url"], state=form, **CARD)).status == 422


async def test_card_data_is_kept_nowhere(tap: InProcess, bank: Bank, connection: Connection) -> None:
    bank.answer = DECLINED
    session = await opened(tap)
    await pay_on_page(tap, session, number="4000056655665556", cvc="987")
    tables = await connection.fetch(
        "SELECT schemaname || '.' || tablename AS name FROM pg_tables WHERE schemaname IN ('payments', 'notifications')"
    )
    for table in tables:
        for row in await connection.fetch(f"SELECT t::text AS text FROM {table['name']} t"):
            assert "4000056655665556" not in row["text"]
            assert '"987"' not in row["text"]


async def test_the_addresses_are_where_the_front_door_leads(tap: InProcess) -> None:
    session = await opened(tap)
    assert session["url"].startswith(f"{PUBLIC_URL}/pay/c/test/1/{session['id']}/")


async def test_expiry_keeps_within_its_bounds(tap: InProcess) -> None:
    now = int(tap.clock.now())
    for seconds, accepted in ((1800, True), (DAY, True), (1700, False), (DAY + 120, False)):
        made = await tap.post("checkout/sessions", success_url=SHOP, expires_at=str(now + seconds), **WHAT)
        assert (made.status == 200) is accepted, seconds


PNG = b"\x89PNG\r\n\x1a\n" + bytes(50)


async def test_a_page_wears_what_the_merchant_says(tap: InProcess, connection: Connection) -> None:
    session = await opened(tap)
    before = (await tap.open_page(session["url"])).body
    assert "<img" not in before
    await change_settings(connection, SettingsOrder(name="Wool & <b>Yarn</b>", colour="#7A1F5C", logo=PNG))
    page = (await tap.open_page(session["url"])).body
    for worn in ("Wool &amp; &lt;b&gt;Yarn&lt;/b&gt;", "--accent:#7a1f5c", "data:image/png;base64,"):
        assert worn in page
    assert (await tap.get("account"))["settings"]["branding"]["primary_color"] == "#7a1f5c"
    _, account = await change_settings(connection, SettingsOrder(colour="", logo=b"", name="Shop"))
    assert (account.name, account.colour, account.has_logo) == ("Shop", None, False)
    assert "--accent:#7a1f5c" not in (await tap.open_page(session["url"])).body


@pytest.mark.parametrize(
    ("order", "said"), [({"colour": "red"}, "#rrggbb"), ({"logo": b"<svg/>"}, "PNG or JPEG"), ({"name": " "}, "characters")]
)
async def test_what_a_page_cannot_wear_is_refused(tap: InProcess, connection: Connection, order: dict[str, Any], said: str) -> None:
    assert tap
    with pytest.raises(MerchantError, match=said):
        await change_settings(connection, SettingsOrder(**order))


async def test_cards_are_tried_a_few_at_a_time_and_again_after_a_while(tap: InProcess, bank: Bank) -> None:
    session = await opened(tap)
    bank.answer = DECLINED
    for _ in range(5):
        assert (await pay_on_page(tap, session)).status == 303
    slowed = await pay_on_page(tap, session)
    assert (slowed.status, "Please wait 10 minutes" in slowed.body) == (429, True)
    tap.clock.time += 601
    bank.answer = APPROVED
    assert (await pay_on_page(tap, session)).body == SHOP
