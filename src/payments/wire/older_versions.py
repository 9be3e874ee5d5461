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


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one object's shape."""

    version: str
    """The first version that has the newer shape."""
    object: str
    undo: Callable[[Rendered], Rendered]
    """From the newer shape to the older one."""
    source: str


def _with_invoice(body: Rendered) -> Rendered:
    return {**body, "invoice": None}


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


def _with_destination_and_dispute(charge: Rendered) -> Rendered:
    return {**charge, "destination": None, "dispute": None}


_BASIL = "docs.stripe.com/changelog/basil/2025-03-31"
CHANGES = (
    Change("2025-03-31.basil", "payment_intent", _with_invoice, f"{_BASIL}/add-support-for-multiple-partial-payments-on-invoices"),
    Change(
        "2025-03-31.basil",
        "payment_intent",
        _expired_by_itself,
        f"{_BASIL}/remove-refund-from-partial-capture-and-payment-cancellation-flow",
    ),
    Change("2025-03-31.basil", "charge", _with_invoice, f"{_BASIL}/add-support-for-multiple-partial-payments-on-invoices"),
    Change(
        "2025-03-31.basil",
        "charge",
        _released_as_refunded,
        f"{_BASIL}/remove-refund-from-partial-capture-and-payment-cancellation-flow",
    ),
    Change("2023-08-16", "charge", _with_destination_and_dispute, "stripe-node 13.0.0, whose types follow this version"),
)
"""Newest first."""

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
                    rendered = change.undo(rendered)
            return rendered
        case list():
            return [_undo(item, changes) for item in cast("list[object]", body)]
        case _:
            return body
