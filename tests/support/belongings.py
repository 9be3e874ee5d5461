"""What a merchant may have, one object of each kind, made with a key; and which ids an operation takes, read off the route table.

A new kind needs a line in `MAKERS`, a parameter that names an object by another word than its kind's a line in `NAMED`.
"""

import json
import time
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec
import stripe
from msgspec import Struct

from payments.payment_api.given_card import Id
from payments.wire.api import Endpoint
from payments.wire.kinds import KINDS
from payments.wire.reading import FilterId
from tests.support.waiting import wait_until

PAYMENT = {"amount": "2000", "currency": "usd"}
SHOWING = {"payment_element": {"enabled": "true"}}
PAID = {**PAYMENT, "payment_method": "pm_card_visa", "confirm": "true"}
KEPT = {"payment_method": "pm_card_visa", "confirm": "true"}
BANK_ACCOUNT = {
    "object": "bank_account",
    "account_number": "000123456789",
    "country": "US",
    "currency": "usd",
    "routing_number": "110000000",
}
CARD = {"number": "4242424242424242", "exp_month": "12", "exp_year": "2034", "cvc": "123"}
SOLD = {
    "mode": "payment",
    "success_url": "https://shop.example/",
    "line_items": [{"price_data": {"currency": "usd", "unit_amount": "100", "product_data": {"name": "Hat"}}, "quantity": "1"}],
}
A_QUEUE = "arn:aws:sqs:eu-central-1:123456789012:isolation"
"""That running Taps of tests may name, and nobody is sent anything."""
ACCEPTED = {"mandate_data": {"customer_acceptance": {"type": "offline"}}}


@dataclass
class Merchant:
    """Whoever has a key."""

    key: str
    base_url: str
    _made: dict[str, str] = field(default_factory=dict[str, str])

    @cached_property
    def client(self) -> stripe.StripeClient:
        return stripe.StripeClient(self.key, base_addresses={"api": self.base_url})

    def call(self, method: str, path: str, params: dict[str, Any] | None = None) -> tuple[int, Any]:
        """Call with the key; the status and the body."""
        try:
            answer = self.client.raw_request(method.lower(), path, **(params or {}))
        except stripe.StripeError as refusal:
            return refusal.http_status or 0, json.loads(str(refusal.http_body))
        return answer.code, json.loads(answer.body)

    def post(self, path: str, **params: Any) -> Any:
        status, body = self.call("POST", path, params)
        assert status == 200, body
        return body

    def get(self, path: str, **params: Any) -> Any:
        status, body = self.call("GET", path, params)
        assert status == 200, body
        return body

    def make(self, kind: str) -> str:
        """A new object of theirs, or what can't be made anew; its id."""
        assert kind in MAKERS, f"say in MAKERS of {__name__} how a merchant comes to have a {kind}"
        return MAKERS[kind](self)

    def has(self, kind: str) -> str:
        """One of theirs, made once; its id."""
        if kind not in self._made:
            self._made[kind] = self.make(kind)
        return self._made[kind]


def _delivery(merchant: Merchant) -> str:
    merchant.has("webhook_endpoint")
    merchant.make("customer")
    path = "/v1/notifications/deliveries"
    wait_until(lambda: bool(merchant.get(path)["data"]), "an event is about to be delivered")
    return merchant.get(path)["data"][0]["id"]


def _attempt(merchant: Merchant) -> str:
    _delivery(merchant)
    path = "/v1/notifications/attempts"
    wait_until(lambda: bool(merchant.get(path)["data"]), "a delivery was tried")
    return merchant.get(path)["data"][0]["id"]


def _dispute(merchant: Merchant) -> str:
    charge = merchant.post("/v1/payment_intents", **PAID | {"payment_method": "pm_card_createDispute"})["latest_charge"]
    wait_until(lambda: bool(merchant.get("/v1/disputes", charge=charge)["data"]), "the cardholder disputes it")
    return merchant.get("/v1/disputes", charge=charge)["data"][0]["id"]


def _destination(merchant: Merchant) -> str:
    return merchant.post("/v1/notifications/destinations", type="sqs", arn=A_QUEUE, enabled_events=["topup.created"])["id"]


def _payout(merchant: Merchant) -> str:
    merchant.post("/v1/payment_intents", **PAID | {"amount": "50000", "payment_method": "pm_card_bypassPending"})
    merchant.has("bank_account")
    return merchant.post("/v1/payouts", amount="100", currency="usd")["id"]


