"""Payment-api's use cases: what each needs, how it is called, and which objects it reads to decide."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.in_process import Answer, InProcess

Act = Callable[[], Awaitable[Answer]]

CHALLENGED = "pm_card_threeDSecure2Required"
CARD = {
    "payment_method_data[type]": "card",
    "payment_method_data[card][number]": "4242424242424242",
    "payment_method_data[card][exp_month]": "12",
    "payment_method_data[card][exp_year]": "2040",
}


@dataclass(frozen=True, slots=True)
class UseCase:
    """One of payment-api's calls."""

    prepare: Callable[[InProcess], Awaitable[Act]]
    """Makes what the call needs; returns the call."""
    reads: frozenset[str]
    """The kinds of object that it reads to decide."""
    not_decided_from: Mapping[str, str] = field(default_factory=dict[str, str])
    """What of these may change meanwhile, and why: the call then succeeds beside the change."""


async def customer_with_card(tap: InProcess) -> tuple[str, str]:
    customer = (await tap.post("customers")).id
    return customer, (await tap.post("payment_methods/pm_card_visa/attach", customer=customer)).id


async def one_off_card(tap: InProcess) -> str:
    return (await tap.post("payment_methods", type="card", **{"card[token]": "tok_visa"})).id


async def intent(tap: InProcess, **params: str) -> Any:
    made = await tap.post("payment_intents", **{"amount": "2000", "currency": "usd", **params})
    assert made.status == 200, made
    return made.body


async def paid(tap: InProcess, **params: str) -> Any:
    return await intent(tap, **{"confirm": "true", "payment_method": "pm_card_visa", **params})


async def create_and_confirm(tap: InProcess) -> Act:
    customer, card = await customer_with_card(tap)
    return lambda: tap.post("payment_intents", amount="2000", currency="usd", confirm="true", customer=customer, payment_method=card)


async def create_and_confirm_with_a_one_off_card(tap: InProcess) -> Act:
    card = await one_off_card(tap)
    return lambda: tap.post("payment_intents", amount="2000", currency="usd", confirm="true", payment_method=card)


async def create(tap: InProcess) -> Act:
    customer, card = await customer_with_card(tap)
    return lambda: tap.post("payment_intents", amount="2000", currency="usd", customer=customer, payment_method=card)


async def confirm_with_the_named_card(tap: InProcess) -> Act:
    customer, card = await customer_with_card(tap)
    made = await intent(tap, customer=customer, payment_method=card)
    return lambda: tap.post(f"payment_intents/{made['id']}/confirm")


async def confirm_with_a_given_card(tap: InProcess) -> Act:
    customer, card = await customer_with_card(tap)
    made = await intent(tap, customer=customer)
    return lambda: tap.post(f"payment_intents/{made['id']}/confirm", payment_method=card)


async def confirm_with_a_new_card(tap: InProcess) -> Act:
    customer, _ = await customer_with_card(tap)
    made = await intent(tap, customer=customer)
    return lambda: tap.post(f"payment_intents/{made['id']}/confirm", **CARD)


async def confirm_with_a_one_off_card(tap: InProcess) -> Act:
    card = await one_off_card(tap)
    made = await intent(tap)
    return lambda: tap.post(f"payment_intents/{made['id']}/confirm", payment_method=card)


async def confirm_again_with_the_one_off_card(tap: InProcess) -> Act:
    made = await intent(tap, payment_method=CHALLENGED, confirm="true")
    return lambda: tap.post(f"payment_intents/{made['id']}/confirm")


async def capture(tap: InProcess) -> Act:
    made = await paid(tap, capture_method="manual")
    return lambda: tap.post(f"payment_intents/{made['id']}/capture", amount_to_capture="1500")


async def capture_in_part(tap: InProcess) -> Act:
    made = await paid(tap, capture_method="manual")
    return lambda: tap.post(f"payment_intents/{made['id']}/capture", amount_to_capture="500", final_capture="false")


async def cancel_a_hold(tap: InProcess) -> Act:
    made = await paid(tap, capture_method="manual")
    return lambda: tap.post(f"payment_intents/{made['id']}/cancel")


