"""What follows from an acquirer's answer: the intent's next state, the charge, the books and the events. Pure.

Every function takes the attempt with its objects as they are, and returns them as they shall be, one version on.
"""

from typing import assert_never

from payments.domain.attempt import AttemptKind
from payments.domain.outcome import Outcome
from payments.storage.attempts import OpenAttempt
from payments.storage.payments import Settlement
from payments.transaction_processor.settlement.authorizations import settle_authorization
from payments.transaction_processor.settlement.captures import EXPIRED, settle_capture, settle_void
from payments.transaction_processor.settlement.increments import settle_increment
from payments.transaction_processor.settlement.refunds import settle_refund, settle_refund_failure
from payments.transaction_processor.settlement.terms import CAPTURE_WINDOW_SECONDS, Terms

__all__ = ["CAPTURE_WINDOW_SECONDS", "EXPIRED", "Terms", "settlement_of"]


def settlement_of(work: OpenAttempt, outcome: Outcome, terms: Terms) -> Settlement | None:
    """Return all that `outcome` changes; None when it changes nothing (still unknown, and the merchant has been told)."""
    match work.attempt.kind:
        case AttemptKind.AUTHORIZE:
            return settle_authorization(work, outcome, terms)
        case AttemptKind.INCREMENT:
            return settle_increment(work, outcome, terms)
        case AttemptKind.CAPTURE:
            return settle_capture(work, outcome, terms)
        case AttemptKind.VOID:
            return settle_void(work, outcome, terms)
        case AttemptKind.REFUND:
            return settle_refund(work, outcome, terms)
        case AttemptKind.REFUND_FAILURE:
            return settle_refund_failure(work, outcome, terms)
        case _ as never:
            assert_never(never)
