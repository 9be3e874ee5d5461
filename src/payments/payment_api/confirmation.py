"""Confirming a payment: choosing its card, and making the attempt that goes to the acquirer."""

from msgspec.structs import replace

from payments.domain.attempt import AttemptKind, attempt_on
from payments.domain.errors import InvalidRequest, NotFound, UnexpectedState
from payments.domain.event import Event, Origin
from payments.domain.payment_intent import IntentStatus, PaymentIntent
from payments.domain.payment_method import PaymentMethod
from payments.domain.people import BillingDetails
from payments.domain.principal import Principal
from payments.payment_api.card_vault import CardVault, Vaulted, is_alias
from payments.payment_api.intent_params import Payer
from payments.runtime.ids import new_id
from payments.storage import nouns
from payments.storage.attempts import OpenAttempt
from payments.storage.claims import Claim
from payments.storage.database import Pool
from payments.storage.payments import Begin
from payments.wire.idempotency import answer_id
from payments.wire.params import merge_metadata


class Cards:
    """Finds or makes the payment method that a call names."""

    def __init__(self, vault: CardVault, pool: Pool) -> None:
        self._vault = vault
        self._pool = pool

    async def given(self, principal: Principal, params: Payer, *, customer: str | None) -> Vaulted | PaymentMethod | None:
        """Return what the parameters name: a card just made, or one on file; raises `CardError`, `NotFound`, `InvalidRequest`."""
        if (data := params.payment_method_data) is not None:
            details = data.billing_details.value() if data.billing_details else BillingDetails()
            vaulted = self._vault.vault(principal, data.card, details)
            method = replace(vaulted.method, allow_redisplay=data.allow_redisplay, metadata=merge_metadata({}, data.metadata))
            return replace(vaulted, method=method)
        if not params.payment_method:
            return None
        if is_alias(params.payment_method):
            return self._vault.from_alias(principal, params.payment_method)
        return await self.on_file(principal, params.payment_method, customer=customer)

    async def of_intent(self, intent: PaymentIntent) -> PaymentMethod | None:
        """Return the payment method that an intent names already: one made for this payment only may be used in it again."""
        if intent.payment_method is None:
            return None
        return await nouns.PAYMENT_METHODS.get(self._pool, intent.merchant_id, intent.livemode, intent.payment_method)

    async def on_file(self, principal: Principal, method_id: str, *, customer: str | None) -> PaymentMethod:
        """Return a payment method that `customer` may pay with; raises `NotFound`, `InvalidRequest`."""
        method = await nouns.PAYMENT_METHODS.get(self._pool, principal.merchant_id, principal.livemode, method_id)
        if method is None:
            raise NotFound("PaymentMethod", method_id[:100], param="payment_method")
        if method.customer is not None and method.customer != customer:
            raise InvalidRequest(
                "The provided PaymentMethod belongs to a Customer. Please include the Customer in the `customer` parameter.",
                param="payment_method",
            )
        if method.consumed and method.customer is None:
            raise InvalidRequest(
                "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, or was detached from a "
                "Customer. It may not be used again. To use a PaymentMethod multiple times, you must attach it to a Customer first.",
                param="payment_method",
            )
        return method


def confirmed(
    intent: PaymentIntent,
    card: Vaulted | PaymentMethod,
    *,
    unit: str,
    now: int,
    origin: Origin,
    claim: Claim | None,
    created: bool = False,
    announcement: Event | None = None,
    options: Payer | None = None,
    authenticated: bool = False,
) -> tuple[Begin, OpenAttempt]:
    """Build commit 1 of a confirmation, and the work that follows it. `created`: the intent is new; `announcement`: the event that says so."""
    method = card.method if isinstance(card, Vaulted) else card
    attempt = attempt_on(
        intent,
        AttemptKind.AUTHORIZE,
        new_id("att"),
        created=now,
        charge=new_id("ch"),
        amount=intent.amount,
        payment_method=method.id,
        outcome_event=answer_id(claim),
        authenticated=authenticated,
        off_session=options is not None and options.off_session is not False,
        error_on_requires_action=options is not None and options.error_on_requires_action,
        origin=origin,
    )
    intent = replace(
        intent,
        version=intent.version if created else intent.version + 1,
        status=IntentStatus.PROCESSING,
        open_attempt=attempt.id,
        payment_method=method.id,
        next_action=None,
        last_payment_error=None,
    )
    begin = Begin(
        unit=unit,
        merchant_id=intent.merchant_id,
        livemode=intent.livemode,
        claim=claim,
        new_intent=intent if created else None,
        changed_intent=None if created else intent,
        payment_method=card.method if isinstance(card, Vaulted) else None,
        sealed_number=card.sealed_number if isinstance(card, Vaulted) else "",
        attempt=attempt,
        events=() if announcement is None else (announcement,),
    )
    work = OpenAttempt(
        attempt=attempt,
        intent=intent,
        payment_method=method,
        sealed_number=card.sealed_number if isinstance(card, Vaulted) else None,
        sealed_cvc=card.sealed_cvc if isinstance(card, Vaulted) else None,
    )
    return begin, work


def no_card(intent: PaymentIntent) -> UnexpectedState:
    """Build the refusal of a confirmation that names no card."""
    return UnexpectedState(
        "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the PaymentIntent with a "
        "payment method and then confirm it again, or confirm it again directly with a payment method.",
        intent,
    )
