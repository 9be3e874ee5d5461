"""What the sandbox's cardholders dispute, and how their banks decide. Source: Stripe's testing documentation, "Disputes" and "Evidence"."""

import msgspec
from msgspec import Struct

from payments.acquirers.acquirer import Order
from payments.acquirers.notices import DisputeAnswer, DisputeDecided, DisputeOpened, Notice
from payments.acquirers.test_cards import Behaviour
from payments.domain.attempt import AttemptKind

NOTICE_SECONDS = 1
"""How long after the capture its dispute comes, and after the answer the verdict."""
RESPONSE_SECONDS = 9 * 24 * 3600
"""How long the merchant has to answer."""
_REASONS = {
    Behaviour.DISPUTED_AS_FRAUDULENT: ("fraudulent", "10.4"),
    Behaviour.DISPUTED_AS_NOT_RECEIVED: ("product_not_received", "13.1"),
    Behaviour.INQUIRED_ABOUT: ("general", None),
}
"""What is said of each, and Visa's code for it."""
_VERDICTS = {"winning_evidence": True, "losing_evidence": False}

decoded = msgspec.json.Decoder(Notice).decode


class Announcement(Struct, frozen=True, kw_only=True):
    """A notice that is to come."""

    reference: str
    due_at: int
    """Unix seconds."""
    document: Notice


def dispute_of(order: Order, behaviour: Behaviour, now: int) -> Announcement | None:
    """Return the dispute that follows an approved order of a card that makes one: once its money is claimed, and once for all claims of one hold."""
    claims = order.kind is AttemptKind.CAPTURE or (order.kind is AttemptKind.AUTHORIZE and order.capture)
    if behaviour not in _REASONS or not claims:
        return None
    authorization = (order.original_reference or order.reference).partition("_")[2]
    reason, code = _REASONS[behaviour]
    notice = DisputeOpened(
        reference=f"opened_{authorization}",
        merchant_id=order.merchant_id,
        livemode=order.livemode,
        case=f"case_{authorization}",
        order=order.reference,
        amount=order.amount,
        currency=order.currency,
        reason=reason,
        network_reason_code=code,
        inquiry=behaviour is Behaviour.INQUIRED_ABOUT,
        due_by=now + RESPONSE_SECONDS,
    )
    return Announcement(reference=notice.reference, due_at=now + NOTICE_SECONDS, document=notice)


def verdict_on(answer: DisputeAnswer, now: int) -> Announcement | None:
    """Return how the bank decides on an answer; None while it doesn't."""
    won = _VERDICTS.get(answer.evidence.get("uncategorized_text", "").strip())
    if answer.accepted or won is None:
        return None
    notice = DisputeDecided(
        reference=f"decided_{answer.case.partition('_')[2]}",
        merchant_id=answer.merchant_id,
        livemode=answer.livemode,
        case=answer.case,
        won=won,
    )
    return Announcement(reference=notice.reference, due_at=now + NOTICE_SECONDS, document=notice)
