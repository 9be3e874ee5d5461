"""What a response code (DE 39) means. Source: ISO 8583:1987, and what the card networks made of it."""

from payments.acquirers.declines import GENERIC_DECLINE, PROCESSING_ERROR

DONE = "00"
APPROVED = frozenset({DONE, "08", "11", "16"})
"""Approved; honour with identification; approved (VIP); approved, update track 3."""
PARTLY = frozenset({"10", "32"})
"""Approved, or completed, for a part of the amount: money is held, and it isn't what was asked for, whatever the answer's amount says."""
NO_REASON_TO_DECLINE = "85"
"""The yes to what takes nothing: a card that is only verified, or a refund. Source: Visa."""
REVERSED = frozenset({DONE, "21", "25"})
"""The yes to a reversal: done, nothing to do, no such transaction."""
IN_PROGRESS = "09"
"""Have patience: the answer is yet to come."""
DUPLICATE = "94"
NOT_DECIDED = frozenset({IN_PROGRESS, "68", DUPLICATE}) | PARTLY
"""Request in progress, response too late, duplicate transmission: what became of the order isn't said; or it became something else."""
NOT_SUPPORTED = "40"
"""Our no to what a host asks for."""

_DECLINE_CODES: dict[str, str] = {
    "01": "call_issuer",
    "02": "call_issuer",
    "03": "merchant_blacklist",
    "04": "pickup_card",
    "05": "do_not_honor",
    "06": PROCESSING_ERROR,
    "07": "pickup_card",
    "12": "transaction_not_allowed",
    "13": "invalid_amount",
    "14": "incorrect_number",
    "15": "incorrect_number",
    "19": "reenter_transaction",
    "20": PROCESSING_ERROR,
    "21": "no_action_taken",
    "22": PROCESSING_ERROR,
    "30": PROCESSING_ERROR,
    "31": "card_not_supported",
    "33": "expired_card",
    "34": "fraudulent",
    "35": "pickup_card",
    "36": "restricted_card",
    "37": "pickup_card",
    "38": "pickup_card",
    "39": "invalid_account",
    "40": "service_not_allowed",
    "41": "lost_card",
    "42": "invalid_account",
    "43": "stolen_card",
    "44": "invalid_account",
    "46": "invalid_account",
    "51": "insufficient_funds",
    "52": "invalid_account",
    "53": "invalid_account",
    "54": "expired_card",
    "56": "invalid_account",
    "57": "transaction_not_allowed",
    "58": "transaction_not_allowed",
    "59": "fraudulent",
    "60": "call_issuer",
    "61": "card_velocity_exceeded",
    "62": "restricted_card",
    "63": "security_violation",
    "65": "withdrawal_count_limit_exceeded",
    "66": "call_issuer",
    "67": "pickup_card",
    "78": "invalid_account",
    "82": "incorrect_cvc",
    "90": "try_again_later",
    "91": "issuer_not_available",
    "92": PROCESSING_ERROR,
    "93": "transaction_not_allowed",
    "95": PROCESSING_ERROR,
    "96": PROCESSING_ERROR,
    "1A": "authentication_required",
    "6P": "security_violation",
    "N7": "incorrect_cvc",
    "R0": "stop_payment_order",
    "R1": "revocation_of_authorization",
    "R3": "revocation_of_all_authorizations",
}


def decline_code(response_code: str) -> str:
    """Return Stripe's decline code; what stands in no table is a decline without a reason."""
    return _DECLINE_CODES.get(response_code.upper(), GENERIC_DECLINE)
