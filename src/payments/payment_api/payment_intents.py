"""Payment intents: create, retrieve, update, confirm, capture, cancel, list."""

import secrets
from dataclasses import dataclass

from msgspec.structs import replace

from payments.domain.attempt import AttemptKind, attempt_on
from payments.domain.charge import Charge
from payments.domain.errors import InvalidRequest, PermissionDenied
from payments.domain.event import event_of
from payments.domain.money import format_amount
from payments.domain.payment_intent import CANCELABLE, CANCELABLE_AT_STRIPE, CAPTURABLE, CONFIRMABLE, IntentStatus, PaymentIntent
from payments.domain.payment_method import PaymentMethod
from payments.domain.principal import KeyKind
from payments.payment_api.card_vault import Vaulted
from payments.payment_api.confirmation import Cards, confirmed, naming, no_card
from payments.payment_api.intent_params import (
    CancelParams,
    CaptureParams,
    ConfirmParams,
    CreateParams,
    Payer,
    automatic_payment_methods,
    check_amount,
    check_browser,
    check_payer,
    check_statement_descriptors,
    check_step,
    check_supported,
    default_capture_method,
)
from payments.payment_api.intent_update import IntentUpdate
from payments.payment_api.payment_options import check_of_confirmation
from payments.payment_api.steps import Steps, is_secret_of
from payments.runtime.ids import new_id
from payments.storage.attempts import OpenAttempt
from payments.storage.payments import Begin
from payments.wire.api import Call, Endpoint, Reply, reply
from payments.wire.idempotency import answer_id, claim_of
from payments.wire.params import merge_metadata
from payments.wire.reading import FilterId, ListParams, Reader
from payments.wire.render import render

PATH = "/v1/payment_intents"


