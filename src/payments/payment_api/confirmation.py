"""Confirming a payment: choosing its card, and making the attempt that goes to the acquirer."""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from payments.domain.attempt import AttemptKind, attempt_on
from payments.domain.confirmation_token import ConfirmationToken
from payments.domain.customer import Customer
from payments.domain.errors import InvalidRequest, ResourceMissing, UnexpectedState
from payments.domain.event import Event, Origin
from payments.domain.payment_intent import IntentStatus, PaymentIntent
from payments.domain.payment_method import PaymentMethod
from payments.domain.people import BillingDetails
from payments.domain.principal import Principal
from payments.domain.resource import next_version
from payments.domain.setup_intent import SetupIntent
from payments.payment_api.card_vault import CardParam, CardVault, Vaulted, is_alias, is_test_card
from payments.payment_api.given_card import GivenCard
from payments.payment_api.intent_params import Payer
from payments.runtime.ids import new_id
from payments.storage.attempts import OpenAttempt
from payments.storage.claims import Claim
from payments.storage.database import Pool
from payments.storage.nouns import Gathered
from payments.storage.payments import Begin
from payments.wire.changes import made
from payments.wire.idempotency import answer_id
from payments.wire.kinds import CONFIRMATION_TOKEN, CUSTOMER, PAYMENT_METHOD, TOKEN


class Cards:
    """Finds or makes the payment method that a call names."""

    def __init__(self, vault: CardVault, pool: Pool) -> None:
        self._vault = vault
        self._gathered = Gathered(pool)

    async def given(
        self,
        principal: Principal,
        params: GivenCard,
        *,
        customer: str | None,
        intent: PaymentIntent | None = None,
        token: ConfirmationToken | None = None,
    ) -> Vaulted | PaymentMethod | None:
        """Return what the parameters name: a card just made, or one on file; else what a confirmation token stands for. Raises `CardError`, `ResourceMissing`,
        `InvalidRequest`.
        """
        if (data := params.payment_method_data) is not None:
            details = data.billing_details.value() if data.billing_details else None
            vaulted = await self.new(principal, data.card, details, param="payment_method_data[card]")
            method = vaulted.method
            return replace(vaulted, method=made(method, data, card=method.card, billing_details=method.billing_details))
        if not params.payment_method:
            return None if token is None else await self._of_confirmation_token(token)
        if is_alias(params.payment_method):
            return self._vault.from_alias(principal, params.payment_method)
        return await self.on_file(principal, params.payment_method, customer=customer, intent=intent)

    async def new(self, principal: Principal, card: CardParam, details: BillingDetails | None, *, param: str) -> Vaulted:
        """Return what a number or a token stands for; `param` is what it was given as. Raises `CardError`, `ResourceMissing`, `InvalidRequest`."""
        if not card.token:
            return self._vault.vault(principal, card, details)
        if card != CardParam(token=card.token):
            raise InvalidRequest("You may only specify one of these parameters: card[token], card[number].", param=param)
        return await self.of_token(principal, card.token, details, param=f"{param}[token]")

    async def of_token(self, principal: Principal, name: str, details: BillingDetails | None = None, *, param: str) -> Vaulted:
        """Return the card that a token stands for, as using it leaves the card; who stores that has used it. Raises `ResourceMissing`, `InvalidRequest`."""
        if is_test_card(name):
            return self._vault.from_alias(principal, name, details, param=param)
        token = await TOKEN.noun.get(self._gathered, principal.merchant_id, principal.livemode, name)
        if token is None:
            raise ResourceMissing(TOKEN.named, name[:100], param=param)
        method = await PAYMENT_METHOD.noun.get(self._gathered, principal.merchant_id, principal.livemode, token.card.id)
        if method is None or not method.waits_for_token:
            raise InvalidRequest(f"You cannot use a Stripe token more than once: {token.id}.", code="token_already_used", param=param)
        self._vault.check_token(token, param=param)
        return Vaulted(next_version(method, token=None, billing_details=details or method.billing_details))

    async def confirmation_token(self, principal: Principal, name: str | None) -> ConfirmationToken | None:
        """Return the confirmation token that is named; raises `ResourceMissing`, `InvalidRequest`."""
        if not name:
            return None
        token = await CONFIRMATION_TOKEN.noun.get(self._gathered, principal.merchant_id, principal.livemode, name)
        if token is None:
            raise ResourceMissing(CONFIRMATION_TOKEN.named, name[:100], param="confirmation_token")
        self._vault.check_confirmation_token(token)
        return token

    async def _of_confirmation_token(self, token: ConfirmationToken) -> Vaulted:
        """Return its card, as using it leaves the card; who stores that has used it. Raises `InvalidRequest`."""
        method = await PAYMENT_METHOD.noun.get(self._gathered, token.merchant_id, token.livemode, token.card.id)
        if method is None or not method.waits_for_token:
            raise InvalidRequest(
                f"The ConfirmationToken {token.id} was already used: it can't be used more than once.",
                code="token_already_used",
                param="confirmation_token",
            )
        return Vaulted(next_version(method, token=None))

    async def named_by(self, intent: PaymentIntent | SetupIntent) -> PaymentMethod | None:
        """Return the payment method that an intent names, whatever has become of it."""
        if intent.payment_method is None:
            return None
        return await PAYMENT_METHOD.noun.get(self._gathered, intent.merchant_id, intent.livemode, intent.payment_method)

    async def of_intent(self, intent: PaymentIntent) -> PaymentMethod | None:
        """Return the payment method that an intent names; raises `InvalidRequest` when it may not be used any more."""
        method = await self.named_by(intent)
        if method is not None:
            check_usable(method, intent.customer, intent)
        return method

    async def of_setup(self, intent: SetupIntent) -> PaymentMethod | None:
        """Return the payment method that a setup intent names; raises `InvalidRequest` when it may not be used any more."""
        method = await self.named_by(intent)
        if method is not None:
            check_usable(method, intent.customer, None)
        return method

    async def on_file(self, principal: Principal, method_id: str, *, customer: str | None, intent: PaymentIntent | None) -> PaymentMethod:
        """Return a payment method that may pay for `intent`, or for a new one, of `customer`; raises `ResourceMissing`, `InvalidRequest`."""
        method = await PAYMENT_METHOD.noun.get(self._gathered, principal.merchant_id, principal.livemode, method_id)
        if method is None:
            raise ResourceMissing(PAYMENT_METHOD.named, method_id[:100], param="payment_method")
        check_usable(method, customer, intent)
        return method

    async def customer(self, merchant_id: int, livemode: bool, customer_id: str | None) -> Customer | None:
        """Return the customer of a payment, who must not have been deleted; raises `ResourceMissing`."""
        if not customer_id:
            return None
        customer = await CUSTOMER.noun.get(self._gathered, merchant_id, livemode, customer_id)
        if customer is None or customer.deleted:
            raise ResourceMissing(CUSTOMER.named, customer_id[:100], param="customer")
        return customer


