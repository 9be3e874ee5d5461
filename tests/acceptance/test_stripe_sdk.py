"""The official Stripe SDK, pointed at Tap, does what it does with Stripe; every answer has Stripe's shape."""

import json
import uuid
from typing import Any

import psycopg
import pytest
import stripe
from psycopg import sql

from tests.support.paying import pay, press, shaped
from tests.support.running_tap import RunningTap
from tests.support.stripe_schema import violations
from tests.support.waiting import wait_until


def test_a_payment_succeeds_at_once(client: stripe.StripeClient) -> None:
    intent = pay(client, metadata={"order": "1"}, expand=["latest_charge.balance_transaction"])
    assert intent.status == "succeeded"
    assert intent.amount_received == 2000
    charge = intent.latest_charge
    assert isinstance(charge, stripe.Charge)
    assert charge.captured
    assert charge.metadata.to_dict() == {"order": "1"}
    change = charge.balance_transaction
    assert isinstance(change, stripe.BalanceTransaction)
    assert (change.amount, change.fee, change.net) == (2000, 88, 1912)
    assert change.status == "pending"
    shaped(client.v1.balance_transactions.retrieve(change.id))
    shaped(client.v1.charges.retrieve(charge.id))
    shaped(client.v1.payment_intents.retrieve(intent.id))


@pytest.mark.parametrize(
    ("method", "code", "decline_code"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
        ("pm_card_visa_chargeDeclinedStolenCard", "card_declined", "stolen_card"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", None),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", None),
        ("pm_card_radarBlock", "card_declined", "fraudulent"),
    ],
)
def test_a_declined_card_is_a_card_error(client: stripe.StripeClient, method: str, code: str, decline_code: str | None) -> None:
    with pytest.raises(stripe.CardError) as declined:
        pay(client, payment_method=method)
    error = declined.value
    assert violations(json.loads(str(error.http_body))) == []
    assert (error.http_status, error.code) == (402, code)
    assert error.error is not None
    assert error.error.decline_code == decline_code
    assert error.param == {"expired_card": "exp_month", "incorrect_cvc": "cvc"}.get(code)
    intent = error.error.payment_intent
    assert intent is not None
    assert intent.status == "requires_payment_method"
    assert intent.payment_method is None
    again = shaped(client.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge"]}))
    assert again.latest_charge.status == "failed"
    assert again.last_payment_error.code == code
    assert client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"}).status == "succeeded"


def test_a_replayed_request_gets_the_first_answer(client: stripe.StripeClient) -> None:
    options: stripe.RequestOptions = {"idempotency_key": uuid.uuid4().hex}
    params: Any = {"amount": 2000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
    first: Any = client.v1.payment_intents.create(params, options)
    again: Any = client.v1.payment_intents.create(params, options)
    assert again.last_response.body == first.last_response.body
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.last_response.headers
    with pytest.raises(stripe.IdempotencyError, match="Keys for idempotent requests can only be used with the same parameters"):
        client.v1.payment_intents.create(params | {"amount": 2001}, options)


def test_a_replayed_decline_is_the_same_decline(client: stripe.StripeClient) -> None:
    options: stripe.RequestOptions = {"idempotency_key": uuid.uuid4().hex}
    params: Any = {"amount": 2000, "currency": "usd", "payment_method": "pm_card_chargeDeclined", "confirm": True}
    errors: list[stripe.CardError] = []
    for _ in range(2):
        with pytest.raises(stripe.CardError) as declined:
            client.v1.payment_intents.create(params, options)
        errors.append(declined.value)
    assert errors[0].http_body == errors[1].http_body


def test_the_steps_of_a_payment_one_by_one(client: stripe.StripeClient) -> None:
    intent = shaped(client.v1.payment_intents.create({"amount": 1000, "currency": "EUR"}))
    assert (intent.status, intent.currency) == ("requires_payment_method", "eur")
    intent = shaped(client.v1.payment_intents.update(intent.id, {"amount": 1500, "metadata": {"a": "1"}, "description": "Books"}))
    assert (intent.amount, intent.description) == (1500, "Books")
    intent = client.v1.payment_intents.update(intent.id, {"payment_method": "pm_card_mastercard", "metadata": {"a": "", "b": "2"}})
    assert (intent.status, intent.metadata.to_dict()) == ("requires_confirmation", {"b": "2"})
    intent = shaped(client.v1.payment_intents.confirm(intent.id))
    assert intent.status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.update(intent.id, {"amount": 1})
    assert refused.value.code == "payment_intent_unexpected_state"
    with pytest.raises(
        stripe.InvalidRequestError, match=r"because it has a status of succeeded\. Only a PaymentIntent with one of"
    ) as refused:
        client.v1.payment_intents.cancel(intent.id)
    assert refused.value.error is not None
    assert refused.value.error.payment_intent is not None


def test_a_hold_is_captured_in_part_and_the_rest_released(client: stripe.StripeClient) -> None:
    intent = pay(client, capture_method="manual", expand=["latest_charge"])
    assert (intent.status, intent.amount_capturable, intent.amount_received) == ("requires_capture", 2000, 0)
    assert isinstance(intent.latest_charge, stripe.Charge)
    assert not intent.latest_charge.captured
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 2001})
    assert refused.value.param == "amount_to_capture"
    intent = shaped(client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 1500}))
    assert (intent.status, intent.amount_capturable, intent.amount_received) == ("succeeded", 0, 1500)
    with pytest.raises(stripe.InvalidRequestError, match="This PaymentIntent could not be captured because it has a status of succeeded"):
        client.v1.payment_intents.capture(intent.id)