async def cancel(tap: InProcess) -> Act:
    customer, card = await customer_with_card(tap)
    made = await intent(tap, customer=customer, payment_method=card)
    return lambda: tap.post(f"payment_intents/{made['id']}/cancel")


async def refund_by_charge(tap: InProcess) -> Act:
    made = await paid(tap)
    return lambda: tap.post("refunds", charge=made["latest_charge"], amount="700")


async def refund_by_intent(tap: InProcess) -> Act:
    made = await paid(tap)
    return lambda: tap.post("refunds", payment_intent=made["id"])


async def update_the_amount(tap: InProcess) -> Act:
    made = await intent(tap)
    return lambda: tap.post(f"payment_intents/{made['id']}", amount="3000", currency="eur")


async def update_the_amount_under_a_challenge(tap: InProcess) -> Act:
    made = await intent(tap, payment_method=CHALLENGED, confirm="true")
    return lambda: tap.post(f"payment_intents/{made['id']}", amount="3000")


async def update_the_card(tap: InProcess) -> Act:
    customer, card = await customer_with_card(tap)
    made = await intent(tap, customer=customer)
    return lambda: tap.post(f"payment_intents/{made['id']}", payment_method=card)


async def update_the_customer(tap: InProcess) -> Act:
    customer, card = await customer_with_card(tap)
    made = await intent(tap)
    return lambda: tap.post(f"payment_intents/{made['id']}", customer=customer, payment_method=card)


async def update_metadata_of_a_paid_intent(tap: InProcess) -> Act:
    made = await paid(tap)
    return lambda: tap.post(f"payment_intents/{made['id']}", **{"metadata[order]": "42"})


async def attach(tap: InProcess) -> Act:
    customer, card = (await tap.post("customers")).id, await one_off_card(tap)
    return lambda: tap.post(f"payment_methods/{card}/attach", customer=customer)


async def attach_a_new_card(tap: InProcess) -> Act:
    customer = (await tap.post("customers")).id
    return lambda: tap.post("payment_methods/pm_card_visa/attach", customer=customer)


async def detach(tap: InProcess) -> Act:
    _, card = await customer_with_card(tap)
    return lambda: tap.post(f"payment_methods/{card}/detach")


async def detach_the_default_card(tap: InProcess) -> Act:
    customer, card = await customer_with_card(tap)
    assert (await tap.post(f"customers/{customer}", **{"invoice_settings[default_payment_method]": card})).status == 200
    return lambda: tap.post(f"payment_methods/{card}/detach")


async def set_the_default_card(tap: InProcess) -> Act:
    customer, card = await customer_with_card(tap)
    return lambda: tap.post(f"customers/{customer}", **{"invoice_settings[default_payment_method]": card})


async def update_customer(tap: InProcess) -> Act:
    customer, _ = await customer_with_card(tap)
    return lambda: tap.post(f"customers/{customer}", email="jane@shop.example")


async def delete_customer(tap: InProcess) -> Act:
    customer, _ = await customer_with_card(tap)
    return lambda: tap.call("DELETE", f"/v1/customers/{customer}")


async def update_charge(tap: InProcess) -> Act:
    made = await paid(tap)
    return lambda: tap.post(f"charges/{made['latest_charge']}", **{"metadata[order]": "42"})


async def update_refund(tap: InProcess) -> Act:
    made = await paid(tap)
    refund = (await tap.post("refunds", payment_intent=made["id"])).id
    return lambda: tap.post(f"refunds/{refund}", **{"metadata[order]": "42"})


async def update_payment_method(tap: InProcess) -> Act:
    _, card = await customer_with_card(tap)
    return lambda: tap.post(f"payment_methods/{card}", **{"card[exp_year]": "2041"})


async def complete_a_challenge(tap: InProcess) -> Act:
    customer = (await tap.post("customers")).id
    card = (await tap.post(f"payment_methods/{CHALLENGED}/attach", customer=customer)).id
    made = await intent(tap, customer=customer, payment_method=card, confirm="true")
    return lambda: tap.decide(made["next_action"]["use_stripe_sdk"]["stripe_js"], "complete")


async def fail_a_challenge(tap: InProcess) -> Act:
    made = await intent(tap, payment_method=CHALLENGED, confirm="true")
    return lambda: tap.decide(made["next_action"]["use_stripe_sdk"]["stripe_js"], "fail")


