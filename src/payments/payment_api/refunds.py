"""Refunds: create, retrieve, update, list."""

from dataclasses import dataclass, replace
from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from payments.domain.attempt import AttemptKind, attempt_on
from payments.domain.charge import Charge
from payments.domain.errors import InvalidRequest, ObjectLocked
from payments.domain.money import format_amount
from payments.domain.payment_intent import IntentStatus, PaymentIntent
from payments.domain.refund import Refund
from payments.domain.resource import next_version
from payments.payment_api.given_card import Id
from payments.payment_api.intent_params import Amount, check_step
from payments.payment_api.steps import Steps
from payments.runtime.ids import new_id
from payments.storage.attempts import OpenAttempt
from payments.storage.payments import Begin
from payments.wire.api import Call, Endpoint, Endpoints, Reply
from payments.wire.changes import merge_metadata
from payments.wire.expansion import check_expandable
from payments.wire.idempotency import answer_id, claim_of
from payments.wire.kinds import CHARGE, PAYMENT_INTENT, PAYMENT_METHOD, REFUND
from payments.wire.objects import Objects
from payments.wire.params import MetadataParam, NoParams
from payments.wire.reading import FilterId, ListParams, Reader
from payments.wire.resource import listing, retrieve, update


class _OfChargeParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    amount: Amount | None = None
    reason: Literal["duplicate", "fraudulent", "requested_by_customer"] | None = None
    metadata: MetadataParam | UnsetType = UNSET


