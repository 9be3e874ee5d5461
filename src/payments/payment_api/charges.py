"""Charges: create without a payment intent, capture, retrieve, update, list."""

from dataclasses import dataclass
from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from payments.domain.attempt import AttemptKind, attempt_on
from payments.domain.charge import Charge
from payments.domain.customer import Customer
from payments.domain.errors import CardError, InvalidRequest, NotFound, NotLinked
from payments.domain.money import format_amount
from payments.domain.payment_intent import BEHIND_CHARGE, CAPTURABLE, IntentStatus, PaymentIntent
from payments.domain.payment_method import PaymentMethod
from payments.domain.payment_options import RadarOptions
from payments.domain.resource import next_version
from payments.payment_api.card_hash import Source, SourceHash, SourceParam, given_source
from payments.payment_api.card_vault import Vaulted
from payments.payment_api.confirmation import Cards, confirmed
from payments.payment_api.given_card import Id
from payments.payment_api.intent_params import Amount, check_amount, check_statement_descriptors, check_step
from payments.payment_api.steps import Steps, client_secret_of
from payments.runtime.ids import new_id
from payments.storage.attempts import OpenAttempt
from payments.storage.payments import Begin
from payments.wire.api import Call, Endpoint, Endpoints, Reply
from payments.wire.changes import HashParam, changed, made
from payments.wire.idempotency import answer_id, claim_of
from payments.wire.kind import Shown
from payments.wire.kinds import CHARGE, DISPUTE, PAYMENT_METHOD, REFUND
from payments.wire.objects import Objects
from payments.wire.params import MetadataParam, NoParams, ShortText, Text
from payments.wire.people_params import ShippingParam
from payments.wire.reading import FilterId, ListParams, PageParams, Reader
from payments.wire.rendering import render
from payments.wire.resource import listing, retrieve

_REFUNDS = f"{CHARGE.path}/{{id}}/refunds"


class _RadarParam(HashParam, frozen=True, kw_only=True):
    OF = RadarOptions

    session: Text | UnsetType = UNSET


class _CreateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    amount: Amount
    currency: str
    capture: bool = True
    card: SourceParam | None = None
    """What `source` was called before there were others."""
    customer: Id | UnsetType = UNSET
    description: Text | UnsetType = UNSET
    metadata: MetadataParam | UnsetType = UNSET
    radar_options: _RadarParam | UnsetType = UNSET
    receipt_email: ShortText | UnsetType = UNSET
    shipping: ShippingParam | Literal[""] | UnsetType = UNSET
    source: SourceParam | None = None
    statement_descriptor: str | UnsetType = UNSET
    statement_descriptor_suffix: str | UnsetType = UNSET
    transfer_group: ShortText | UnsetType = UNSET


class _CaptureParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    amount: Amount | None = None
    receipt_email: ShortText | UnsetType = UNSET
    statement_descriptor: str | UnsetType = UNSET
    statement_descriptor_suffix: str | UnsetType = UNSET
    transfer_group: ShortText | UnsetType = UNSET


class _FraudDetailsParam(Struct, frozen=True, forbid_unknown_fields=True):
    user_report: Literal["fraudulent", "safe", ""]


class _UpdateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    description: Text | UnsetType = UNSET
    fraud_details: _FraudDetailsParam | UnsetType = UNSET
    metadata: MetadataParam | UnsetType = UNSET
    receipt_email: ShortText | UnsetType = UNSET
    shipping: ShippingParam | Literal[""] | UnsetType = UNSET
    transfer_group: ShortText | UnsetType = UNSET