async def product_with_price(tap: InProcess) -> tuple[str, str]:
    product = (await tap.post("products", name="Scarf")).id
    return product, (await tap.post("prices", product=product, currency="usd", unit_amount="100")).id


async def create_price(tap: InProcess) -> Act:
    product, _ = await product_with_price(tap)
    return lambda: tap.post("prices", product=product, currency="usd", unit_amount="200")


async def archive_price(tap: InProcess) -> Act:
    _, price = await product_with_price(tap)
    return lambda: tap.post(f"prices/{price}", active="false")


async def set_the_default_price(tap: InProcess) -> Act:
    product, price = await product_with_price(tap)
    return lambda: tap.post(f"products/{product}", default_price=price)


async def update_product(tap: InProcess) -> Act:
    product, _ = await product_with_price(tap)
    return lambda: tap.post(f"products/{product}", name="Hat")


async def delete_product(tap: InProcess) -> Act:
    product = (await tap.post("products", name="Scarf")).id
    return lambda: tap.call("DELETE", f"/v1/products/{product}")


async def token(tap: InProcess) -> str:
    card = {"card[number]": "4242424242424242", "card[exp_month]": "12", "card[exp_year]": "2040"}
    return (await tap.post("tokens", **card)).id


async def charge_held(tap: InProcess) -> str:
    return (await tap.post("charges", amount="2000", currency="usd", source="tok_visa", capture="false")).id


async def charge_a_token(tap: InProcess) -> Act:
    given = await token(tap)
    return lambda: tap.post("charges", amount="2000", currency="usd", source=given)


async def charge_a_customer(tap: InProcess) -> Act:
    customer = (await tap.post("customers", source="tok_visa")).id
    return lambda: tap.post("charges", amount="2000", currency="usd", customer=customer)


async def capture_a_charge(tap: InProcess) -> Act:
    charge = await charge_held(tap)
    return lambda: tap.post(f"charges/{charge}/capture", amount="1500")


async def release_a_charge(tap: InProcess) -> Act:
    charge = await charge_held(tap)
    return lambda: tap.post(f"charges/{charge}/refunds")


async def take_a_token_for_a_payment_method(tap: InProcess) -> Act:
    given = await token(tap)
    return lambda: tap.post("payment_methods", type="card", **{"card[token]": given})


async def make_a_customer_with_a_token(tap: InProcess) -> Act:
    given = await token(tap)
    return lambda: tap.post("customers", source=given)


async def add_a_source(tap: InProcess) -> Act:
    customer, given = (await tap.post("customers")).id, await token(tap)
    return lambda: tap.post(f"customers/{customer}/sources", source=given)


async def replace_the_default_source(tap: InProcess) -> Act:
    customer = (await tap.post("customers", source="tok_visa")).id
    return lambda: tap.post(f"customers/{customer}", source="tok_mastercard")


async def choose_the_default_source(tap: InProcess) -> Act:
    customer, card = await customer_with_card(tap)
    return lambda: tap.post(f"customers/{customer}", default_source=card)


async def delete_the_default_source(tap: InProcess) -> Act:
    customer = (await tap.post("customers", source="tok_visa")).id
    await tap.post(f"customers/{customer}/sources", source="tok_mastercard")
    card = (await tap.get(f"customers/{customer}"))["default_source"]
    return lambda: tap.call("DELETE", f"/v1/customers/{customer}/sources/{card}")


async def make_an_ephemeral_key(tap: InProcess) -> Act:
    customer = (await tap.post("customers")).id
    return lambda: tap.post("ephemeral_keys", customer=customer)


PRODUCT, PRICE = "product", "price"
TOKEN = "token"
NEVER_CHANGED = {TOKEN: "it is never changed: its card says whether it was used"}
INTENT, CHARGE, CARD_ON_FILE, CUSTOMER, REFUND = "payment_intent", "charge", "payment_method", "customer", "refund"
HELD_CARD = {CARD_ON_FILE: "its number isn't asked for: the bank knows the hold by the authorization's reference"}
RETURNED_CARD = {CARD_ON_FILE: "the money goes back where it came from, whatever has become of the card"}
RETURNED = {
    **RETURNED_CARD,
    INTENT: "a refund is bounded by its charge; of the intent only what never changes is taken: its id, its currency",
}


