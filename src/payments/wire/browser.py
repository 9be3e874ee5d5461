"""What a customer's browser, which has a publishable key, may call from any page, and what it sees.

Sources: Fetch standard, "CORS protocol"; Stripe, "PaymentIntent" and "SetupIntent" (the fields that a publishable key retrieves).
"""

from collections.abc import Mapping
from typing import cast

import msgspec
from starlette.types import Scope, Send

from payments.wire.render_people import Rendered

_ANY_ORIGIN = (b"access-control-allow-origin", b"*")
_EXPOSED = (b"access-control-expose-headers", b"request-id, stripe-version, stripe-should-retry, retry-after, idempotent-replayed")
_ALLOWED_HEADERS = (
    b"authorization, content-type, idempotency-key, stripe-version, stripe-account, stripe-context, x-stripe-client-user-agent, "
    b"x-stripe-client-telemetry"
)
_PREFLIGHT_SECONDS = 600

_SHOWN: dict[str, frozenset[str]] = {
    "payment_intent": frozenset(
        [
            "id",
            "object",
            "amount",
            "automatic_payment_methods",
            "canceled_at",
            "cancellation_reason",
            "capture_method",
            "client_secret",
            "confirmation_method",
            "created",
            "currency",
            "description",
            "last_payment_error",
            "livemode",
            "next_action",
            "payment_method",
            "payment_method_types",
            "processing",
            "receipt_email",
            "setup_future_usage",
            "shipping",
            "status",
        ]
    ),
    "setup_intent": frozenset(
        [
            "id",
            "object",
            "automatic_payment_methods",
            "cancellation_reason",
            "client_secret",
            "created",
            "description",
            "last_setup_error",
            "livemode",
            "next_action",
            "payment_method",
            "payment_method_types",
            "status",
            "usage",
        ]
    ),
    "payment_method": frozenset(["id", "object", "allow_redisplay", "billing_details", "card", "created", "customer", "livemode", "type"]),
    "confirmation_token": frozenset(
        [
            "id",
            "object",
            "created",
            "expires_at",
            "livemode",
            "mandate_data",
            "payment_intent",
            "payment_method_options",
            "payment_method_preview",
            "return_url",
            "setup_future_usage",
            "setup_intent",
            "shipping",
            "use_stripe_sdk",
        ]
    ),
    "customer_session": frozenset(["object", "components", "created", "customer", "expires_at", "livemode", "payment_methods"]),
    "token": frozenset(["id", "object", "card", "client_ip", "created", "livemode", "type", "used"]),
    "card": frozenset(
        [
            "id",
            "object",
            "address_city",
            "address_country",
            "address_line1",
            "address_line1_check",
            "address_line2",
            "address_state",
            "address_zip",
            "address_zip_check",
            "brand",
            "country",
            "cvc_check",
            "dynamic_last4",
            "exp_month",
            "exp_year",
            "funding",
            "last4",
            "name",
            "regulated_status",
            "tokenization_method",
        ]
    ),
}
"""By kind of object; what isn't here is the merchant's own business. Of an intent it is what Stripe's reference marks "retrievable with publishable key"."""
_SHOWN_TO_CUSTOMER: dict[str, frozenset[str]] = {
    "customer": frozenset(
        [
            "id",
            "object",
            "created",
            "default_source",
            "deleted",
            "email",
            "invoice_settings",
            "livemode",
            "name",
            "phone",
            "shipping",
            "sources",
        ]
    ),
}
"""What a customer's app sees beside that: not what a merchant notes about them."""
_SHOWN_OF_CARD = frozenset(
    [
        "brand",
        "checks",
        "country",
        "display_brand",
        "exp_month",
        "exp_year",
        "funding",
        "generated_from",
        "last4",
        "networks",
        "three_d_secure_usage",
        "wallet",
    ]
)
"""Not the fingerprint, which tells whether two payments were made with one card."""


async def answer_preflight(scope: Scope, send: Send, methods: list[str]) -> bool:
    """Answer a browser that asks whether its page may call; False where no page may."""
    asked = {name: value for name, value in scope["headers"] if name in (b"origin", b"access-control-request-method")}
    if len(asked) != 2 or asked[b"access-control-request-method"].decode("latin-1") not in methods:
        return False
    headers = [
        _ANY_ORIGIN,
        (b"access-control-allow-methods", ", ".join(sorted(methods)).encode()),
        (b"access-control-allow-headers", _ALLOWED_HEADERS),
        (b"access-control-max-age", str(_PREFLIGHT_SECONDS).encode()),
        (b"vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
    return True


def allow_origin() -> list[tuple[bytes, bytes]]:
    """Return the header fields that let a page of any origin read a response: the key that was sent says what it may see."""
    return [_ANY_ORIGIN, _EXPOSED]


def shown_to_browser(body: bytes, *, of_customer: bool = False) -> bytes:
    """Return a response, or an error, with what a publishable key, or a customer's own, may see of each object in it."""
    return msgspec.json.encode(_shown(msgspec.json.decode(body), _SHOWN | _LIST | _SHOWN_TO_CUSTOMER if of_customer else _SHOWN))


def _shown(value: object, by_kind: Mapping[str, frozenset[str]]) -> object:
    if isinstance(value, list):
        return [_shown(each, by_kind) for each in cast("list[object]", value)]
    if not isinstance(value, dict):
        return value
    node = cast("Rendered", value)
    kind = node.get("object")
    shown = {name: _shown(child, by_kind) for name, child in node.items() if kind is None or name in by_kind.get(str(kind), _NAMED)}
    of_card = shown.get("payment_method_preview") if kind == "confirmation_token" else shown if kind == "payment_method" else None
    if isinstance(of_card, dict) and isinstance(card := cast("Rendered", of_card).get("card"), dict):
        of_card["card"] = {name: child for name, child in cast("Rendered", card).items() if name in _SHOWN_OF_CARD}
    return shown


_LIST = {"list": frozenset(["object", "data", "has_more", "url"])}
_NAMED = frozenset({"id", "object"})
"""Of any other kind of object."""