class _ListParams(ListParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customer: FilterId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentIntents:
    """Handlers of `/v1/payment_intents`."""

    steps: Steps
    cards: Cards
    reader: Reader
    update: IntentUpdate

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints."""
        return [
            Endpoint("POST", PATH, self._create),
            Endpoint("GET", PATH, self._list),
            Endpoint("GET", f"{PATH}/{{id}}", self._retrieve, publishable=True),
            Endpoint("POST", f"{PATH}/{{id}}", self.update.handle),
            Endpoint("POST", f"{PATH}/{{id}}/confirm", self._confirm, publishable=True),
            Endpoint("POST", f"{PATH}/{{id}}/capture", self._capture),
            Endpoint("POST", f"{PATH}/{{id}}/cancel", self._cancel),
        ]

    async def _create(self, call: Call) -> Reply:
        check_supported(call)
        params = call.parse(CreateParams)
        check_payer(params)
        check_statement_descriptors(params)
        currency = check_amount(params.amount, params.currency)
        check_of_confirmation(params, confirms=params.confirm)
        if not params.confirm:
            _confirm_only(params)
        principal = call.principal
        customer = await self.cards.customer(principal.merchant_id, principal.livemode, params.customer)
        card = await self.cards.given(principal, params, customer=params.customer or None)
        if params.confirm and card is None:
            raise InvalidRequest(
                "You cannot confirm this PaymentIntent because it's missing a payment method.",
                code="parameter_missing",
                param="payment_method",
            )
        intent = self._new_intent(call, params, currency, card)
        announcement = event_of(new_id("evt"), "payment_intent.created", intent, created=intent.created, origin=call.origin)
        if card is not None and params.confirm:
            unit, work = confirmed(
                intent,
                card,
                unit=call.request_id,
                now=intent.created,
                origin=call.origin,
                claim=claim_of(call, response_event=new_id("evt")),
                created=True,
                announcement=announcement,
                customer=customer,
                options=params,
            )
            return await self.steps.take(call, unit, work)
        named = naming(intent, card, customer)
        unit = Begin(
            unit=call.request_id,
            merchant_id=principal.merchant_id,
            livemode=principal.livemode,
            claim=claim_of(call, response_event=announcement.id),
            creates=[*named.creates, intent],
            relies_on=named.relies_on,
            sealed_number=named.sealed_number,
            events=(announcement,),
        )
        return await self.steps.take(call, unit, None)

    def _new_intent(self, call: Call, params: CreateParams, currency: str, card: Vaulted | PaymentMethod | None) -> PaymentIntent:
        intent_id = new_id("pi")
        method = card.method if isinstance(card, Vaulted) else card
        return PaymentIntent(
            id=intent_id,
            merchant_id=call.principal.merchant_id,
            livemode=call.principal.livemode,
            created=int(self.steps.clock.now()),
            amount=params.amount,
            currency=currency,
            status=IntentStatus.REQUIRES_PAYMENT_METHOD if method is None else IntentStatus.REQUIRES_CONFIRMATION,
            client_secret=f"{intent_id}_secret_{secrets.token_urlsafe(18).replace('-', 'A').replace('_', 'B')}",
            capture_method=params.capture_method or default_capture_method(call.api_version),
            confirmation_method=params.confirmation_method,
            customer=params.customer or None,
            payment_method=None if method is None else method.id,
            return_url=params.return_url or None,
            description=params.description or None,
            metadata=merge_metadata({}, params.metadata),
            receipt_email=params.receipt_email or None,
            shipping=params.shipping.value() if params.shipping else None,
            statement_descriptor=params.statement_descriptor or None,
            statement_descriptor_suffix=params.statement_descriptor_suffix or None,
            transfer_group=params.transfer_group or None,
            automatic_payment_methods=automatic_payment_methods(params, call.api_version),
            allowed_payment_method_types=list(params.allowed_payment_method_types) if params.allowed_payment_method_types else None,
            excluded_payment_method_types=list(params.excluded_payment_method_types) if params.excluded_payment_method_types else None,
            **params.changes(),
        )

    async def _list(self, call: Call) -> Reply:
        params = call.parse(_ListParams)
        return await self.reader.page(call, "payment_intent", params, {"customer": params.customer}, PATH)

    async def _retrieve(self, call: Call) -> Reply:
        client_secret = call.params.pop("client_secret", None)
        call.no_parameters()
        intent = await self._find(call, client_secret)
        return await self.steps.answered(call, reply(render(intent)))

    async def _find(self, call: Call, client_secret: object) -> PaymentIntent:
        """Return the intent of the path; a browser must know its client secret."""
        if call.principal.kind is KeyKind.PUBLISHABLE:
            if not isinstance(client_secret, str):
                raise PermissionDenied("A publishable key needs the client_secret of the PaymentIntent.", param="client_secret")
            if call.expand:
                raise PermissionDenied("A publishable key can't expand properties.", param="expand")
        intent: PaymentIntent = await self.reader.get(call, "payment_intent", call.path["id"], param="intent")
        if client_secret is not None and not is_secret_of(intent, str(client_secret)):
            raise InvalidRequest(
                "The client_secret provided does not match any associated PaymentIntent on this account.", param="client_secret"
            )
        return intent

    async def _confirm(self, call: Call) -> Reply:
        check_supported(call)
        params = call.parse(ConfirmParams)
        check_payer(params)
        intent = await self._find(call, params.client_secret)
        if call.principal.kind is KeyKind.PUBLISHABLE:
            check_browser(params, intent)
        intent.expect(CONFIRMABLE, "You cannot confirm this PaymentIntent", "confirmed")
        customer = await self.cards.customer(intent.merchant_id, intent.livemode, intent.customer)
        card = await self.cards.given(call.principal, params, customer=intent.customer, intent=intent) or await self.cards.of_intent(intent)
        if card is None:
            raise no_card(intent)
        intent = replace(
            intent,
            capture_method=params.capture_method or intent.capture_method,
            return_url=intent.return_url if params.return_url is None else params.return_url or None,
            receipt_email=intent.receipt_email if params.receipt_email is None else params.receipt_email or None,
            shipping=intent.shipping if params.shipping is None else params.shipping.value() if params.shipping else None,
            **params.changes(intent, in_browser=call.principal.kind is KeyKind.PUBLISHABLE),
        )
        unit, work = confirmed(
            intent,
            card,
            unit=call.request_id,
            now=int(self.steps.clock.now()),
            origin=call.origin,
            claim=claim_of(call, response_event=new_id("evt")),
            customer=customer,
            options=params,
        )
        return await self.steps.take(call, unit, work)

    async def _capture(self, call: Call) -> Reply:
        check_supported(call)
        params = call.parse(CaptureParams)
        check_statement_descriptors(params)
        intent: PaymentIntent = await self.reader.get(call, "payment_intent", call.path["id"], param="intent")
        intent.expect(CAPTURABLE, "This PaymentIntent could not be captured", "captured")
        amount = params.amount_to_capture or intent.amount_capturable
        if params.amount_to_capture is not None:  # the rest of a hold may always be captured
            check_step(amount, intent.currency, "amount_to_capture")
        if amount > intent.amount_capturable:
            wanted, left = format_amount(amount, intent.currency), format_amount(intent.amount_capturable, intent.currency)
            raise InvalidRequest(
                f"The amount_to_capture ({wanted}) is greater than the amount that can be captured ({left}).",
                code="amount_too_large",
                param="amount_to_capture",
            )
        intent = replace(
            intent,
            metadata=merge_metadata(intent.metadata, params.metadata),
            statement_descriptor=params.statement_descriptor or intent.statement_descriptor,
            statement_descriptor_suffix=params.statement_descriptor_suffix or intent.statement_descriptor_suffix,
        )
        final = params.final_capture or amount == intent.amount_capturable
        return await self._follow_up(call, intent, AttemptKind.CAPTURE, amount, final_capture=final)

    async def _cancel(self, call: Call) -> Reply:
        params = call.parse(CancelParams)
        intent: PaymentIntent = await self.reader.get(call, "payment_intent", call.path["id"], param="intent")
        intent.expect(CANCELABLE, "You cannot cancel this PaymentIntent", "canceled", named=CANCELABLE_AT_STRIPE)
        if intent.status is IntentStatus.REQUIRES_CAPTURE:
            return await self._follow_up(
                call, intent, AttemptKind.VOID, intent.amount_capturable, cancellation_reason=params.cancellation_reason
            )
        now = int(self.steps.clock.now())
        intent = replace(
            intent,
            version=intent.version + 1,
            status=IntentStatus.CANCELED,
            canceled_at=now,
            cancellation_reason=params.cancellation_reason,
            next_action=None,
        )
        claim = claim_of(call, response_event=new_id("evt"))
        event_id = answer_id(claim)
        unit = Begin(
            unit=call.request_id,
            merchant_id=intent.merchant_id,
            livemode=intent.livemode,
            claim=claim,
            changes=[intent],
            events=(event_of(event_id, "payment_intent.canceled", intent, created=now, origin=call.origin),),
        )
        return await self.steps.take(call, unit, None)

    async def _follow_up(
        self,
        call: Call,
        intent: PaymentIntent,
        kind: AttemptKind,
        amount: int,
        *,
        final_capture: bool = True,
        cancellation_reason: str | None = None,
    ) -> Reply:
        """Have a hold captured or released."""
        charge: Charge = await self.reader.get(call, "charge", intent.latest_charge or "")
        method: PaymentMethod = await self.reader.get(call, "payment_method", charge.payment_method)
        claim = claim_of(call, response_event=new_id("evt"))
        attempt = attempt_on(
            intent,
            kind,
            new_id("att"),
            created=int(self.steps.clock.now()),
            charge=charge.id,
            amount=amount,
            payment_method=method.id,
            outcome_event=answer_id(claim),
            final_capture=final_capture,
            cancellation_reason=cancellation_reason,
            origin=call.origin,
        )
        intent = replace(intent, version=intent.version + 1, open_attempt=attempt.id)
        unit = Begin(
            unit=call.request_id,
            merchant_id=intent.merchant_id,
            livemode=intent.livemode,
            claim=claim,
            changes=[intent],
            relies_on=[charge],
            attempt=attempt,
        )
        return await self.steps.take(call, unit, OpenAttempt(attempt=attempt, intent=intent, payment_method=method, charge=charge))


def _confirm_only(params: Payer) -> None:
    for name in ("return_url", "off_session", "error_on_requires_action"):
        if getattr(params, name):
            raise InvalidRequest(
                f"You cannot set {name} when confirm is not set to true. Confirm the PaymentIntent, or give {name} when you confirm it.",
                code="parameter_invalid_value",
                param=name,
            )
