"""Setup intents: create, retrieve, update, confirm, cancel, list; their attempts, and the mandates that come of them."""

from dataclasses import dataclass
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from payments.domain.errors import InvalidRequest
from payments.domain.payment_method import PaymentMethod
from payments.domain.payment_options import CardOptions
from payments.domain.principal import KeyKind
from payments.domain.resource import next_version
from payments.domain.setup_intent import SetupAttempt, SetupIntent, SetupStatus
from payments.payment_api.card_vault import Vaulted
from payments.payment_api.confirmation import Cards, confirmed_by
from payments.payment_api.given_card import (
    AutomaticPaymentMethodsParam,
    GivenCard,
    Id,
    automatic_payment_methods,
    check_given_card,
    check_version_takes,
    with_token,
)
from payments.payment_api.intent_params import Description
from payments.payment_api.keeping import Keeping, store_card
from payments.payment_api.payment_options import AuthenticationParam, MandateDataParam, Network
from payments.payment_api.steps import check_browser_knows, check_secret, client_secret_of
from payments.storage.database import Connection
from payments.storage.events import append_events
from payments.storage.versions import require_unmoved
from payments.wire.api import Call, Endpoint, Endpoints, Reply, reply
from payments.wire.changes import changed, made
from payments.wire.errors import NOT_TO_BE_RETRIED, setup_failed_body
from payments.wire.kinds import MANDATE, SETUP_ATTEMPT, SETUP_INTENT
from payments.wire.objects import Objects
from payments.wire.params import MetadataParam, Text
from payments.wire.reading import FilterId, ListParams, Reader
from payments.wire.rendering import render
from payments.wire.resource import listing, retrieve


class _CardOptionsParam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    moto: bool | None = None
    network: Network | None = None
    request_three_d_secure: Literal["any", "automatic", "challenge"] | None = None
    three_d_secure: AuthenticationParam | None = None


class _OptionsParam(Struct, frozen=True, forbid_unknown_fields=True):
    card: _CardOptionsParam = _CardOptionsParam()