class _CreateParams(_OfChargeParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    charge: Id | None = None
    payment_intent: Id | None = None


class _UpdateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    metadata: MetadataParam | UnsetType = UNSET


class _ListParams(ListParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    charge: FilterId | None = None
    payment_intent: FilterId | None = None


@dataclass(frozen=True, slots=True)
class Refunds:
    """`/v1/refunds`."""

    steps: Steps
    objects: Objects
    reader: Reader

    def endpoints(self) -> Endpoints:
        """What may be called."""
        return [
            Endpoint("POST", REFUND.path, _CreateParams, self._create),
            Endpoint("POST", f"{CHARGE.path}/{{id}}/refunds", _OfChargeParams, self._create_of_charge),
            listing(self.reader, REFUND, _ListParams),
            retrieve(self.reader, REFUND),
            update(self.objects, REFUND, _UpdateParams),
            Endpoint("POST", f"{REFUND.path}/{{id}}/cancel", NoParams, self._cancel),
            Endpoint("POST", f"{CHARGE.path}/{{id}}/refund", _OfChargeParams, self._refund_charge),
        ]

    async def _create(self, call: Call, params: _CreateParams) -> Reply:
        intent, charge = await self._paid(call, params)
        return await self._return(call, params, intent, charge)

    async def _create_of_charge(self, call: Call, params: _OfChargeParams) -> Reply:
        charge = await self.reader.get(call, CHARGE, call.path["id"])
        return await self._return(call, params, await self.reader.intent_of(call, charge), charge)

    async def _refund_charge(self, call: Call, params: _OfChargeParams) -> Reply:
        """Do the same in its older spelling, which answers with the charge: as it is by then, like what is expanded."""
        check_expandable(call, CHARGE.name)
        await self._create_of_charge(replace(call, expand=[]), params)
        return await self.reader.show(call, CHARGE, call.path["id"])

    async def _cancel(self, call: Call, _: NoParams) -> Reply:
        """Refuse: what waits for the customer can be canceled, and no refund to a card does."""
        refund = await self.reader.get(call, REFUND, call.path["id"])
        raise InvalidRequest(
            f"Refund {refund.id} cannot be canceled because its status is {refund.status}. Only a refund with a status of requires_action can be "
            "canceled, and refunds to cards have none.",
            param="refund",
        )

    async def _return(self, call: Call, params: _OfChargeParams, intent: PaymentIntent, charge: Charge) -> Reply:
        if charge.alone and charge.paid and not charge.captured:
            return await self._release(call, params, intent, charge)
        if intent.status is IntentStatus.SUCCEEDED and intent.open_attempt is not None:
            # The previous version's code refunds it: its charge doesn't count that yet, so what is left isn't known.
            raise ObjectLocked
        amount = _refundable(charge, params.amount)
        # The intent stays as it is: a refund may take days at a bank, and nothing else waits for it. The charge counts it from now on.
        return await self._begin(call, params, AttemptKind.REFUND, intent, charge, charge.with_refunded(amount), amount)

    async def _release(self, call: Call, params: _OfChargeParams, intent: PaymentIntent, charge: Charge) -> Reply:
        """Give up the hold of a charge that was made without an intent, which could be canceled instead."""
        if intent.status is IntentStatus.SUCCEEDED:  # it was captured since the charge was read
            raise ObjectLocked
        if charge.refunded or intent.status is not IntentStatus.REQUIRES_CAPTURE:
            raise _refunded_already(charge)
        if params.amount not in (None, charge.amount):
            raise InvalidRequest(
                f"Charge {charge.id} has not been captured yet: its hold can be released as a whole only. Capture a part of it to release the rest.",
                param="amount",
            )
        return await self._begin(call, params, AttemptKind.VOID, intent, charge, charge.released(), charge.amount)

    async def _begin(
        self, call: Call, params: _OfChargeParams, kind: AttemptKind, intent: PaymentIntent, charge: Charge, counted: Charge, amount: int
    ) -> Reply:
        """Return `amount` minor units, or release them; `counted`: the charge as it shall be."""
        method = await self.reader.get(call, PAYMENT_METHOD, charge.payment_method)
        releases = kind is AttemptKind.VOID
        refund = Refund(
            **self.objects.identity(call, REFUND),
            amount=amount,
            currency=charge.currency,
            status="pending",
            charge=charge.id,
            payment_intent=intent.id,
            payment_method=charge.payment_method,
            customer=charge.customer,
            reason=params.reason,
            metadata=merge_metadata({}, params.metadata or {}),
            releases=releases,
        )
        claim = claim_of(call, response_event=new_id("evt"))
        attempt = attempt_on(
            intent,
            kind,
            new_id("att"),
            created=refund.created,
            charge=charge.id,
            amount=amount,
            payment_method=charge.payment_method,
            refund=refund.id,
            outcome_event=answer_id(claim),
            origin=call.origin,
        )
        held = next_version(intent, open_attempt=attempt.id) if releases else intent
        unit = Begin(
            unit=call.request_id,
            merchant_id=charge.merchant_id,
            livemode=charge.livemode,
            claim=claim,
            creates=[refund],
            changes=[held, counted] if releases else [counted],
            attempt=attempt,
        )
        work = OpenAttempt(attempt=attempt, intent=held, payment_method=method, charge=counted, refund=refund)
        return await self.steps.take(call, unit, work, answers=REFUND.name)

    async def _paid(self, call: Call, params: _CreateParams) -> tuple[PaymentIntent, Charge]:
        """Return what is to be refunded."""
        if (params.charge is None) == (params.payment_intent is None):
            raise InvalidRequest(
                "One of the following params should be provided for this request: payment_intent or charge.", code="parameter_missing"
            )
        if params.payment_intent is not None:
            intent = await self.reader.get(call, PAYMENT_INTENT, params.payment_intent, param="payment_intent")
            if intent.latest_charge is None:
                raise _nothing_to_refund(intent.id)
            return intent, await self.reader.get(call, CHARGE, intent.latest_charge)
        # As if the path had named it, which is what Stripe answers here.
        charge = await self.reader.get(call, CHARGE, params.charge or "")
        return await self.reader.intent_of(call, charge), charge


def _nothing_to_refund(intent_id: str) -> InvalidRequest:
    return InvalidRequest(f"This PaymentIntent ({intent_id}) does not have a successful charge to refund.")


def _refunded_already(charge: Charge) -> InvalidRequest:
    return InvalidRequest(f"Charge {charge.id} has already been refunded.", code="charge_already_refunded")


def _refundable(charge: Charge, amount: int | None) -> int:
    """Return how much is refunded; raises `InvalidRequest`."""
    if charge.status == "pending":
        raise InvalidRequest(f"Charge {charge.id} is pending: what there is to refund isn't known yet.", param="charge")
    if not charge.paid:
        if charge.alone:
            raise InvalidRequest(f"Charge {charge.id} was declined: there is nothing to refund.", param="charge")
        raise _nothing_to_refund(charge.payment_intent)
    if not charge.captured:
        raise InvalidRequest(
            f"This uncaptured Charge was created by a PaymentIntent ({charge.payment_intent}). You must cancel the PaymentIntent to reverse the "
            "authorization instead of refunding the Charge directly."
        )
    if charge.charged_back:
        raise InvalidRequest(f"Charge {charge.id} has been charged back; cannot issue a refund.", code="charge_disputed")
    left = charge.amount_captured - charge.amount_refunded
    if amount is not None:  # what is left may always be returned
        check_step(amount, charge.currency, "amount")
    if left == 0:
        raise _refunded_already(charge)
    if amount is not None and amount > left:
        shown, unrefunded = format_amount(amount, charge.currency), format_amount(left, charge.currency)
        raise InvalidRequest(f"Refund amount ({shown}) is greater than unrefunded amount on charge ({unrefunded})", param="amount")
    return amount or left