def test_a_hold_is_captured_several_times(client: stripe.StripeClient) -> None:
    intent = pay(client, capture_method="manual")
    intent = client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 500, "final_capture": False})
    assert (intent.status, intent.amount_capturable, intent.amount_received) == ("requires_capture", 1500, 500)
    intent = client.v1.payment_intents.capture(intent.id)
    assert (intent.status, intent.amount_capturable, intent.amount_received) == ("succeeded", 0, 2000)


def test_a_hold_is_released_by_canceling(client: stripe.StripeClient) -> None:
    intent = pay(client, capture_method="manual")
    intent = shaped(client.v1.payment_intents.cancel(intent.id, {"cancellation_reason": "duplicate"}))
    assert (intent.status, intent.amount_capturable, intent.cancellation_reason) == ("canceled", 0, "duplicate")


def test_a_cardholder_authenticates(client: stripe.StripeClient) -> None:
    intent = pay(client, payment_method="pm_card_threeDSecure2Required", return_url="https://shop.example/done?x=1")
    assert intent.status == "requires_action"
    assert intent.next_action is not None
    assert intent.next_action.redirect_to_url is not None
    location = press(str(intent.next_action.redirect_to_url.url), "complete")
    assert location.startswith("https://shop.example/done?x=1&payment_intent=pi_")
    assert location.endswith("redirect_status=succeeded")
    intent = shaped(client.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge"]}))
    assert intent.status == "succeeded"
    assert intent.latest_charge.payment_method_details.card.three_d_secure.result == "authenticated"


def test_a_cardholder_fails_to_authenticate(client: stripe.StripeClient) -> None:
    intent = pay(client, payment_method="pm_card_threeDSecure2Required", return_url="https://shop.example/done")
    assert intent.next_action is not None
    assert intent.next_action.redirect_to_url is not None
    assert press(str(intent.next_action.redirect_to_url.url), "fail").endswith("redirect_status=failed")
    intent = shaped(client.v1.payment_intents.retrieve(intent.id))
    assert intent.status == "requires_payment_method"
    assert intent.last_payment_error is not None
    assert intent.last_payment_error.code == "payment_intent_authentication_failure"


def test_without_the_cardholder_authentication_is_a_decline(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.CardError) as declined:
        pay(client, payment_method="pm_card_authenticationRequired", off_session=True)
    assert declined.value.code == "authentication_required"


def test_refunds_never_exceed_what_was_captured(client: stripe.StripeClient) -> None:
    intent = pay(client)
    part = shaped(client.v1.refunds.create({"payment_intent": intent.id, "amount": 1500, "reason": "requested_by_customer"}))
    assert (part.status, part.amount) == ("succeeded", 1500)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.refunds.create({"payment_intent": intent.id, "amount": 2000})
    assert str(refused.value.user_message) == "Refund amount ($20.00) is greater than unrefunded amount on charge ($5.00)"
    assert (refused.value.param, refused.value.code) == ("amount", None)
    assert client.v1.refunds.create({"charge": str(intent.latest_charge)}).amount == 500
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.refunds.create({"payment_intent": intent.id})
    assert refused.value.code == "charge_already_refunded"
    assert [refund.amount for refund in client.v1.refunds.list({"payment_intent": intent.id}).data] == [500, 1500]
    charge = shaped(client.v1.charges.retrieve(str(intent.latest_charge)))
    assert (charge.refunded, charge.amount_refunded) == (True, 2000)
    changed = shaped(client.v1.refunds.update(part.id, {"metadata": {"why": "late"}}))
    assert changed.metadata.to_dict() == {"why": "late"}


def test_a_refund_may_be_pending_and_then_succeed(client: stripe.StripeClient) -> None:
    intent = pay(client, payment_method="pm_card_pendingRefund")
    refund = shaped(client.v1.refunds.create({"payment_intent": intent.id}))
    assert refund.status == "pending"
    wait_until(lambda: shaped(client.v1.refunds.retrieve(refund.id)).status == "succeeded", "the refund succeeds")


def test_a_refund_may_succeed_and_then_fail(client: stripe.StripeClient) -> None:
    intent = pay(client, payment_method="pm_card_refundFail")
    refund = client.v1.refunds.create({"payment_intent": intent.id})
    assert refund.status == "succeeded"
    wait_until(lambda: client.v1.refunds.retrieve(refund.id).status == "failed", "the refund fails")
    refund = shaped(client.v1.refunds.retrieve(refund.id, {"expand": ["failure_balance_transaction", "charge"]}))
    assert refund.failure_balance_transaction.amount == 2000
    assert (refund.charge.amount_refunded, refund.charge.refunded) == (0, False)


def test_a_customer_keeps_cards(client: stripe.StripeClient) -> None:
    customer = shaped(client.v1.customers.create({"email": "ada@example.com", "name": "Ada", "address": {"city": "London"}}))
    method = shaped(
        client.v1.payment_methods.create(
            {"type": "card", "card": {"number": "4242 4242 4242 4242", "exp_month": 12, "exp_year": 2034, "cvc": "123"}}
        )
    )
    assert (method.card.brand, method.card.last4, method.card.checks.cvc_check) == ("visa", "4242", "pass")
    method = shaped(client.v1.payment_methods.attach(method.id, {"customer": customer.id}))
    with pytest.raises(stripe.InvalidRequestError, match="belongs to a Customer"):
        pay(client, payment_method=method.id)
    assert pay(client, payment_method=method.id, customer=customer.id).status == "succeeded"
    listed = shaped(client.v1.customers.payment_methods.list(customer.id, {"type": "card"}))
    assert [each.id for each in listed.data] == [method.id]
    customer = shaped(
        client.v1.customers.update(
            customer.id, {"invoice_settings": {"default_payment_method": method.id}, "metadata": {"k": "v"}, "name": ""}
        )
    )
    assert (customer.invoice_settings.default_payment_method, customer.name) == (method.id, None)
    method = shaped(client.v1.payment_methods.detach(method.id))
    assert method.customer is None
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        client.v1.payment_methods.attach(method.id, {"customer": customer.id})
    assert shaped(client.v1.customers.delete(customer.id)).deleted
    assert client.v1.customers.retrieve(customer.id).deleted


def test_a_card_that_its_issuer_refuses_is_not_kept(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({})
    with pytest.raises(stripe.CardError) as refused:
        client.v1.payment_methods.attach("pm_card_chargeDeclined", {"customer": customer.id})
    assert refused.value.code == "card_declined"
    kept = client.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": customer.id})
    with pytest.raises(stripe.CardError):
        pay(client, payment_method=kept.id, customer=customer.id)


def test_lists_are_paged_newest_first(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({"email": f"{uuid.uuid4().hex}@example.com"})
    made = [client.v1.payment_intents.create({"amount": 100 + i, "currency": "usd", "customer": customer.id}).id for i in range(5)]
    listed = shaped(client.v1.payment_intents.list({"customer": customer.id, "limit": 2}))
    assert [each.id for each in listed.data] == made[:2:-1]
    assert listed.has_more
    assert [each.id for each in listed.auto_paging_iter()] == made[::-1]
    before = client.v1.payment_intents.list({"customer": customer.id, "limit": 2, "ending_before": made[1]})
    assert [each.id for each in before.data] == [made[3], made[2]]
    expanded = client.v1.payment_intents.list({"customer": customer.id, "limit": 1, "expand": ["data.customer"]})
    assert expanded.data[0].customer.email == customer.email  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
    assert client.v1.customers.list({"email": str(customer.email)}).data[0].id == customer.id
    with pytest.raises(stripe.InvalidRequestError) as unknown:
        client.v1.payment_intents.list({"starting_after": "pi_unknown"})
    assert (unknown.value.http_status, unknown.value.code) == (400, "resource_missing")


def test_the_balance_shows_pending_and_available_funds(tap: RunningTap) -> None:
    client = tap.client(tap.create_key("--new-merchant", "Balance"))
    pay(client, amount=10_000)
    pay(client, amount=5_000, payment_method="pm_card_bypassPending")
    balance = shaped(client.v1.balance.retrieve())
    assert balance.pending[0].amount == 10_000 - 320
    assert balance.available[0].amount == 5_000 - 175
    client.v1.refunds.create({"payment_intent": pay(client, amount=1_000).id})
    assert client.v1.balance.retrieve().available[0].amount == 5_000 - 175 - 1_000
    types = [each.type for each in shaped(client.v1.balance_transactions.list()).data]
    assert sorted(types) == ["charge", "charge", "charge", "refund"]


def test_merchants_never_see_each_other(tap: RunningTap, client: stripe.StripeClient) -> None:
    intent = pay(client)
    customer = client.v1.customers.create({})
    other = tap.client(tap.create_key("--new-merchant", "Other"))
    for look, status in (
        (lambda: other.v1.payment_intents.retrieve(intent.id), 404),
        (lambda: other.v1.payment_intents.cancel(intent.id), 404),
        (lambda: other.v1.refunds.create({"payment_intent": intent.id}), 400),
        (lambda: other.v1.charges.retrieve(str(intent.latest_charge)), 404),
        (lambda: other.v1.customers.retrieve(customer.id), 404),
        (lambda: pay(other, customer=customer.id), 400),
    ):
        with pytest.raises(stripe.InvalidRequestError) as absent:
            look()
        assert (absent.value.http_status, absent.value.code) == (status, "resource_missing")
    assert other.v1.payment_intents.list().data == []


def test_a_browser_pays_with_the_client_secret_only(tap: RunningTap, client: stripe.StripeClient) -> None:
    status = tap.status()
    browser = stripe.StripeClient(status["publishable_key"], base_addresses={"api": status["base_url"]})
    intent = client.v1.payment_intents.create({"amount": 900, "currency": "usd", "metadata": {"internal": "yes"}})
    with pytest.raises(stripe.PermissionError):
        browser.v1.payment_intents.retrieve(intent.id)
    with pytest.raises(stripe.PermissionError):
        browser.v1.customers.list()
    method = browser.v1.payment_methods.create(
        {"type": "card", "card": {"number": "5555555555554444", "exp_month": 1, "exp_year": 34, "cvc": "999"}}
    )
    secret: Any = {"client_secret": intent.client_secret}
    assert "metadata" not in browser.v1.payment_intents.retrieve(intent.id, secret).to_dict()
    with pytest.raises(stripe.InvalidRequestError):
        browser.v1.payment_intents.retrieve(intent.id, {"client_secret": f"{intent.id}_secret_guess"})
    paid = browser.v1.payment_intents.confirm(intent.id, secret | {"payment_method": method.id})
    assert paid.status == "succeeded"


def test_card_numbers_are_nowhere_in_the_clear(tap: RunningTap, client: stripe.StripeClient) -> None:
    number, cvc = "4000056655665556", "8417"
    card: Any = {"number": number, "exp_month": 12, "exp_year": 2034, "cvc": cvc[:3]}
    method = client.v1.payment_methods.create({"type": "card", "card": card})
    pay(client, payment_method=method.id)
    inline: Any = {"amount": 2000, "currency": "usd", "payment_method_data": {"type": "card", "card": card}, "confirm": True}
    assert client.v1.payment_intents.create(inline).status == "succeeded"
    with psycopg.connect(tap.status()["database_url"]) as connection:
        tables = connection.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN ('payments', 'ledger', 'notifications', 'simulator')"
        ).fetchall()
        assert len(tables) > 15
        for (table,) in tables:
            rows = connection.execute(sql.SQL("SELECT t::text FROM {} t").format(sql.SQL(table))).fetchall()
            assert not any(number in row[0] or number.encode().hex() in row[0] for row in rows), table
    for log in (tap.data_dir / "logs").glob("*.log"):
        assert number not in log.read_text(errors="replace")


def test_parts_of_an_amount_are_payable_in_its_currency(client: stripe.StripeClient) -> None:
    hold = client.v1.payment_intents.create(
        {"amount": 10_000, "currency": "isk", "payment_method": "pm_card_visa", "confirm": True, "capture_method": "manual"}
    )
    with pytest.raises(stripe.InvalidRequestError, match=r"(?i)isk") as refused:
        client.v1.payment_intents.capture(hold.id, {"amount_to_capture": 9_950})
    assert refused.value.param == "amount_to_capture"
    client.v1.payment_intents.capture(hold.id)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.refunds.create({"payment_intent": hold.id, "amount": 50})
    assert refused.value.param == "amount"
    assert client.v1.refunds.create({"payment_intent": hold.id, "amount": 100}).status == "succeeded"