MAKERS: dict[str, Callable[[Merchant], str]] = {
    "account": lambda merchant: merchant.get("/v1/account")["id"],
    "balance_transaction": lambda merchant: merchant.get("/v1/charges/" + merchant.make("charge"))["balance_transaction"],
    "bank_account": lambda merchant: merchant.post(
        f"/v1/accounts/{merchant.has('account')}/external_accounts", external_account=BANK_ACCOUNT
    )["id"],
    "card": lambda merchant: merchant.post(f"/v1/customers/{merchant.make('customer')}/sources", source="tok_visa")["id"],
    "charge": lambda merchant: merchant.post("/v1/payment_intents", **PAID)["latest_charge"],
    "checkout.session": lambda merchant: merchant.post("/v1/checkout/sessions", **SOLD)["id"],
    "confirmation_token": lambda merchant: merchant.post("/v1/confirmation_tokens", payment_method="pm_card_visa")["id"],
    "customer": lambda merchant: merchant.post("/v1/customers", name="Ada")["id"],
    "customer_session": lambda merchant: merchant.post("/v1/customer_sessions", customer=merchant.make("customer"), components=SHOWING)[
        "client_secret"
    ].partition("_secret_")[0],
    "dispute": _dispute,
    "ephemeral_key": lambda merchant: merchant.post("/v1/ephemeral_keys", customer=merchant.make("customer"))["id"],
    "event": lambda merchant: (merchant.make("customer"), merchant.get("/v1/events")["data"][0]["id"])[1],
    "ledger.account": lambda merchant: (merchant.make("charge"), merchant.get("/v1/ledger/accounts")["data"][0]["id"])[1],
    "ledger.transfer": lambda merchant: (merchant.make("charge"), merchant.get("/v1/ledger/transfers")["data"][0]["id"])[1],
    "mandate": lambda merchant: merchant.post("/v1/setup_intents", **KEPT, **ACCEPTED)["mandate"],
    "notification.attempt": _attempt,
    "notification.delivery": _delivery,
    "notification.destination": _destination,
    "notification.replay": lambda merchant: merchant.post("/v1/notifications/replays", webhook_endpoint=merchant.make("webhook_endpoint"))[
        "id"
    ],
    "payment_intent": lambda merchant: merchant.post("/v1/payment_intents", **PAYMENT)["id"],
    "payment_link": lambda merchant: merchant.post("/v1/payment_links", line_items=[{"price": merchant.make("price"), "quantity": "1"}])[
        "id"
    ],
    "payment_method": lambda merchant: merchant.post("/v1/payment_methods", type="card", card={"token": "tok_visa"})["id"],
    "payout": _payout,
    "price": lambda merchant: merchant.post("/v1/prices", currency="usd", unit_amount="100", product_data={"name": "Hat"})["id"],
    "product": lambda merchant: merchant.post("/v1/products", name="Hat")["id"],
    "refund": lambda merchant: merchant.post("/v1/refunds", charge=merchant.make("charge"))["id"],
    "setup_attempt": lambda merchant: merchant.post("/v1/setup_intents", **KEPT)["latest_attempt"],
    "setup_intent": lambda merchant: merchant.post("/v1/setup_intents")["id"],
    "test_helpers.test_clock": lambda merchant: merchant.post("/v1/test_helpers/test_clocks", frozen_time=str(int(time.time()) + 60))["id"],
    "token": lambda merchant: merchant.post("/v1/tokens", card=CARD)["id"],
    "webhook_endpoint": lambda merchant: merchant.post("/v1/webhook_endpoints", url="https://shop.example/", enabled_events=["*"])["id"],
}
"""How a merchant comes to have one, by kind."""

