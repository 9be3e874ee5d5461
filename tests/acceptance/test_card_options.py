"""What a merchant says of how a card is charged has its effect, and whether it is kept for later payments."""

import urllib.parse
from typing import Any

import pytest
import stripe

from tests.support.paying import pay, press, shaped
from tests.support.running_tap import RunningTap

RETURN = "https://shop.example/done"
BROUGHT = {
    "version": "2.2.0",
    "cryptogram": "M6+990I6FLD3Y6jZYdSkTBTp80w=",
    "transaction_id": "0c3a6cc2",
    "electronic_commerce_indicator": "02",
}


def of_card(**options: Any) -> dict[str, Any]:
    return {"payment_method_options": {"card": options}}


def authenticate(intent: stripe.PaymentIntent) -> None:
    assert intent.status == "requires_action"
    assert intent.next_action is not None
    assert intent.next_action.redirect_to_url is not None
    press(str(intent.next_action.redirect_to_url.url), "complete")


def charged_card(client: stripe.StripeClient, intent: stripe.PaymentIntent) -> Any:
    charge = shaped(client.v1.charges.retrieve(str(intent.latest_charge)))
    return charge.payment_method_details.card


def options_of(intent: stripe.PaymentIntent) -> dict[str, Any]:
    return intent.to_dict()["payment_method_options"]["card"]


@pytest.mark.parametrize("usage", ["on_session", "off_session"])
def test_a_card_is_kept_with_the_payment(client: stripe.StripeClient, usage: str) -> None:
    customer = client.v1.customers.create()
    intent = pay(client, customer=customer.id, setup_future_usage=usage)
    assert intent.setup_future_usage == usage
    (kept,) = shaped(client.v1.customers.payment_methods.list(customer.id)).data
    assert kept.id == intent.payment_method
    assert pay(client, customer=customer.id, payment_method=kept.id, off_session=True).status == "succeeded"
    (event, *_) = client.v1.events.list({"type": "payment_method.attached"}).data
    assert (event.data.object["id"], event.data.object["customer"]) == (kept.id, customer.id)


def test_a_card_of_nobody_that_is_to_be_kept_can_be_attached_later(client: stripe.StripeClient) -> None:
    method = str(pay(client, setup_future_usage="off_session").payment_method)
    customer = client.v1.customers.create()
    assert shaped(client.v1.payment_methods.attach(method, {"customer": customer.id})).customer == customer.id
    assert pay(client, customer=customer.id, payment_method=method).status == "succeeded"


@pytest.mark.parametrize(
    "params",
    [
        {"payment_method": "pm_card_visa_chargeDeclined", "setup_future_usage": "off_session"},
        {},
        of_card(setup_future_usage="none") | {"setup_future_usage": "off_session"},
    ],
    ids=["declined", "not asked", "not of cards"],
)
def test_nothing_is_kept_of_what_was_not_to_be_or_not_paid(client: stripe.StripeClient, params: dict[str, Any]) -> None:
    customer = client.v1.customers.create()
    try:
        pay(client, customer=customer.id, **params)
    except stripe.CardError:
        assert params["payment_method"] == "pm_card_visa_chargeDeclined"
    assert client.v1.customers.payment_methods.list(customer.id).data == []


