"""What is made of an issuer's no: one table for all acquirers. Source: Stripe, "Decline codes" and "Error codes"."""

from typing import Final

from payments.domain.outcome import Declined

AUTHENTICATION_REQUIRED: Final = "authentication_required"
PROCESSING_ERROR: Final = "processing_error"
GENERIC_DECLINE: Final = "generic_decline"

_DECLINED = "Your card was declined."
_UNSUPPORTED = "Your card does not support this type of purchase."
_TRY_AGAIN = "An error occurred while processing your card. Try again in a little bit."
_VELOCITY = "Your card was declined for making repeated attempts too frequently or exceeding its amount limit."

_MESSAGES: dict[str, str] = {
    AUTHENTICATION_REQUIRED: "Your card was declined. This transaction requires authentication.",
    "card_not_supported": _UNSUPPORTED,
    "card_velocity_exceeded": _VELOCITY,
    "currency_not_supported": "Your card does not support this currency.",
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "incorrect_number": "Your card number is incorrect.",
    "insufficient_funds": "Your card has insufficient funds.",
    "invalid_amount": "Your card was declined: the amount is not allowed.",
    "issuer_not_available": _TRY_AGAIN,
    PROCESSING_ERROR: _TRY_AGAIN,
    "try_again_later": _TRY_AGAIN,
    "withdrawal_count_limit_exceeded": _VELOCITY,
}
"""What the cardholder is told; where nothing stands here, that the card was declined."""
DECLINE_CODES = frozenset(_MESSAGES) | {
    "approve_with_id", "call_issuer", "do_not_honor", "do_not_try_again", "duplicate_transaction", "fraudulent", GENERIC_DECLINE,
    "invalid_account", "lost_card", "merchant_blacklist", "new_account_information_available", "no_action_taken", "not_permitted",
    "pickup_card", "reenter_transaction", "restricted_card", "revocation_of_all_authorizations", "revocation_of_authorization",
    "security_violation", "service_not_allowed", "stolen_card", "stop_payment_order", "transaction_not_allowed",
}  # fmt: skip
"""Stripe's."""
_ERROR_CODES = frozenset({AUTHENTICATION_REQUIRED, "expired_card", "incorrect_cvc", "incorrect_number", PROCESSING_ERROR})
"""Those that are error codes of their own; all others are a `card_declined` that says why."""


def declined(decline_code: str, *, sent: bool = True) -> Declined:
    """Build a refusal; a code that Stripe doesn't have is a `generic_decline`. `sent`: the issuer was asked."""
    known = decline_code if decline_code in DECLINE_CODES else GENERIC_DECLINE
    return Declined(
        code=known if known in _ERROR_CODES else "card_declined",
        decline_code=known,
        message=_MESSAGES.get(known, _DECLINED),
        cvc_check="fail" if known == "incorrect_cvc" else None,
        network_status="declined_by_network" if sent else "not_sent_to_network",
    )
