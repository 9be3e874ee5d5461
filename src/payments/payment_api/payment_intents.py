"""Payment intents: create, retrieve, update, confirm, capture, cancel, list."""

from dataclasses import dataclass

from msgspec import UNSET, Struct
from msgspec.structs import replace

from payments.domain.attempt import AttemptKind, attempt_on
from payments.domain.charge import Charge
from payments.domain.confirmation_token import ConfirmationToken
from payments.domain.errors import InvalidRequest
from payments.domain.event import event_of
from payments.domain.money import format_amount
from payments.domain.payment_intent import CANCELABLE, CANCELABLE_AT_STRIPE, CAPTURABLE, CONFIRMABLE, IntentStatus, PaymentIntent
from payments.domain.payment_method import PaymentMethod
from payments.domain.payment_options import AmountDetails
from payments.domain.principal import KeyKind
from payments.domain.resource import next_version
from payments.payment_api.amount_details import of_capture, of_increment, with_details
from payments.payment_api.card_vault import Vaulted
from payments.payment_api.confirmation import Cards, confirmed, confirmed_by, naming, no_card
from payments.payment_api.given_card import automatic_payment_methods, check_given_card, check_version_takes, with_token
from payments.payment_api.intent_params import (
    CancelParams,
    CaptureParams,
    ConfirmParams,
    CreateParams,
    IncrementParams,
    Payer,
    UpdateParams,
    check_amount,
    check_browser,
    check_statement_descriptors,
    check_step,
    default_capture_method,
)
from payments.payment_api.intent_update import IntentUpdate
from payments.payment_api.payment_options import check_of_confirmation
from payments.payment_api.steps import Steps, check_browser_knows, check_secret, client_secret_of
from payments.runtime.ids import new_id
from payments.storage.attempts import OpenAttempt
from payments.storage.payments import Begin
from payments.wire.api import Call, Endpoint, Endpoints, Reply, reply
from payments.wire.changes import made
from payments.wire.idempotency import answer_id, claim_of
from payments.wire.kind import Shown
from payments.wire.kinds import CHARGE, PAYMENT_INTENT, PAYMENT_METHOD
from payments.wire.params import Text
from payments.wire.reading import FilterId, ListParams, PageParams, Reader, page_of_these
from payments.wire.render_amount import LINE, lines_url, render_lines
from payments.wire.rendering import render
from payments.wire.resource import listing

INCREMENTS_MAX = 10
"""Of one authorization, the refused ones included. Source: Stripe, "Increment an authorization"."""