def test_a_card_is_kept_once_the_hold_or_the_challenge_is_over(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create()
    pay(client, customer=customer.id, **of_card(setup_future_usage="off_session", capture_method="manual"))
    intent = pay(
        client, customer=customer.id, payment_method="pm_card_threeDSecure2Required", setup_future_usage="off_session", return_url=RETURN
    )
    assert len(client.v1.customers.payment_methods.list(customer.id).data) == 1
    authenticate(intent)
    assert len(client.v1.customers.payment_methods.list(customer.id).data) == 2


def test_a_payment_may_say_late_that_its_card_is_kept(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create()
    named: Any = {"amount": 900, "currency": "usd", "payment_method": "pm_card_visa", "customer": customer.id}
    intent = client.v1.payment_intents.create(named)
    client.v1.payment_intents.update(intent.id, {"setup_future_usage": "on_session"})
    assert client.v1.payment_intents.confirm(intent.id).status == "succeeded"
    assert [each.id for each in client.v1.customers.payment_methods.list(customer.id).data] == [intent.payment_method]


def test_a_card_that_was_set_up_pays_while_its_holder_is_away(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create()
    method = client.v1.payment_methods.create({"type": "card", "card": {"number": "4000002500003155", "exp_month": 12, "exp_year": 34}})
    client.v1.payment_methods.attach(method.id, {"customer": customer.id})
    away: dict[str, Any] = {"customer": customer.id, "payment_method": method.id, "off_session": True}
    with pytest.raises(stripe.CardError) as declined:
        pay(client, **away)
    assert declined.value.code == "authentication_required"
    authenticate(pay(client, **{**away, "off_session": False}, setup_future_usage="off_session", return_url=RETURN))
    assert pay(client, **away).status == "succeeded"
    assert pay(client, **{**away, "off_session": False}).status == "requires_action"


def test_a_card_that_counts_as_set_up_pays_while_its_holder_is_away(client: stripe.StripeClient) -> None:
    assert pay(client, payment_method="pm_card_authenticationRequiredSetupForOffSession", off_session=True).status == "succeeded"
    assert pay(client, payment_method="pm_card_authenticationRequiredSetupForOffSession").status == "requires_action"


@pytest.mark.parametrize("asked", ["any", "challenge"])
def test_authentication_is_asked_for_where_the_merchant_wants_it(client: stripe.StripeClient, asked: str) -> None:
    optional = "pm_card_threeDSecureOptional"
    assert pay(client, payment_method=optional).status == "succeeded"
    intent = pay(client, payment_method=optional, return_url=RETURN, **of_card(request_three_d_secure=asked))
    assert options_of(intent)["request_three_d_secure"] == asked
    authenticate(intent)
    intent = client.v1.payment_intents.retrieve(intent.id)
    assert charged_card(client, intent).three_d_secure.result == "authenticated"
    assert pay(client, **of_card(request_three_d_secure=asked)).status == "succeeded"
    with pytest.raises(stripe.CardError) as declined:
        pay(client, payment_method="pm_card_threeDSecureOptionalProcessingError", **of_card(request_three_d_secure=asked))
    assert declined.value.code == "processing_error"


def test_nobody_authenticates_by_mail_or_telephone(client: stripe.StripeClient) -> None:
    intent = pay(client, payment_method="pm_card_authenticationRequiredOnSetup", **of_card(moto=True))
    assert intent.status == "succeeded"
    card = charged_card(client, intent)
    assert (card.moto, card.three_d_secure) == (True, None)
    with pytest.raises(stripe.CardError) as declined:
        pay(client, payment_method="pm_card_authenticationRequired", **of_card(moto=True))
    assert declined.value.error is not None
    assert (declined.value.code, declined.value.error.decline_code) == ("authentication_required", "authentication_required")


def test_authentication_that_the_merchant_brings_along_counts(client: stripe.StripeClient) -> None:
    intent = pay(client, payment_method="pm_card_authenticationRequired", **of_card(three_d_secure=BROUGHT))
    assert intent.status == "succeeded"
    shown = charged_card(client, intent).to_dict()
    assert shown["electronic_commerce_indicator"] == "02"
    assert {"version": "2.2.0", "transaction_id": "0c3a6cc2", "result": "authenticated"}.items() <= shown["three_d_secure"].items()
    assert BROUGHT["cryptogram"] not in str(shown)


def test_a_hold_of_cards_alone_lasts_as_long_as_it_is_asked_for(client: stripe.StripeClient) -> None:
    days: dict[str, int] = {}
    for asked in ("never", "if_available"):
        intent = pay(client, **of_card(capture_method="manual", request_extended_authorization=asked))
        assert (intent.status, intent.capture_method) == ("requires_capture", "automatic_async")
        charge = client.v1.charges.retrieve(str(intent.latest_charge))
        days[asked] = round((charged_card(client, intent).capture_before - charge.created) / 86400)
        assert shaped(client.v1.payment_intents.capture(intent.id)).status == "succeeded"
    assert days == {"never": 7, "if_available": 30}


def test_options_are_kept_changed_and_taken_away(client: stripe.StripeClient) -> None:
    intent = shaped(
        client.v1.payment_intents.create(
            {
                "amount": 2000,
                "currency": "usd",
                "payment_method_options": {
                    "card": {
                        "request_three_d_secure": "any",
                        "network": "visa",
                        "installments": {"enabled": True},
                        "request_multicapture": "if_available",
                        "require_cvc_recollection": True,
                    }
                },
                "payment_details": {"order_reference": "A 1"},
                "amount_details": {"discount_amount": 100, "shipping": {"amount": 500}, "tax": {"total_tax_amount": 300}},
            }
        )
    )
    kept = options_of(intent)
    assert (kept["network"], kept["request_multicapture"], kept["require_cvc_recollection"]) == ("visa", "if_available", True)
    assert kept["installments"] == {"available_plans": [], "enabled": True, "plan": None}
    changed = shaped(client.v1.payment_intents.update(intent.id, of_card(network="mastercard", setup_future_usage="off_session")))  # pyright: ignore[reportArgumentType]
    assert (
        options_of(changed).items()
        >= {"network": "mastercard", "request_three_d_secure": "any", "setup_future_usage": "off_session"}.items()
    )
    assert changed.to_dict()["amount_details"] == {
        "tip": {},
        "discount_amount": 100,
        "shipping": {"amount": 500, "from_postal_code": None, "to_postal_code": None},
        "tax": {"total_tax_amount": 300},
    }
    assert changed.to_dict()["payment_details"] == {"customer_reference": None, "order_reference": "A 1"}
    nothing: Any = {"payment_method_options": "", "amount_details": "", "payment_details": ""}
    changed = shaped(client.v1.payment_intents.update(intent.id, nothing))
    assert options_of(changed) == {"installments": None, "mandate_options": None, "network": None, "request_three_d_secure": "automatic"}
    assert changed.to_dict()["amount_details"] == {"tip": {}}


def test_lines_are_kept_shown_on_demand_and_follow_the_captures(client: stripe.StripeClient) -> None:
    expand = ["amount_details.line_items"]
    line = {
        "product_name": "Shoes",
        "quantity": 2,
        "unit_cost": 900,
        "product_code": "S 1",
        "unit_of_measure": "pair",
        "tax": {"total_tax_amount": 200},
        "payment_method_options": {"card": {"commodity_code": "53111600"}},
    }
    intent = pay(client, capture_method="manual", amount_details={"line_items": [line]}, expand=expand)
    (shown,) = intent.to_dict()["amount_details"]["line_items"]["data"]
    assert {key: shown[key] for key in line} == line
    assert shown["id"].startswith("uli_")
    retrieved = shaped(client.v1.payment_intents.retrieve(intent.id))
    assert retrieved.to_dict()["amount_details"] == {"tip": {}}
    (listed,) = [each for each in client.v1.payment_intents.list({"expand": [f"data.{expand[0]}"]}).data if each.id == intent.id]
    assert listed.to_dict()["amount_details"]["line_items"]["data"] == [shown]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 500, "final_capture": False})
    assert refused.value.code == "amount_details_amount_mismatch"
    part: Any = {"product_name": "Left shoe", "quantity": 1}
    for amount, final in ((500, False), (700, True)):
        given: Any = {"line_items": [{**part, "unit_cost": amount}]}
        captured = shaped(
            client.v1.payment_intents.capture(
                intent.id,
                {
                    "amount_to_capture": amount,
                    "final_capture": final,
                    "amount_details": given,
                    "payment_details": {"order_reference": f"A {amount}"},
                    "expand": expand,
                },
            )
        )
    data = captured.to_dict()["amount_details"]["line_items"]["data"]
    assert [each["unit_cost"] for each in data] == [500, 700]
    assert captured.to_dict()["payment_details"]["order_reference"] == "A 700"
    lists = client.v1.payment_intents.amount_details_line_items
    first = lists.list(intent.id, {"limit": 1})
    assert [each.unit_cost for each in first.auto_paging_iter()] == [500, 700]
    assert [each.id for each in lists.list(intent.id, {"ending_before": data[1]["id"]}).data] == [data[0]["id"]]
    with pytest.raises(stripe.InvalidRequestError, match="No such"):
        lists.list(intent.id, {"starting_after": "uli_none"})
    tolerated = pay(client, amount_details={"line_items": [line], "enforce_arithmetic_validation": False, "discount_amount": 500})
    assert tolerated.to_dict()["amount_details"]["error"]["code"] == "amount_details_amount_mismatch"


def test_what_is_said_of_risk_and_consent_is_taken(client: stripe.StripeClient) -> None:
    online = {"ip_address": "203.0.113.7", "user_agent": "Mozilla/5.0"}
    intent = pay(
        client,
        radar_options={"session": "rse_123"},
        setup_future_usage="off_session",
        mandate_data={"customer_acceptance": {"type": "online", "accepted_at": 1_700_000_000, "online": online}},
    )
    charge = shaped(client.v1.charges.retrieve(str(intent.latest_charge)))
    assert charge.to_dict()["radar_options"] == {"session": "rse_123"}


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"mandate_data": {"customer_acceptance": {"type": "online"}}}, "mandate_data[customer_acceptance][online][ip_address]"),
    ({"payment_method_options": {"klarna": {"capture_method": "manual"}}}, "payment_method_options[klarna]"),
    (of_card(request_three_d_secure="always"), "payment_method_options[card][request_three_d_secure]"),
    (of_card(capture_method="automatic"), "payment_method_options[card][capture_method]"),
    (of_card(three_d_secure={"version": "2.2.0"}), "payment_method_options[card][three_d_secure][transaction_id]"),
    (of_card(installments={"plan": {"type": "fixed_count"}}), "payment_method_options[card][installments][plan]"),
    (of_card(network="nobody"), "payment_method_options[card][network]"),
    ({"setup_future_usage": "always"}, "setup_future_usage"),
    ({"amount_details": {"discount_amount": 0}}, "amount_details[discount_amount]"),
    ({"amount_details": {"line_items": [{"product_name": "Shoes", "quantity": 1, "unit_cost": 1}]}}, "amount_details"),
    ({"amount_details": {"tax": {"total_tax_amount": -1}}}, "amount_details[tax][total_tax_amount]"),
    (of_card(moto=True) | {"confirm": False}, "payment_method_options[card][moto]"),
]


@pytest.mark.parametrize(("params", "named"), REFUSED, ids=[named for _, named in REFUSED])
def test_nonsense_is_refused_by_name(client: stripe.StripeClient, params: dict[str, Any], named: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        pay(client, **params)
    assert refused.value.param == named


def test_a_browser_says_only_what_is_its_own(tap: RunningTap, client: stripe.StripeClient) -> None:
    status = tap.status()
    browser = stripe.StripeClient(status["publishable_key"], base_addresses={"api": status["base_url"]})
    intent = client.v1.payment_intents.create(
        {"amount": 900, "currency": "usd", "payment_method": "pm_card_visa", "setup_future_usage": "off_session"}
    )
    secret: Any = {"client_secret": intent.client_secret}
    for params in (
        of_card(moto=True),
        of_card(three_d_secure=BROUGHT),
        of_card(capture_method="manual"),
        {"setup_future_usage": "on_session"},
    ):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            browser.v1.payment_intents.confirm(intent.id, secret | params)
        assert urllib.parse.unquote(str(refused.value.param)).split("[")[0] in ("payment_method_options", "setup_future_usage")
    assert browser.v1.payment_intents.confirm(intent.id, secret | of_card(network="visa")).status == "succeeded"
