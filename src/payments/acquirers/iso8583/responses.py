"""What a response code (DE 39) means. Source: ISO 8583:1987, and what the card networks made of it."""

from payments.acquirers.declines import GENERIC_DECLINE, PROCESSING_ERROR

APPROVED = frozenset({"00", "08", "11"})
"""Approved; honour with identification; approved (VIP). Partial approval (10) is none: the answer is about another amount."""
NO_REASON_TO_DECLINE = "85"
"""The yes to a card that is only verified."""
REVERSED = frozenset({"00", "21", "25"})
"""The yes to a reversal: done, nothing to do, no such transaction."""
NOT_DECIDED = frozenset({"09", "68", "94"})
"""Request in progress, response too late, duplicate transmission: what became of the order isn't said."""

_DECLINE_CODES: dict[str, str] = {
    "01": "call_issuer",
    "02": "call_issuer",
    "03": "merchant_blacklist",
    "04": "pickup_card",
    "05": "do_not_honor",
    "07": "pickup_card",
    "12": "transaction_not_allowed",
    "13": "invalid_amount",
    "14": "incorrect_number",
    "15": "incorrect_number",
    "19": "reenter_transaction",
    "39": "invalid_account",
    "41": "lost_card",
    "43": "stolen_card",
    "46": "invalid_account",
    "51": "insufficient_funds",
    "52": "invalid_account",
    "53": "invalid_account",
    "54": "expired_card",
    "57": "transaction_not_allowed",
    "58": "transaction_not_allowed",
    "59": "fraudulent",
    "61": "card_velocity_exceeded",
    "62": "restricted_card",
    "63": "security_violation",
    "65": "withdrawal_count_limit_exceeded",
    "78": "invalid_account",
    "82": "incorrect_cvc",
    "91": "issuer_not_available",
    "92": PROCESSING_ERROR,
    "93": "transaction_not_allowed",
    "96": PROCESSING_ERROR,
    "1A": "authentication_required",
    "N7": "incorrect_cvc",
}


def decline_code(response_code: str) -> str:
    """Return Stripe's decline code; what stands in no table is a decline without a reason."""
    return _DECLINE_CODES.get(response_code, GENERIC_DECLINE)