class _ListParams(ListParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customer: FilterId | None = None


class LinesParams(PageParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of what is bought."""


class _RetrieveParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    client_secret: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentIntents:
    """`/v1/payment_intents`."""

    steps: Steps
    cards: Cards
    reader: Reader
    update: IntentUpdate

    def endpoints(self) -> Endpoints:
        """What may be called."""
        one = f"{PAYMENT_INTENT.path}/{{id}}"
        return [
            Endpoint("POST", PAYMENT_INTENT.path, CreateParams, self._create),
            listing(self.reader, PAYMENT_INTENT, _ListParams),
            Endpoint("GET", one, _RetrieveParams, self._retrieve, publishable=True),
            Endpoint("POST", one, UpdateParams, self.update.handle),
            Endpoint("POST", f"{one}/confirm", ConfirmParams, self._confirm, publishable=True),
            Endpoint("POST", f"{one}/capture", CaptureParams, self._capture),
            Endpoint("POST", f"{one}/increment_authorization", IncrementParams, self._increment),
            Endpoint("POST", f"{one}/cancel", CancelParams, self._cancel),
            Endpoint("GET", f"{one}/amount_details_line_items", LinesParams, self._lines, shows=Shown(LINE, listed=True)),
        ]

    async def _create(self, call: Call, params: CreateParams) -> Reply:
        check_version_takes(call, params)
        check_given_card(params)
        check_statement_descriptors(params)
        currency = check_amount(params.amount, params.currency)
        principal = call.principal
        token = await self.cards.confirmation_token(principal, params.confirmation_token)
        if not params.confirm:
            _confirm_only(params)
        params = with_token(params, token)
        check_of_confirmation(params, confirms=params.confirm)
        customer = await self.cards.customer(principal.merchant_id, principal.livemode, params.customer or None)
        card = await self.cards.given(principal, params, customer=params.customer or None, token=token)
        if params.confirm and card is None:
            raise InvalidRequest(
                "You cannot confirm this PaymentIntent because it's missing a payment method.",
                code="parameter_missing",
                param="payment_method",
            )
        intent = _shipped(self._new_intent(call, params, currency, card), params, token)
        card = confirmed_by(card, token, intent.id)
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
            changes=named.changes,
            relies_on=named.relies_on,
            sealed_number=named.sealed_number,
            events=(announcement,),
        )
        return await self.steps.take(call, unit, None)

    def _new_intent(self, call: Call, params: CreateParams, currency: str, card: Vaulted | PaymentMethod | None) -> PaymentIntent:
        intent_id = new_id(PAYMENT_INTENT.noun.prefix)
        method = card.method if isinstance(card, Vaulted) else card
        intent = PaymentIntent(
            id=intent_id,
            merchant_id=call.principal.merchant_id,
            livemode=call.principal.livemode,
            created=int(self.steps.clock.now()),
            amount=params.amount,
            currency=currency,
            status=IntentStatus.REQUIRES_PAYMENT_METHOD if method is None else IntentStatus.REQUIRES_CONFIRMATION,
            client_secret=client_secret_of(intent_id),
            capture_method=default_capture_method(call.api_version),
        )
        intent = made(
            intent,
            params,
            currency=currency,
            payment_method=None if method is None else method.id,
            automatic_payment_methods=automatic_payment_methods(params, params.automatic_payment_methods, call.api_version),
            **params.changes(),
        )
        return with_details(intent, params.amount_details)

    async def _retrieve(self, call: Call, params: _RetrieveParams) -> Reply:
        return await self.steps.answered(call, reply(render(await self._find(call, params.client_secret))))

    async def _lines(self, call: Call, params: LinesParams) -> Reply:
        intent = await self.reader.get(call, PAYMENT_INTENT, call.path["id"])
        lines = render_lines(intent)
        return await page_of_these(LINE, lines, params, lines_url(intent))

    async def _find(self, call: Call, client_secret: str | None) -> PaymentIntent:
        """Return the intent of the path; a browser must know its client secret."""
        check_browser_knows(call, client_secret, "PaymentIntent")
        intent = await self.reader.get(call, PAYMENT_INTENT, call.path["id"])
        check_secret(intent, client_secret, "PaymentIntent")
        return intent

    async def _confirm(self, call: Call, params: ConfirmParams) -> Reply:
        check_version_takes(call, params)
        check_given_card(params)
        intent = await self._find(call, params.client_secret)
        token = await self.cards.confirmation_token(call.principal, params.confirmation_token)
        params = with_token(params, token)
        if call.principal.kind is KeyKind.PUBLISHABLE:
            check_browser(params, intent)
        intent.expect(CONFIRMABLE, "You cannot confirm this PaymentIntent", "confirmed")
        customer = await self.cards.customer(intent.merchant_id, intent.livemode, intent.customer)
        given = await self.cards.given(call.principal, params, customer=intent.customer, intent=intent, token=token)
        card = confirmed_by(given, token, intent.id) or await self.cards.of_intent(intent)
        if card is None:
            raise no_card(intent)
        intent = made(
            intent,
            params,
            payment_method=intent.payment_method,
            client_secret=intent.client_secret,
            **params.changes(intent, in_browser=call.principal.kind is KeyKind.PUBLISHABLE),
        )
        if params.amount_details is not UNSET:
            intent = with_details(intent, params.amount_details)
        intent = _shipped(intent, params, token)
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

    async def _capture(self, call: Call, params: CaptureParams) -> Reply:
        check_statement_descriptors(params)
        intent = await self.reader.get(call, PAYMENT_INTENT, call.path["id"])
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
        details = of_capture(intent, params.amount_details, amount)
        intent = made(intent, params, amount_details=intent.amount_details)
        final = params.final_capture or amount == intent.amount_capturable
        return await self._follow_up(call, intent, AttemptKind.CAPTURE, amount, params, final_capture=final, amount_details=details)

    async def _increment(self, call: Call, params: IncrementParams) -> Reply:
        check_statement_descriptors(params)
        intent = await self.reader.get(call, PAYMENT_INTENT, call.path["id"])
        intent.expect(CAPTURABLE, "This PaymentIntent's authorization could not be incremented", "incremented")
        options = intent.card_options
        if options is None or options.request_incremental_authorization != "if_available":
            raise InvalidRequest(
                "This PaymentIntent is not eligible for incremental authorization: confirm it with "
                "payment_method_options[card][request_incremental_authorization] set to if_available.",
                code="charge_not_incrementable",
            )
        check_amount(params.amount, intent.currency)
        if params.amount <= intent.amount:
            raise InvalidRequest(
                f"The amount must be greater than what is authorized already ({format_amount(intent.amount, intent.currency)}).",
                code="amount_too_small",
                param="amount",
            )
        if intent.increments >= INCREMENTS_MAX:
            raise InvalidRequest(f"An authorization can be incremented {INCREMENTS_MAX} times at most.", code="increments_exhausted")
        details = of_increment(intent, params.amount_details, params.amount)
        intent = made(intent, params, amount=intent.amount, amount_details=intent.amount_details, increments=intent.increments + 1)
        return await self._follow_up(call, intent, AttemptKind.INCREMENT, params.amount, params, amount_details=details)

    async def _cancel(self, call: Call, params: CancelParams) -> Reply:
        intent = await self.reader.get(call, PAYMENT_INTENT, call.path["id"])
        intent.expect(CANCELABLE, "You cannot cancel this PaymentIntent", "canceled", named=CANCELABLE_AT_STRIPE)
        if intent.status is IntentStatus.REQUIRES_CAPTURE:
            return await self._follow_up(
                call, intent, AttemptKind.VOID, intent.amount_capturable, params, cancellation_reason=params.cancellation_reason
            )
        now = int(self.steps.clock.now())
        intent = next_version(
            intent,
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
        params: Struct,
        *,
        final_capture: bool = True,
        cancellation_reason: str | None = None,
        amount_details: AmountDetails | None = None,
    ) -> Reply:
        """Have a hold captured, made larger, or released."""
        charge = await self.reader.get(call, CHARGE, intent.latest_charge or "")
        printed = _printed(charge, params)
        method = await self.reader.get(call, PAYMENT_METHOD, charge.payment_method)
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
            amount_details=amount_details,
            origin=call.origin,
        )
        intent = next_version(intent, open_attempt=attempt.id)
        unit = Begin(
            unit=call.request_id,
            merchant_id=intent.merchant_id,
            livemode=intent.livemode,
            claim=claim,
            changes=[intent] if printed is charge else [intent, printed],
            relies_on=[charge] if printed is charge else [],
            attempt=attempt,
        )
        return await self.steps.take(call, unit, OpenAttempt(attempt=attempt, intent=intent, payment_method=method, charge=printed))


def _printed(charge: Charge, params: Struct) -> Charge:
    """Return the charge with what shall stand on the cardholder's statement from now on, if a call says so."""
    given = {name: getattr(params, name, UNSET) for name in ("statement_descriptor", "statement_descriptor_suffix")}
    said = {name: text or None for name, text in given.items() if text is not UNSET}
    return next_version(charge, **said) if said else charge


def _shipped(intent: PaymentIntent, params: Payer, token: ConfirmationToken | None) -> PaymentIntent:
    """Have the goods sent where a confirmation token says, unless the call says it."""
    return intent if token is None or token.shipping is None or params.shipping is not UNSET else replace(intent, shipping=token.shipping)


def _confirm_only(params: CreateParams) -> None:
    for name in ("confirmation_token", "return_url", "off_session", "error_on_requires_action"):
        if getattr(params, name):
            raise InvalidRequest(
                f"You cannot set {name} when confirm is not set to true. Confirm the PaymentIntent, or give {name} when you confirm it.",
                param=name,
            )