class _ListParams(ListParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customer: FilterId | None = None
    payment_intent: FilterId | None = None
    transfer_group: FilterId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Charges:
    """`/v1/charges`. A charge that is made here has an intent behind it that isn't shown, so that it takes the way of every payment."""

    steps: Steps
    cards: Cards
    objects: Objects
    reader: Reader

    def endpoints(self) -> Endpoints:
        """What may be called."""
        one = f"{CHARGE.path}/{{id}}"
        return [
            Endpoint("POST", CHARGE.path, _CreateParams, self._create),
            listing(self.reader, CHARGE, _ListParams),
            retrieve(self.reader, CHARGE),
            Endpoint("POST", one, _UpdateParams, self._update),
            Endpoint("POST", f"{one}/capture", _CaptureParams, self._capture),
            Endpoint("GET", _REFUNDS, PageParams, self._refunds),
            Endpoint("GET", f"{_REFUNDS}/{{refund}}", NoParams, self._refund),
            Endpoint("GET", f"{CHARGE.path}/{{id}}/dispute", NoParams, self._dispute, shows=Shown(DISPUTE.name)),
        ]

    async def _create(self, call: Call, params: _CreateParams) -> Reply:
        check_statement_descriptors(params)
        currency = check_amount(params.amount, params.currency)
        principal = call.principal
        customer = await self.cards.customer(principal.merchant_id, principal.livemode, params.customer or None)
        card = await self._card(call, params, customer)
        intent_id = new_id(BEHIND_CHARGE)
        intent = made(
            PaymentIntent(
                id=intent_id,
                merchant_id=principal.merchant_id,
                livemode=principal.livemode,
                created=int(self.steps.clock.now()),
                amount=params.amount,
                currency=currency,
                status=IntentStatus.REQUIRES_CONFIRMATION,
                client_secret=client_secret_of(intent_id),
                capture_method="automatic" if params.capture else "manual",
            ),
            params,
            currency=currency,
        )
        unit, work = confirmed(
            intent,
            card,
            unit=call.request_id,
            now=intent.created,
            origin=call.origin,
            claim=claim_of(call, response_event=new_id("evt")),
            created=True,
            customer=customer,
        )
        return await self.steps.take(call, unit, work, answers=CHARGE.name)

    async def _card(self, call: Call, params: _CreateParams, customer: Customer | None) -> Vaulted | PaymentMethod:
        """Return what is charged: what is given, or the customer's default; raises `InvalidRequest`, `ResourceMissing`, `CardError`."""
        source, param = given_source(params.source, params.card)
        if customer is not None:
            return await self._of_customer(call, customer, source, param)
        match source:
            case SourceHash():
                return await self.cards.new(call.principal, source.card(), source.details(), param=param)
            case str():
                return await self.cards.of_token(call.principal, source, param=param)
            case None:
                raise InvalidRequest("Must provide source or customer.", code="parameter_missing", param="source")

    async def _of_customer(self, call: Call, customer: Customer, source: Source | None, param: str) -> PaymentMethod:
        """Return a card on file: the one that is named, or the default. A new one would have to be kept first."""
        card_id = source
        if card_id is None:
            card_id, param = customer.default_source or customer.default_payment_method, "customer"
            if card_id is None:
                raise CardError("Cannot charge a customer that has no active card", code="missing", param="card")
        method = await self.reader.find(call, PAYMENT_METHOD, card_id) if isinstance(card_id, str) else None
        if method is None or method.customer != customer.id:
            what = f"ID {card_id[:100]}" if isinstance(card_id, str) else "this number"
            raise NotLinked(customer.id, what, param=param)
        return method

    async def _update(self, call: Call, params: _UpdateParams) -> Reply:
        before = await self.reader.get(call, CHARGE, call.path["id"])
        _check_group(before, params.transfer_group)
        reported = {} if params.fraud_details is UNSET else {"fraud_report": params.fraud_details.user_report or None}
        return await self.objects.change(call, before, changed(before, params, **reported))

    async def _capture(self, call: Call, params: _CaptureParams) -> Reply:
        check_statement_descriptors(params)
        charge = await self.reader.get(call, CHARGE, call.path["id"])
        if not charge.alone:
            if charge.captured:
                raise _not_capturable(charge)
            raise InvalidRequest(
                f"This uncaptured Charge was created by a PaymentIntent ({charge.payment_intent}). You must capture the PaymentIntent instead."
            )
        intent = await self.reader.intent_of(call, charge)
        if intent.status not in CAPTURABLE:
            raise _not_capturable(await self.reader.get(call, CHARGE, charge.id))  # as it is by now: what the intent says may be newer
        amount = params.amount or intent.amount_capturable
        if params.amount is not None:  # all of a hold may always be captured
            check_step(amount, intent.currency, "amount")
        if amount > intent.amount_capturable:
            raise InvalidRequest(
                f"The amount ({format_amount(amount, intent.currency)}) is greater than what can be captured of charge {charge.id} "
                f"({format_amount(intent.amount_capturable, intent.currency)}).",
                code="amount_too_large",
                param="amount",
            )
        method = await self.reader.get(call, PAYMENT_METHOD, charge.payment_method)
        claim = claim_of(call, response_event=new_id("evt"))
        attempt = attempt_on(
            intent,
            AttemptKind.CAPTURE,
            new_id("att"),
            created=int(self.steps.clock.now()),
            charge=charge.id,
            amount=amount,
            payment_method=method.id,
            outcome_event=answer_id(claim),
            origin=call.origin,
        )
        intent = next_version(intent, open_attempt=attempt.id)
        _check_group(charge, params.transfer_group)
        said = (params.receipt_email, params.statement_descriptor, params.statement_descriptor_suffix, params.transfer_group)
        printed = changed(charge, params, amount=charge.amount) if any(each is not UNSET for each in said) else charge
        unit = Begin(
            unit=call.request_id,
            merchant_id=intent.merchant_id,
            livemode=intent.livemode,
            claim=claim,
            changes=[intent] if printed is charge else [intent, printed],
            relies_on=[charge] if printed is charge else [],
            attempt=attempt,
        )
        work = OpenAttempt(attempt=attempt, intent=intent, payment_method=method, charge=printed)
        return await self.steps.take(call, unit, work, answers=CHARGE.name)

    async def _refunds(self, call: Call, params: PageParams) -> Reply:
        """Answer with what `charge.refunds` is the first page of."""
        charge = await self.reader.get(call, CHARGE, call.path["id"])
        return await self.reader.page(call, REFUND, params, _REFUNDS.format(id=charge.id), charge=charge.id)

    async def _refund(self, call: Call, _: NoParams) -> Reply:
        refund = await self.reader.get(call, REFUND, call.path["refund"])
        if refund.charge != call.path["id"]:
            raise NotFound(REFUND.named, refund.id, param=REFUND.param)
        return await self.reader.answer(call, render(refund))

    async def _dispute(self, call: Call, _: NoParams) -> Reply:
        charge = await self.reader.get(call, CHARGE, call.path["id"])
        if charge.dispute is None:
            raise NotFound(DISPUTE.named, charge.id, param="charge")
        return await self.reader.show(call, DISPUTE, charge.dispute)


def _check_group(charge: Charge, given: str | UnsetType) -> None:
    """Raise `InvalidRequest` for another group than a charge has."""
    if given is not UNSET and charge.transfer_group not in (None, given):
        raise InvalidRequest(
            f"Charge {charge.id} has a transfer_group already ({charge.transfer_group}), which can't be changed.", param="transfer_group"
        )


def _not_capturable(charge: Charge) -> InvalidRequest:
    """Say why nothing is left to be captured."""
    if charge.captured:
        return InvalidRequest(f"Charge {charge.id} has already been captured.", code="charge_already_captured")
    if charge.refunded:
        return InvalidRequest(f"Charge {charge.id} has already been refunded.", code="charge_already_refunded")
    if charge.status == "succeeded":
        return InvalidRequest(f"Charge {charge.id} has expired: its hold was given up.", code="charge_expired_for_capture")
    return InvalidRequest(f"Charge {charge.id} cannot be captured because its status is {charge.status}.", param="charge")
