"""Errors on the wire: each class of `payments.domain.errors` becomes a status and a body in Stripe's shape.

Source: Stripe, "Errors" and "HTTP status code summary".
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import asyncpg
import msgspec

from payments.domain import errors
from payments.domain.charge import Charge
from payments.domain.payment_intent import PaymentError, PaymentIntent
from payments.domain.resource import Resource
from payments.domain.setup_intent import SetupIntent
from payments.storage.database import CONNECTION_FAILURES
from payments.wire.render import render_payment_error, render_payment_intent
from payments.wire.render_people import Rendered
from payments.wire.render_setup import render_setup_intent

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class WireError:
    """An error response."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict[str, str])


class BodyTooLarge(errors.InvalidRequest):
    """The request's body is larger than accepted."""

    def __init__(self, bytes_max: int) -> None:
        super().__init__(f"Request body is too large: at most {bytes_max} bytes are accepted.")


class UnknownPath(errors.InvalidRequest):
    """No endpoint has this path."""

    def __init__(self, method: str, path: str) -> None:
        super().__init__(
            f"Unrecognized request URL ({method}: {path[:200]}). If you are trying to list objects, remove the trailing slash. "
            "If you are trying to retrieve an object, make sure you passed a valid (non-empty) identifier in your code. "
            "Of Stripe's API Tap has payments by card, and what belongs to them."
        )


class MethodNotAllowed(errors.InvalidRequest):
    """The endpoint exists, and not with this method."""

    def __init__(self, method: str, path: str, allowed: Iterable[str]) -> None:
        super().__init__(f"Method {method[:20]} is not allowed for {path[:200]}.")
        self.allowed = ", ".join(allowed)


NOT_TO_BE_RETRIED = {"Stripe-Should-Retry": "false"}
"""A repetition comes to the same: what was declined is declined again."""
_SHOULD_RETRY = {"Stripe-Should-Retry": "true"}
_RETRY_SOON = {"Stripe-Should-Retry": "true", "Retry-After": "1"}

_MAPPING: tuple[tuple[type[errors.TapError], int, str, dict[str, str]], ...] = (
    (BodyTooLarge, 413, "invalid_request_error", {}),
    (MethodNotAllowed, 405, "invalid_request_error", {}),
    (UnknownPath, 404, "invalid_request_error", {}),
    (errors.NotFound, 404, "invalid_request_error", {}),
    (errors.InvalidRequest, 400, "invalid_request_error", {}),
    (errors.AuthenticationFailed, 401, "invalid_request_error", {"WWW-Authenticate": 'Bearer realm="Tap"'}),
    (errors.PermissionDenied, 403, "invalid_request_error", {}),
    (errors.CardError, 402, "card_error", NOT_TO_BE_RETRIED),
    (errors.IdempotencyMismatch, 400, "idempotency_error", {}),
    (errors.IdempotencyKeyInUse, 409, "invalid_request_error", _SHOULD_RETRY),
    (errors.RateLimited, 429, "invalid_request_error", _SHOULD_RETRY),
    (errors.TooSlow, 429, "invalid_request_error", NOT_TO_BE_RETRIED),
    (errors.ObjectLocked, 429, "invalid_request_error", _SHOULD_RETRY),
    (errors.OutcomePending, 503, "api_error", _RETRY_SOON),
    (errors.Overloaded, 503, "api_error", _RETRY_SOON),
    (errors.DatabaseAway, 503, "api_error", _RETRY_SOON),
)


def wire_error(error: errors.TapError) -> WireError:
    """Map an error to its response."""
    for cls, status, error_type, headers in _MAPPING:
        if isinstance(error, cls):
            allow = {"Allow": error.allowed} if isinstance(error, MethodNotAllowed) else {}  # RFC 9110, 15.5.6
            return WireError(status, _encode({"error": _body(error, error_type)}), headers | allow)
    return INTERNAL_ERROR


def _body(error: errors.TapError, error_type: str) -> dict[str, object]:
    body: dict[str, object] = {"type": error_type, "message": error.message}
    if error.code is not None:
        body["code"] = error.code
        body["doc_url"] = f"https://stripe.com/docs/error-codes/{error.code.replace('_', '-')}"
    if error.param is not None:
        body["param"] = error.param
    if isinstance(error, errors.CardError) and error.decline_code is not None:
        body["decline_code"] = error.decline_code
    if isinstance(error, errors.UnexpectedState):
        body[error.intent.OBJECT] = _intent(error.intent)
    return body


INTERNAL_ERROR = WireError(500, _encode({"error": {"type": "api_error", "message": "An unexpected error occurred. It has been logged."}}))
"""What a client learns of a failure that is ours."""


def failure_error(failure: Exception) -> WireError:
    """Map what Tap didn't raise itself: what the database gave up in time, or had no room for, or was lost with it, may be tried again; the rest is a failure of ours."""
    match failure:
        case asyncpg.LockNotAvailableError() | asyncpg.DeadlockDetectedError():
            return wire_error(errors.ObjectLocked())
        case asyncpg.QueryCanceledError() | asyncpg.InsufficientResourcesError() | TimeoutError():
            return wire_error(errors.Overloaded())
        case _ if isinstance(failure, CONNECTION_FAILURES):
            return wire_error(errors.DatabaseAway())
        case _:
            return INTERNAL_ERROR


def payment_failed_body(intent: PaymentIntent) -> bytes:
    """Render the 402 for an intent whose last confirm or capture was declined."""
    return _failed(intent, intent.last_payment_error)


def setup_failed_body(intent: SetupIntent) -> bytes:
    """Render the 402 for an intent whose card was refused."""
    return _failed(intent, intent.last_setup_error)


def charge_failed_body(charge: Charge) -> bytes:
    """Render the 402 for a charge that was declined, or whose capture was."""
    if charge.failure_code is None:
        raise ValueError(f"{charge.id} has no error")
    failure = PaymentError(
        code=charge.failure_code, decline_code=charge.decline_code, message=charge.failure_message or "", charge=charge.id
    )
    return _encode({"error": render_payment_error(failure)})


def _failed(intent: PaymentIntent | SetupIntent, failure: PaymentError | None) -> bytes:
    if failure is None:
        raise ValueError(f"{intent.id} has no error")
    return _encode({"error": render_payment_error(failure) | {intent.OBJECT: _intent(intent)}})


def _intent(intent: Resource) -> Rendered:
    match intent:
        case PaymentIntent():
            return render_payment_intent(intent)
        case SetupIntent():
            return render_setup_intent(intent)
        case _:
            raise TypeError(f"{intent.OBJECT} has no status")
