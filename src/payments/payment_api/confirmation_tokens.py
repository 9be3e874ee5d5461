"""Confirmation tokens: created by the script on merchants' pages, retrieved by their servers, and made in tests.

Sources: Stripe, "Confirmation Token", "Finalize payments on the server using Confirmation Tokens".
"""

from dataclasses import dataclass

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from payments.domain.confirmation_token import ConfirmationToken
from payments.domain.errors import InvalidRequest
from payments.domain.payment_options import FutureUsage
from payments.domain.principal import KeyKind
from payments.payment_api.card_vault import Vaulted, is_alias
from payments.payment_api.confirmation import Cards
from payments.payment_api.given_card import GivenCard, Id, PaymentMethodDataParam, check_return_url
from payments.storage.database import Connection
from payments.wire.api import Call, Endpoint, Endpoints, Reply, reply
from payments.wire.kinds import CONFIRMATION_TOKEN, PAYMENT_METHOD, SETUP_INTENT
from payments.wire.objects import Objects
from payments.wire.params import NoParams, Text
from payments.wire.people_params import ShippingParam
from payments.wire.reading import Reader
from payments.wire.render_card import render_confirmation_token
from payments.wire.rendering import render


class _CreateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    payment_method: Id | None = None
    payment_method_data: PaymentMethodDataParam | None = None
    return_url: Text | UnsetType = UNSET
    setup_future_usage: FutureUsage | UnsetType = UNSET
    shipping: ShippingParam | UnsetType = UNSET
    use_stripe_sdk: bool | None = None
    """Accepted, as where a payment is confirmed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmationTokens:
    """`/v1/confirmation_tokens`, and its test helper."""

    objects: Objects
    reader: Reader
    cards: Cards

    def endpoints(self) -> Endpoints:
        """What may be called."""
        return [
            Endpoint("POST", CONFIRMATION_TOKEN.path, _CreateParams, self._create, publishable=True),
            Endpoint("GET", f"{CONFIRMATION_TOKEN.path}/{{id}}", NoParams, self._retrieve),
            Endpoint("POST", "/v1/test_helpers/confirmation_tokens", _CreateParams, self._create_for_test),
        ]

    async def _create_for_test(self, call: Call, params: _CreateParams) -> Reply:
        card = await self._card(call, params)
        if call.principal.livemode:
            raise InvalidRequest("Confirmation tokens are made by your page, in live mode. This helper is of test mode.")
        return await self._made(call, params, card)

    async def _create(self, call: Call, params: _CreateParams) -> Reply:
        return await self._made(call, params, await self._card(call, params))

    async def _made(self, call: Call, params: _CreateParams, vaulted: Vaulted) -> Reply:
        if params.return_url:
            check_return_url(params.return_url)
        identity = self.objects.identity(call, CONFIRMATION_TOKEN)
        method = replace(vaulted.method, token=identity["id"])
        token = ConfirmationToken(
            **identity,
            card=method,
            return_url=params.return_url or None,
            setup_future_usage=params.setup_future_usage or None,
            shipping=params.shipping.value() if params.shipping else None,
        )

        async def mutate(connection: Connection) -> Reply:
            await PAYMENT_METHOD.noun.insert(connection, method, sealed_number=vaulted.sealed_number)
            await CONFIRMATION_TOKEN.noun.insert(connection, token)
            return reply(render(token))

        return await self.objects.once(call, mutate, CONFIRMATION_TOKEN.name)

    async def _card(self, call: Call, params: _CreateParams) -> Vaulted:
        """Return a card that is new; one on file can be paid with by its own name. Raises `InvalidRequest`, `CardError`, `ResourceMissing`."""
        if (params.payment_method is None) == (params.payment_method_data is None):
            raise InvalidRequest(
                "You must provide exactly one of these parameters: payment_method, payment_method_data.", param="payment_method_data"
            )
        if params.payment_method is not None and not is_alias(params.payment_method):
            if call.principal.kind is not KeyKind.PUBLISHABLE:  # which learns of nobody's cards
                await self.cards.on_file(call.principal, params.payment_method, customer=None, intent=None)
            raise InvalidRequest(
                "Tap makes confirmation tokens of new cards, and of test cards' names such as pm_card_visa: confirm with a card on file by its own id.",
                param="payment_method",
            )
        given = GivenCard(payment_method=params.payment_method, payment_method_data=params.payment_method_data)
        card = await self.cards.given(call.principal, given, customer=None)
        if not isinstance(card, Vaulted) or card.is_stored:
            raise InvalidRequest("A card that stands for a token already can't be given.", param="payment_method_data[card][token]")
        return card

    async def _retrieve(self, call: Call, _: NoParams) -> Reply:
        token = await self.reader.get(call, CONFIRMATION_TOKEN, call.path["id"])
        card = await self.reader.find(call, PAYMENT_METHOD, token.card.id)
        is_used = card is None or not card.waits_for_token
        intent = None if card is None else card.confirmed
        of_setup = intent is not None and SETUP_INTENT.may_name(intent)
        body = render_confirmation_token(
            token, is_used=is_used, payment_intent=None if of_setup else intent, setup_intent=intent if of_setup else None
        )
        return await self.reader.answer(call, body)
