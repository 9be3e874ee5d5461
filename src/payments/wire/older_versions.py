"""What older API versions see otherwise: each change of a shape, with how to undo it, and of a parameter.

Everything is rendered in the newest version. What an older one is to see goes backwards from there, through each change that came after it. Fields that a
version merely added are not taken away: at Stripe they appear in every version, and no client of an older one minds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import msgspec

from payments.wire.render_people import Rendered

PAYMENT_METHOD_TYPES_REFUSED_FROM = "2026-09-30.endive"
"""From this version on `payment_method_types` is no parameter any more.

Source: docs.stripe.com/changelog/endive/2026-09-30, "Removes the payment method types parameter from Payment Intents and Setup Intents".
"""
AUTOMATIC_ASYNC_FROM = "2024-04-10"
"""From this version on `capture_method` is `automatic_async` unless it is given, and `automatic` before.

Source: docs.stripe.com/changelog/2024-04-10/automatic-sync-default-paymentintents.
"""
AUTOMATIC_PAYMENT_METHODS_FROM = "2023-08-16"
"""From this version on `automatic_payment_methods` is enabled unless it or `payment_method_types` is given.

Source: docs.stripe.com/changelog/2023-08-16/automatic-payment-methods.
"""
DEFERRED_INTENT_FROM = "2022-08-01"
"""From this version on a checkout session has a payment intent when it is paid, and a customer when it needs one. Before, it took other lines, too.

Source: docs.stripe.com/changelog/2022-08-01.
"""


def _as_it_is(body: Rendered) -> Rendered:
    return body


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of one object's shape."""

    version: str
    """The first version that has the newer shape."""
    object: str
    source: str
    taken_away: tuple[str, ...] = ()
    """Fields that the older shape has. Each named an object of a kind that Tap doesn't have: they are null."""
    undo: Callable[[Rendered], Rendered] = _as_it_is
    """From the newer shape to the older one, in what goes further."""


def _expired_by_itself(intent: Rendered) -> Rendered:
    return {**intent, "cancellation_reason": "automatic"} if intent["cancellation_reason"] == "expired" else intent


def _released_as_refunded(charge: Rendered) -> Rendered:
    """What was released of a hold counted as refunded: all of a cancelled one, the rest of one that was captured in part."""
    details = cast("Rendered", charge["payment_method_details"])
    still_held = "capture_before" in cast("Rendered", details["card"])
    amount, captured, refunded = (cast("int", charge[name]) for name in ("amount", "amount_captured", "amount_refunded"))
    if not charge["paid"] or still_held or captured == amount:
        return charge
    returned = min(refunded + amount - captured, amount)  # the code before this one stored a cancelled hold as refunded
    return {**charge, "amount_refunded": returned, "refunded": returned == amount}


def _features(product: Rendered) -> Rendered:
    """What is for marketing, under its former name."""
    return {"features" if name == "marketing_features" else name: value for name, value in product.items()}


_BASIL = "docs.stripe.com/changelog/basil/2025-03-31"
_PARTIAL_PAYMENTS = f"{_BASIL}/add-support-for-multiple-partial-payments-on-invoices"
_NO_REFUND_OF_A_HOLD = f"{_BASIL}/remove-refund-from-partial-capture-and-payment-cancellation-flow"
CHANGES = (
    Change(version="2025-03-31.basil", object="payment_intent", taken_away=("invoice",), source=_PARTIAL_PAYMENTS),
    Change(version="2025-03-31.basil", object="payment_intent", undo=_expired_by_itself, source=_NO_REFUND_OF_A_HOLD),
    Change(version="2025-03-31.basil", object="charge", taken_away=("invoice",), source=_PARTIAL_PAYMENTS),
    Change(version="2025-03-31.basil", object="charge", undo=_released_as_refunded, source=_NO_REFUND_OF_A_HOLD),
    Change(
        version="2024-04-10",
        object="product",
        undo=_features,
        source="docs.stripe.com/changelog/2024-04-10/rename-product-features-marketing",
    ),
    Change(
        version="2023-08-16",
        object="charge",
        taken_away=("destination", "dispute"),
        source="stripe-node 13.0.0, whose types follow this version",
    ),
)
"""Newest first."""


def had_field(kind: str, name: str, version: str) -> bool:
    """Tell whether `version` has a field of an object's that a later one took away: it may still be asked to be expanded, and is null."""
    return any(change.object == kind and name in change.taken_away for change in CHANGES if version < change.version)


_MERCHANTS_OWN = frozenset({"metadata", "previous_attributes"})
"""Never looked into: whatever keys a merchant chose are no object of ours, and of an update's old values none was ever shaped otherwise."""


def is_newest_shape(version: str) -> bool:
    """Tell whether nothing has changed since `version`."""
    return version >= CHANGES[0].version


def in_version(body: object, version: str) -> object:
    """Return what was rendered in the newest version as `version` has it: an object, a list, an error, an event, with all objects inside."""
    undone = [change for change in CHANGES if version < change.version]
    return _undo(body, undone) if undone else body


def encoded_in_version(body: bytes, version: str) -> bytes:
    """Do the same with a body that is encoded already."""
    return body if is_newest_shape(version) else msgspec.json.encode(in_version(msgspec.json.decode(body), version))


def _undo(body: object, changes: list[Change]) -> object:
    match body:
        case dict():
            rendered = {name: value if name in _MERCHANTS_OWN else _undo(value, changes) for name, value in cast("Rendered", body).items()}
            for change in changes:
                if change.object == rendered.get("object"):
                    rendered = change.undo({**rendered, **dict.fromkeys(change.taken_away)})
            return rendered
        case list():
            return [_undo(item, changes) for item in cast("list[object]", body)]
        case _:
            return body