def confirmed_by(card: Vaulted | PaymentMethod | None, token: ConfirmationToken | None, intent: str) -> Vaulted | PaymentMethod | None:
    """Have a token's card remember which intent it was used for."""
    if token is None or not isinstance(card, Vaulted) or card.method.id != token.card.id:
        return card
    return replace(card, method=replace(card.method, confirmed=intent))


def check_usable(method: PaymentMethod, customer: str | None, intent: PaymentIntent | None) -> None:
    """Raise `InvalidRequest` unless a payment of `customer` may be made with a card on file: asked whenever it is named, and again when it is used."""
    if method.customer is not None and method.customer != customer:
        raise InvalidRequest(
            "The provided PaymentMethod belongs to a Customer. Please include the Customer in the `customer` parameter.",
            param="payment_method",
        )
    named = intent is not None and intent.payment_method == method.id
    if not method.may_pay_for(None if intent is None else intent.id, named=named):
        raise InvalidRequest(
            "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, or was detached from a "
            "Customer. It may not be used again. To use a PaymentMethod multiple times, you must attach it to a Customer first.",
            param="payment_method",
        )


@dataclass(frozen=True, slots=True)
class Paying:
    """What the commit that names a card for an intent, or pays with it, does about the card."""

    creates: Sequence[PaymentMethod] = ()
    changes: Sequence[PaymentMethod] = ()
    relies_on: Sequence[Customer | PaymentMethod] = ()
    sealed_number: str = ""


def naming(intent: PaymentIntent, card: Vaulted | PaymentMethod | None, customer: Customer | None) -> Paying:
    """Name a card for an intent: a new one is made for that payment alone, one on file must still be what it was."""
    named = [] if customer is None else [customer]
    match card:
        case None:
            return Paying(relies_on=named)
        case Vaulted() if card.is_stored:
            return Paying(changes=[_used(card.method, intent)], relies_on=named)
        case Vaulted():
            return Paying(creates=[_used(card.method, intent)], relies_on=named, sealed_number=card.sealed_number)
        case PaymentMethod():
            return Paying(relies_on=[*named, card])


def _used(method: PaymentMethod, intent: PaymentIntent) -> PaymentMethod:
    """Return a card as paying leaves it; one that is kept for later isn't used up."""
    return method if intent.future_usage is not None else method.used_for(intent.id)


def _paying(intent: PaymentIntent, card: Vaulted | PaymentMethod, customer: Customer | None) -> tuple[PaymentMethod, Paying]:
    """Pay with a card: as naming it, and one on file that has no customer pays for nothing else from now on."""
    if isinstance(card, Vaulted) or (used := _used(card, intent)) is card:
        named = naming(intent, card, customer)
        return next(iter([*named.creates, *named.changes]), card if isinstance(card, PaymentMethod) else card.method), named
    used = next_version(used)
    return used, Paying(changes=[used], relies_on=[] if customer is None else [customer])


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
    customer: Customer | None = None,
    options: Payer | None = None,
    authenticated: bool = False,
) -> tuple[Begin, OpenAttempt]:
    """Build commit 1 of a confirmation, and the work that follows it. `created`: the intent is new; `announcement`: the event that says so."""
    method, payment = _paying(intent, card, customer)
    of_card = None if options is None else options.card
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
        # Who makes a charge without an intent has nowhere to send the cardholder: it is as if they were away.
        off_session=intent.behind_charge or (options is not None and options.off_session is not False),
        error_on_requires_action=options is not None and options.error_on_requires_action,
        moto=of_card is not None and of_card.moto is True,
        authentication=of_card.three_d_secure.value() if of_card is not None and of_card.three_d_secure is not None else None,
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
        creates=[*payment.creates, intent] if created else payment.creates,
        changes=payment.changes if created else [*payment.changes, intent],
        relies_on=payment.relies_on,
        sealed_number=payment.sealed_number,
        attempt=attempt,
        pays_with=method,
        events=() if announcement is None else (announcement,),
    )
    work = OpenAttempt(
        attempt=attempt,
        intent=intent,
        payment_method=method,
        sealed_number=(card.sealed_number or None) if isinstance(card, Vaulted) else None,
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
