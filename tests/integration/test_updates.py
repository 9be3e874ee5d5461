"""An update of one thing changes that and nothing else, and the empty string undoes it."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from tests.support.in_process import InProcess, in_process

ADDRESS = {"city": "Bern", "country": "CH", "line1": "1 High Street", "line2": "2nd floor", "postal_code": "3000", "state": "BE"}
SHIPPING = {"name": "Ada", "phone": "1", "address": ADDRESS}
METADATA = {"a": "b", "c": "d"}
PAYMENT = {"amount": "500", "currency": "usd"}
PAID = {**PAYMENT, "payment_method": "pm_card_visa", "confirm": "true"}
PEOPLE = {"name": "Ada", "email": "ada@example.com", "phone": "1"}
"""What can be unset again, by kind; of `NEW` an id is made first."""
NEW = "new"
UNSET_AGAIN: dict[str, dict[str, Any]] = {
    "charges": {"description": "x", "receipt_email": "ada@example.com", "shipping": SHIPPING},
    "customers": PEOPLE | {"description": "x", "address": ADDRESS, "shipping": SHIPPING, "business_name": "B", "individual_name": "I"},
    "payment_intents": {
        "customer": NEW,
        "description": "x",
        "payment_details": {"order_reference": "x"},
        "payment_method": NEW,
        "receipt_email": "ada@example.com",
        "setup_future_usage": "off_session",
        "shipping": SHIPPING,
        "statement_descriptor": "ABCDEF",
        "statement_descriptor_suffix": "ABC",
        "transfer_group": "x",
    },
    "payment_methods": {f"billing_details[{name}]": value for name, value in PEOPLE.items()},
    "prices": {"nickname": "x", "lookup_key": "x"},
    "products": {
        "description": "x",
        "statement_descriptor": "ABCDEF",
        "tax_code": "txcd_10000000",
        "unit_label": "x",
        "url": "https://a.example",
    },
    "refunds": {},
    "setup_intents": {"customer": NEW, "description": "x", "payment_method": NEW},
}


@pytest.fixture
async def tap(database_url: str) -> AsyncGenerator[InProcess]:
    async with in_process(database_url) as made:
        yield made


async def new(tap: InProcess, kind: str) -> str:
    """Make one of a kind, or what is called so."""
    match kind:
        case "charges":
            return (await tap.post("payment_intents", **PAID)).body["latest_charge"]
        case "payment_intents":
            made = await tap.post(kind, **PAYMENT)
        case "payment_method":
            made = await tap.post("payment_methods", type="card", **{"card[token]": "tok_visa"})
        case "payment_methods":
            made = await tap.post("payment_methods/pm_card_visa/attach", customer=await new(tap, "customer"))
        case "prices":
            made = await tap.post(kind, currency="usd", unit_amount="100", **{"product_data[name]": "Hat"})
        case "products":
            made = await tap.post(kind, name="Hat")
        case "refunds":
            made = await tap.post(kind, charge=await new(tap, "charges"))
        case "customer":
            made = await tap.post("customers")
        case _:
            made = await tap.post(kind)
    return made.id


def form(name: str, value: Any) -> dict[str, str]:
    """A parameter as a form has it."""
    if not isinstance(value, dict):
        return {name: value}
    return {key: text for below, each in value.items() for key, text in form(f"{name}[{below}]", each).items()}


def shown(body: dict[str, Any], name: str) -> Any:
    for part in name.replace("]", "").split("["):
        body = body[part] or {}
    return body


@pytest.mark.parametrize("kind", UNSET_AGAIN)
async def test_what_an_update_sets_the_empty_string_unsets(tap: InProcess, kind: str) -> None:
    path = f"{kind}/{await new(tap, kind)}"
    before = await tap.get(path)
    for name, value in (UNSET_AGAIN[kind] | {"metadata": METADATA}).items():
        given = await new(tap, name) if value is NEW else value
        assert (await tap.post(path, **form(name, given))).status == 200, name
        found = shown(await tap.get(path), name)
        assert (found.items() >= given.items()) if isinstance(given, dict) else found == given, name
        assert (await tap.post(path, **{name: ""})).status == 200, name
        assert {**await tap.get(path), "updated": None} == {**before, "updated": None}, name


async def test_an_intent_whose_card_is_unset_wants_another(tap: InProcess) -> None:
    for kind, given in (("payment_intents", PAYMENT), ("setup_intents", {})):
        intent = await tap.post(kind, **given, payment_method="pm_card_authenticationRequiredOnSetup")
        assert intent.body["status"] == "requires_confirmation"
        for confirmed in (False, True) if kind == "payment_intents" else (False,):  # this bank verifies any card at once
            if confirmed:
                intent = await tap.post(f"{kind}/{intent.id}/confirm", payment_method="pm_card_authenticationRequiredOnSetup")
                assert intent.body["status"] == "requires_action"
            unset = (await tap.post(f"{kind}/{intent.id}", payment_method="")).body
            assert (unset["status"], unset["payment_method"], unset["next_action"]) == ("requires_payment_method", None, None)
        canceled = await tap.post(f"{kind}/{intent.id}/cancel")
        assert (await tap.post(f"{kind}/{intent.id}", **{"metadata[a]": "b"})).body["status"] == canceled.body["status"] == "canceled"


async def test_a_payment_intents_charge_is_captured_and_released_with_it(tap: InProcess) -> None:
    held = (await tap.post("payment_intents", **PAID, capture_method="manual")).body
    charge = held["latest_charge"]
    created = f"This uncaptured Charge was created by a PaymentIntent ({held['id']}). "
    for path, words in (("capture", "You must capture the PaymentIntent instead."), ("refunds", "You must cancel the PaymentIntent")):
        assert (await tap.post(f"charges/{charge}/{path}")).body["error"]["message"].startswith(created + words)
    await tap.post(f"payment_intents/{held['id']}/capture")
    assert (await tap.post(f"charges/{charge}/capture")).body["error"]["code"] == "charge_already_captured"
    declined = (await tap.post("payment_intents", **PAID | {"payment_method": "pm_card_chargeDeclined"})).body["error"]
    for named in ({"charge": declined["charge"]}, {"payment_intent": (await tap.post("payment_intents", **PAYMENT)).id}):
        refused = (await tap.post("refunds", **named)).body["error"]["message"]
        assert refused.endswith("does not have a successful charge to refund.")


@pytest.mark.parametrize(
    ("kind", "hash_name"),
    [
        ("charges", "shipping[address]"),
        ("customers", "address"),
        ("customers", "shipping[address]"),
        ("payment_intents", "shipping[address]"),
        ("payment_methods", "billing_details[address]"),
    ],
)
async def test_what_is_not_given_of_an_address_stays(tap: InProcess, kind: str, hash_name: str) -> None:
    path, name = f"{kind}/{await new(tap, kind)}", {"shipping[name]": "Ada"} if "shipping" in hash_name else {}
    await tap.post(path, **form(hash_name, ADDRESS), **name)
    await tap.post(path, **{f"{hash_name}[city]": "Basel", f"{hash_name}[line2]": ""}, **name)
    assert shown(await tap.get(path), hash_name) == ADDRESS | {"city": "Basel", "line2": None}


async def test_what_a_capture_says_stands_on_the_statement(tap: InProcess) -> None:
    incremental = {"payment_method_options[card][request_incremental_authorization]": "if_available"}
    held = await tap.post("payment_intents", **PAID, **incremental, capture_method="manual", statement_descriptor_suffix="HELD")
    charge = f"charges/{held.body['latest_charge']}"
    assert (await tap.get(charge))["calculated_statement_descriptor"].endswith("* HELD")
    assert (
        await tap.post(f"payment_intents/{held.id}/increment_authorization", amount="600", statement_descriptor="MORE HELD")
    ).status == 200
    assert (await tap.get(charge))["calculated_statement_descriptor"] == "MORE HELD"
    said = {"statement_descriptor": "", "statement_descriptor_suffix": "TAKEN"}
    captured = await tap.post(f"payment_intents/{held.id}/capture", **said)
    assert (captured.body["statement_descriptor_suffix"], captured.body["amount_received"]) == ("TAKEN", 600)
    shown = await tap.get(charge)
    assert (shown["statement_descriptor_suffix"], shown["amount_captured"], shown["metadata"]) == ("TAKEN", 600, {})
    assert shown["calculated_statement_descriptor"].endswith("* TAKEN")