class _Params(GivenCard, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What create, update and confirm have in common."""

    payment_method_options: _OptionsParam = _OptionsParam()

    def card_options(self, kept: CardOptions | None) -> CardOptions | None:
        """Return how the card is treated, as it shall be."""
        card = self.payment_method_options.card
        given = {name: value for name in ("network", "request_three_d_secure") if (value := getattr(card, name)) is not None}
        return replace(kept or CardOptions(), **given) if given else kept


class _UpdateParams(_Params, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customer: Id | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    metadata: MetadataParam | UnsetType = UNSET


class _CreateParams(_UpdateParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    automatic_payment_methods: AutomaticPaymentMethodsParam | UnsetType = UNSET
    confirm: bool = False
    confirmation_token: Id | None = None
    mandate_data: MandateDataParam | Literal[""] | UnsetType = UNSET
    usage: Literal["off_session", "on_session"] | UnsetType = UNSET


class _ConfirmParams(_Params, frozen=True, kw_only=True, forbid_unknown_fields=True):
    confirmation_token: Id | None = None
    client_secret: Text | None = None
    mandate_data: MandateDataParam | Literal[""] | UnsetType = UNSET


class _RetrieveParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    client_secret: Text | None = None


class _CancelParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    cancellation_reason: Literal["abandoned", "duplicate", "requested_by_customer"] | None = None


class _ListParams(ListParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customer: FilterId | None = None
    payment_method: FilterId | None = None


class _AttemptListParams(ListParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    setup_intent: FilterId


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupIntents:
    """`/v1/setup_intents`, `/v1/setup_attempts`, `/v1/mandates`."""

    objects: Objects
    reader: Reader
    cards: Cards
    keeping: Keeping

    def endpoints(self) -> Endpoints:
        """What may be called."""
        one = f"{SETUP_INTENT.path}/{{id}}"
        return [
            Endpoint("POST", SETUP_INTENT.path, _CreateParams, self._create),
            listing(self.reader, SETUP_INTENT, _ListParams),
            Endpoint("GET", one, _RetrieveParams, self._retrieve, publishable=True),
            Endpoint("POST", one, _UpdateParams, self._update),
            Endpoint("POST", f"{one}/confirm", _ConfirmParams, self._confirm, publishable=True),
            Endpoint("POST", f"{one}/cancel", _CancelParams, self._cancel),
            listing(self.reader, SETUP_ATTEMPT, _AttemptListParams),
            retrieve(self.reader, MANDATE),
        ]

    async def _create(self, call: Call, params: _CreateParams) -> Reply:
        check_version_takes(call, params)
        check_given_card(params)
        principal = call.principal
        token = await self.cards.confirmation_token(principal, params.confirmation_token)
        if not params.confirm:
            _confirm_only(params)
        customer = await self.cards.customer(principal.merchant_id, principal.livemode, params.customer or None)
        params = with_token(params, token)
        card = await self.cards.given(principal, params, customer=params.customer or None, token=token)
        identity = self.objects.identity(call, SETUP_INTENT)
        intent = made(
            SetupIntent(
                **identity,
                status=SetupStatus.REQUIRES_PAYMENT_METHOD if card is None else SetupStatus.REQUIRES_CONFIRMATION,
                client_secret=client_secret_of(identity["id"]),
            ),
            params,
            payment_method=_id_of(card),
            card_options=params.card_options(None),
            mandate_data=params.mandate_data.value(in_browser=False) if params.mandate_data else None,
            automatic_payment_methods=automatic_payment_methods(params, params.automatic_payment_methods, call.api_version),
        )
        if params.confirm:
            if card is None:
                raise InvalidRequest(
                    "You cannot confirm this SetupIntent because it's missing a payment method.",
                    code="parameter_missing",
                    param="payment_method",
                )
            return await self._keep(call, intent, confirmed_by(card, token, intent.id) or card, params, created=True)

        async def store(connection: Connection) -> Reply:
            await self._name(connection, card, customer)
            await SETUP_INTENT.noun.insert(connection, intent)
            await append_events(connection, [self.objects.event(call, "created", intent)])
            return reply(render(intent))

        return await self.objects.once(call, store, SETUP_INTENT.name)

    async def _retrieve(self, call: Call, params: _RetrieveParams) -> Reply:
        return await self.reader.answer(call, render(await self._find(call, params.client_secret)))

    async def _find(self, call: Call, client_secret: str | None) -> SetupIntent:
        """Return the intent of the path; a browser must know its client secret."""
        check_browser_knows(call, client_secret, "SetupIntent")
        intent = await self.reader.get(call, SETUP_INTENT, call.path["id"])
        check_secret(intent, client_secret, "SetupIntent")
        return intent

    async def _update(self, call: Call, params: _UpdateParams) -> Reply:
        check_version_takes(call, params)
        check_given_card(params)
        _confirm_only(params)
        intent = await self.reader.get(call, SETUP_INTENT, call.path["id"])
        if call.params.keys() - {"metadata", "description"}:
            intent.expect_open("This SetupIntent's parameters could not be updated", "updated")
        customer = await self.cards.customer(intent.merchant_id, intent.livemode, params.customer or None)
        customer_id = (params.customer or None) if params.customer is not UNSET else intent.customer
        card = await self.cards.given(call.principal, params, customer=customer_id)
        method = None if params.payment_method == "" else _id_of(card) or intent.payment_method
        others: dict[str, Any] = {"card_options": params.card_options(intent.card_options), "payment_method": method}
        asked_again = intent.status is SetupStatus.REQUIRES_ACTION and (customer_id, method) != (
            intent.customer,
            intent.payment_method,
        )
        if asked_again or (card is not None and intent.status is SetupStatus.REQUIRES_PAYMENT_METHOD):
            others |= {"status": SetupStatus.REQUIRES_CONFIRMATION, "next_action": None}
        if params.payment_method == "":
            others |= {"status": SetupStatus.REQUIRES_PAYMENT_METHOD, "next_action": None}
        updated = changed(intent, params, **others)

        async def store(connection: Connection) -> Reply:
            await self._name(connection, card, customer)
            await SETUP_INTENT.noun.update(connection, updated)
            return reply(render(updated))

        return await self.objects.once(call, store, SETUP_INTENT.name)

    async def _name(self, connection: Connection, card: Vaulted | PaymentMethod | None, *relied_on: Any) -> None:
        """Name a card for an intent: a new one is stored, one on file must still be what it was, as what else is relied on."""
        on_file = [card] if isinstance(card, PaymentMethod) else []
        await require_unmoved(connection, *on_file, *(each for each in relied_on if each is not None))
        if isinstance(card, Vaulted):
            await store_card(connection, card)

    async def _confirm(self, call: Call, params: _ConfirmParams) -> Reply:
        check_version_takes(call, params)
        check_given_card(params)
        intent = await self._find(call, params.client_secret)
        in_browser = call.principal.kind is KeyKind.PUBLISHABLE
        if in_browser:
            _check_browser(params)
        intent.expect_open("You cannot confirm this SetupIntent", "confirmed")
        token = await self.cards.confirmation_token(call.principal, params.confirmation_token)
        params = with_token(params, token)
        named = await self.cards.given(call.principal, params, customer=intent.customer, token=token)
        card = confirmed_by(named, token, intent.id) or await self.cards.of_setup(intent)
        if card is None:
            raise InvalidRequest(
                "You cannot confirm this SetupIntent because it's missing a payment method. Update the SetupIntent with a payment method and then "
                "confirm it again.",
                code="parameter_missing",
                param="payment_method",
            )
        given: dict[str, Any] = {"payment_method": intent.payment_method, "client_secret": intent.client_secret}
        if params.mandate_data is not UNSET:
            given["mandate_data"] = params.mandate_data.value(in_browser=in_browser) if params.mandate_data else None
        return await self._keep(call, made(intent, params, card_options=params.card_options(intent.card_options), **given), card, params)

    async def _keep(
        self, call: Call, intent: SetupIntent, card: Vaulted | PaymentMethod, params: _Params, *, created: bool = False
    ) -> Reply:
        """Ask the issuer, and answer with what came of it."""
        if (found := await self.objects.idempotency.seen(call)) is not None:
            return await self.reader.expanded(call, found)
        customer = await self.cards.customer(intent.merchant_id, intent.livemode, intent.customer)
        option = params.payment_method_options.card
        outcome = await self.keeping.ask(
            intent, card, moto=option.moto is True, authenticated=option.three_d_secure is not None, on_trial=call.on_trial
        )
        kept = self.keeping.concluded(intent, card, outcome)
        abandoned = await self._waiting(call, intent)

        async def store(connection: Connection) -> Reply:
            await self.keeping.store(
                connection,
                kept,
                card,
                customer=customer,
                origin=call.origin,
                created=intent if created else None,
                abandoned=abandoned,
            )
            if kept.intent.last_setup_error is not None:
                return Reply(402, setup_failed_body(kept.intent), headers=NOT_TO_BE_RETRIED)
            return reply(render(kept.intent))

        return await self.objects.once(call, store, SETUP_INTENT.name)

    async def _waiting(self, call: Call, intent: SetupIntent) -> SetupAttempt | None:
        """Return the attempt that waits for its cardholder."""
        if intent.status is not SetupStatus.REQUIRES_ACTION or intent.latest_attempt is None:
            return None
        return await self.reader.find(call, SETUP_ATTEMPT, intent.latest_attempt)

    async def _cancel(self, call: Call, params: _CancelParams) -> Reply:
        intent = await self.reader.get(call, SETUP_INTENT, call.path["id"])
        intent.expect_open("You cannot cancel this SetupIntent", "canceled")
        abandoned = await self._waiting(call, intent)
        canceled = next_version(intent, status=SetupStatus.CANCELED, cancellation_reason=params.cancellation_reason, next_action=None)

        async def store(connection: Connection) -> Reply:
            if abandoned is not None:
                await SETUP_ATTEMPT.noun.update(connection, next_version(abandoned, status="abandoned"))
            await append_events(connection, [await self.objects.store(connection, call, intent, canceled, "canceled")])
            return reply(render(canceled))

        return await self.objects.once(call, store, SETUP_INTENT.name)


def _id_of(card: Vaulted | PaymentMethod | None) -> str | None:
    return card.method.id if isinstance(card, Vaulted) else None if card is None else card.id


def _confirm_only(params: _CreateParams | _UpdateParams) -> None:
    """Raise `InvalidRequest` for what says how a card is confirmed where it isn't."""
    card = params.payment_method_options.card
    given = {
        "confirmation_token": isinstance(params, _CreateParams) and bool(params.confirmation_token),
        "return_url": bool(params.return_url),
        "mandate_data": isinstance(params, _CreateParams) and bool(params.mandate_data),
        "payment_method_options[card][moto]": bool(card.moto),
        "payment_method_options[card][three_d_secure]": card.three_d_secure is not None,
    }
    for name, is_given in given.items():
        if is_given:
            raise InvalidRequest(
                f"You cannot set {name} when confirm is not set to true. Confirm the SetupIntent, or give {name} when you confirm it.",
                param=name,
            )


def _check_browser(params: _ConfirmParams) -> None:
    """Raise `InvalidRequest` for what only the merchant decides."""
    card = params.payment_method_options.card
    for name in ("moto", "three_d_secure", "request_three_d_secure"):
        if getattr(card, name) is not None:
            param = f"payment_method_options[card][{name}]"
            raise InvalidRequest(
                f"You cannot set {param} with a publishable API key. Set it with your secret key, on your server.",
                param=param,
            )
