"""What a charge says of an acquirer's answer."""

from msgspec.structs import replace

from payments.acquirers.declines import PROCESSING_ERROR
from payments.domain.charge import Charge, ChargeOutcome
from payments.domain.outcome import Approved, Declined, RiskLevel, Unknown
from payments.domain.payment_intent import PaymentError
from payments.storage.attempts import OpenAttempt


def charge_of(
    work: OpenAttempt,
    outcome: Approved | Declined | Unknown,
    *,
    captured: bool,
    capture_before: int | None = None,
    balance_transaction: str | None = None,
) -> Charge:
    """Build the charge that an authorization leaves, approved or declined; or pending, as one without an intent is while its outcome isn't known."""
    attempt, intent, method = work.attempt, work.intent, work.payment_method
    approved = isinstance(outcome, Approved)
    declined = isinstance(outcome, Declined)
    checked = None if isinstance(outcome, Unknown) else outcome.cvc_check
    charge = Charge(
        id=attempt.charge,
        merchant_id=attempt.merchant_id,
        livemode=attempt.livemode,
        created=attempt.created,  # as its id: lists are ranges of both
        amount=attempt.amount,
        currency=attempt.currency,
        status="succeeded" if approved else "failed" if declined else "pending",
        paid=approved,
        captured=captured,
        amount_captured=attempt.amount if captured else 0,
        payment_intent=intent.id,
        payment_method=method.id,
        customer=intent.customer,
        card=replace(method.card, cvc_check=checked or method.card.cvc_check),
        acquirer=attempt.acquirer,
        authorization=attempt.id,
        three_d_secure="authenticated" if attempt.authenticated or attempt.authentication else None,
        authentication=None if attempt.authentication is None else replace(attempt.authentication, cryptogram=""),
        moto=attempt.moto,
        options=intent.card_options,
        radar_options=intent.radar_options,
        authorization_code=outcome.authorization_code if approved else None,
        network_transaction_id=outcome.network_transaction_id if approved else None,
        acquirer_reference=outcome.acquirer_reference if approved else None,
        capture_before=capture_before,
        outcome=_judgement(outcome),
        failure_code=outcome.code if declined else None,
        failure_message=outcome.message if declined else None,
        decline_code=outcome.decline_code if declined else None,
        balance_transaction=balance_transaction,
        billing_details=method.billing_details,
        description=intent.description,
        metadata=intent.metadata,
        receipt_email=intent.receipt_email,
        shipping=intent.shipping,
        statement_descriptor=intent.statement_descriptor,
        statement_descriptor_suffix=intent.statement_descriptor_suffix,
        transfer_group=intent.transfer_group,
    )
    before = work.charge
    if before is None:
        return charge
    # It was pending, and is the merchant's to change meanwhile.
    kept = {name: getattr(before, name) for name in ("description", "metadata", "receipt_email", "shipping")}
    return replace(charge, version=before.version + 1, **kept)


_RISK_SCORES: dict[RiskLevel, int] = {"normal": 20, "elevated": 65, "highest": 80}
"""Within Stripe's bounds: elevated begins at 65, highest at 75."""
_AUTHORIZED = {
    level: ChargeOutcome(
        network_status="approved_by_network",
        reason="elevated_risk_level" if level == "elevated" else None,
        risk_level=level,
        risk_score=score,
        seller_message="Payment complete.",
        type="authorized",
    )
    for level, score in _RISK_SCORES.items()
}


_NOT_KNOWN = ChargeOutcome(network_status="not_sent_to_network", seller_message="The outcome isn't known yet.", type="pending")
"""Never shown."""


_NOT_JUDGED = frozenset({PROCESSING_ERROR, "transaction_not_allowed"})
"""Why an order wasn't sent that nobody found risky."""


def _judgement(outcome: Approved | Declined | Unknown) -> ChargeOutcome:
    if isinstance(outcome, Unknown):
        return _NOT_KNOWN
    if isinstance(outcome, Approved):
        return _AUTHORIZED[outcome.risk_level]
    if outcome.network_status == "not_sent_to_network" and outcome.decline_code in _NOT_JUDGED:
        return ChargeOutcome(
            network_status=outcome.network_status,
            reason=outcome.decline_code,
            seller_message="The payment was not sent to the issuer.",
            type="invalid",
        )
    if outcome.network_status == "not_sent_to_network":
        return ChargeOutcome(
            network_status=outcome.network_status,
            reason="highest_risk_level",
            risk_level="highest",
            risk_score=100,
            seller_message="Tap blocked this payment as too risky.",
            type="blocked",
        )
    return ChargeOutcome(
        network_status=outcome.network_status,
        reason=outcome.decline_code or outcome.code,
        seller_message="The bank did not return any further details with this decline."
        if outcome.decline_code == "generic_decline"
        else f"The bank returned the decline code `{outcome.decline_code or outcome.code}`.",
        type="issuer_declined",
    )


def payment_error_of(work: OpenAttempt, outcome: Declined) -> PaymentError:
    """Build what the intent says of a refusal."""
    return PaymentError(
        code=outcome.code,
        decline_code=outcome.decline_code,
        message=outcome.message,
        charge=work.attempt.charge,
        payment_method=work.payment_method,
    )