NAMED = {
    "account": "ledger.account",
    "default_payment_method": "payment_method",
    "default_price": "price",
    "default_source": "card",
    "destination": "bank_account",
    "endpoint": "webhook_endpoint",
    "event": "event",
    "ids": "product",
    "posting": "balance_transaction",
    "source": "charge",
}
"""What parameters name that aren't called as their kind is."""
NO_IDS = {"after", "currency", "device_name", "email", "lookup_keys", "transfer_group", "type", "types", "url", "websocket_features"}
"""Parameters that are as short as ids are, and name no object."""
PATHS = (
    {
        "/v1/accounts": "account",
        "/v1/events": "event",
        "/v1/ledger/accounts": "ledger.account",
        "/v1/ledger/transfers": "ledger.transfer",
        "/v1/notifications/attempts": "notification.attempt",
        "/v1/notifications/deliveries": "notification.delivery",
    }
    | {kind.path: name for name, kind in KINDS.items() if name != "card"}
    | dict.fromkeys(("/v1/customers/{id}/cards", "/v1/customers/{id}/sources"), "card")
)
"""What is found below a path, beside what `KINDS` says."""
NESTED = {"payment_methods": "payment_method", "refunds": "refund"}
"""What a list of an object's holds. The other ones are always empty."""
NEEDED: dict[str, dict[str, Any]] = {
    "POST /v1/charges": PAYMENT,
    "POST /v1/checkout/sessions": SOLD,
    "POST /v1/customers/{id}/cards": {"source": "tok_visa"},
    "POST /v1/customers/{id}/sources": {"source": "tok_visa"},
    "POST /v1/payment_links": {"line_items": SOLD["line_items"]},
    "POST /v1/accounts/{account}/external_accounts": {"external_account": BANK_ACCOUNT},
    "POST /v1/payouts": {"amount": "100", "currency": "usd"},
    "POST /v1/customer_sessions": {"components": SHOWING},
    "POST /v1/customer_sessions/{id}/detach": {"payment_method": "pm_0"},
    "POST /v1/payment_intents": PAYMENT,
    "POST /v1/payment_intents/{id}/increment_authorization": {"amount": "3000"},
    "POST /v1/test_helpers/test_clocks/{id}/advance": {"frozen_time": "4000000000"},
    "POST /v1/prices": {"currency": "usd", "unit_amount": "100"},
}
"""What else an operation wants, so that it is the id that it refuses; ids that it wants are the caller's own."""
WANTED = {"POST /v1/events/{id}/retry": {"webhook_endpoint"}}
"""Ids of the caller's own that an operation wants without saying so."""
INSTEAD = {"card": "source"}
"""What is given instead of what an operation needs otherwise."""
IN_LISTS: dict[str, Callable[[str], dict[str, Any]]] = {
    "ids": lambda value: {"ids": [value]},
    "line_items[price]": lambda value: {"line_items": [{"price": value, "quantity": "1"}]},
    "line_items[price_data][product]": lambda value: {
        "line_items": [{"price_data": {"currency": "usd", "unit_amount": "100", "product": value}, "quantity": "1"}]
    },
}
"""How an id is given in a list."""
WITH_TEST_CARDS = {
    "card",
    "charge",
    "confirmation_token",
    "ledger.account",
    "ledger.transfer",
    "payment_method",
    "refund",
    "test_helpers.test_clock",
    "token",
}
"""What is made in test mode only."""


def kind_of(name: str, below: str = "") -> str:
    """Which kind of object a parameter names, or a placeholder of a path that stands `below` another one."""
    found = PATHS.get(below) or NAMED.get(name) or (name if name in KINDS else None)
    assert found is not None, f"say in NAMED or PATHS of {__name__} what {name} names {below}"
    return found


def placeholders(endpoint: Endpoint[Any]) -> dict[str, str]:
    """The ids in an operation's path, and the kind of each."""
    parts = endpoint.path.split("/")
    return {part[1:-1]: kind_of(part[1:-1], "/".join(parts[:place])) for place, part in enumerate(parts) if part.startswith("{")}


def parameters(endpoint: Endpoint[Any]) -> dict[str, str]:
    """The parameters that name an object, and its kind; a cursor names what the list holds."""
    found: dict[str, str] = {}
    for name in _ids(endpoint.params):
        leaf = name.replace("]", "").rpartition("[")[2]
        if leaf not in ("starting_after", "ending_before"):
            if leaf not in NO_IDS:
                found[name] = kind_of(leaf)
        elif "{" not in endpoint.path:
            found[name] = kind_of(leaf, endpoint.path)
        elif (segment := endpoint.path.rpartition("/")[2]) in NESTED:
            found[name] = NESTED[segment]
    return found


def needed(endpoint: Endpoint[Any], caller: Merchant, tried: str) -> dict[str, Any]:
    """What a call wants beside the id that is tried in a parameter or in a place of its path."""
    kinds = parameters(endpoint)
    own = {each.encode_name for each in msgspec.structs.fields(endpoint.params) if each.required} & kinds.keys()
    own = (own | WANTED.get(endpoint.operation, set())) - NEEDED.get(endpoint.operation, {}).keys() - {tried}
    found = {**NEEDED.get(endpoint.operation, {}), **{name: caller.has(kinds[name]) for name in own}}
    return {name: value for name, value in found.items() if name != INSTEAD.get(tried)}


def given(name: str, value: str) -> dict[str, Any]:
    """A parameter, `invoice_settings[default_payment_method]`, with a value."""
    if name in IN_LISTS:
        return IN_LISTS[name](value)
    outer, *inner = name.replace("]", "").split("[")
    shaped: Any = value
    for part in reversed(inner):
        shaped = {part: shaped}
    return {outer: shaped}


def _ids(params: type[Struct], prefix: str = "") -> Iterator[str]:
    for each in msgspec.structs.fields(params):
        name = f"{prefix}[{each.encode_name}]" if prefix else each.encode_name
        yield from _ids_in(each.type, name)


def _ids_in(annotation: Any, name: str) -> Iterator[str]:
    if annotation in (Id, FilterId):
        yield name
    elif isinstance(annotation, type) and issubclass(annotation, Struct):
        yield from _ids(annotation, name)
    elif typing.get_origin(annotation) is not typing.Literal:
        for each in typing.get_args(annotation):
            if not isinstance(each, str):
                yield from _ids_in(each, name)