def of(prepare: Callable[[InProcess], Awaitable[Act]], *reads: str, but: Mapping[str, str] | None = None) -> UseCase:
    return UseCase(prepare, frozenset(reads), but or {})


USE_CASES: dict[str, UseCase] = {
    case.prepare.__name__: case
    for case in (
        of(create_and_confirm, CUSTOMER, CARD_ON_FILE),
        of(create_and_confirm_with_a_one_off_card, CARD_ON_FILE),
        of(create, CUSTOMER, CARD_ON_FILE),
        of(confirm_with_the_named_card, INTENT, CUSTOMER, CARD_ON_FILE),
        of(confirm_with_a_given_card, INTENT, CUSTOMER, CARD_ON_FILE),
        of(confirm_with_a_new_card, INTENT, CUSTOMER),
        of(confirm_with_a_one_off_card, INTENT, CARD_ON_FILE),
        of(confirm_again_with_the_one_off_card, INTENT, CARD_ON_FILE),
        of(capture, INTENT, CHARGE, CARD_ON_FILE, but=HELD_CARD),
        of(capture_in_part, INTENT, CHARGE, CARD_ON_FILE, but=HELD_CARD),
        of(cancel_a_hold, INTENT, CHARGE, CARD_ON_FILE, but=HELD_CARD),
        of(cancel, INTENT),
        of(refund_by_charge, INTENT, CHARGE, CARD_ON_FILE, but=RETURNED),
        of(refund_by_intent, INTENT, CHARGE, CARD_ON_FILE, but=RETURNED),
        of(update_the_amount, INTENT),
        of(update_the_amount_under_a_challenge, INTENT),
        of(update_the_card, INTENT, CARD_ON_FILE),
        of(update_the_customer, INTENT, CUSTOMER, CARD_ON_FILE),
        of(update_metadata_of_a_paid_intent, INTENT),
        of(attach, CUSTOMER, CARD_ON_FILE),
        of(attach_a_new_card, CUSTOMER),
        of(detach, CUSTOMER, CARD_ON_FILE),
        of(detach_the_default_card, CUSTOMER, CARD_ON_FILE),
        of(set_the_default_card, CUSTOMER, CARD_ON_FILE),
        of(update_customer, CUSTOMER),
        of(delete_customer, CUSTOMER, CARD_ON_FILE),
        of(update_charge, CHARGE),
        of(update_refund, REFUND),
        of(update_payment_method, CARD_ON_FILE),
        of(create_price, PRODUCT),
        of(archive_price, PRICE, PRODUCT),
        of(set_the_default_price, PRODUCT, PRICE),
        of(update_product, PRODUCT),
        of(delete_product, PRODUCT),
        of(complete_a_challenge, INTENT, CUSTOMER, CARD_ON_FILE),
        of(charge_a_token, TOKEN, CARD_ON_FILE, but=NEVER_CHANGED),
        of(charge_a_customer, CUSTOMER, CARD_ON_FILE),
        of(capture_a_charge, INTENT, CHARGE, CARD_ON_FILE, but=HELD_CARD),
        of(release_a_charge, INTENT, CHARGE, CARD_ON_FILE, but=HELD_CARD),
        of(take_a_token_for_a_payment_method, TOKEN, CARD_ON_FILE, but=NEVER_CHANGED),
        of(make_a_customer_with_a_token, TOKEN, CARD_ON_FILE, but=NEVER_CHANGED),
        of(add_a_source, CUSTOMER, TOKEN, CARD_ON_FILE, but=NEVER_CHANGED),
        of(replace_the_default_source, CUSTOMER, CARD_ON_FILE),
        of(choose_the_default_source, CUSTOMER, CARD_ON_FILE),
        of(delete_the_default_source, CUSTOMER, CARD_ON_FILE),
        of(make_an_ephemeral_key, CUSTOMER),
        of(fail_a_challenge, INTENT, CARD_ON_FILE, but={CARD_ON_FILE: "it is only shown, as what failed"}),
    )
}
