"""Customer sessions: created by a merchant's server, retrieved by the script on their page, which shows the customer's cards with it.

Sources: Stripe, "Customer Session", "Save and reuse payment methods in the Payment Element".
"""

import hmac
import secrets
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta, Struct
from msgspec.structs import asdict

from payments.domain.customer_session import CARDS_SHOWN_MAX, CustomerSession, PaymentElementFeatures, Redisplay, Switch
from payments.domain.errors import InvalidRequest, ResourceMissing
from payments.domain.payment_method import PaymentMethod
from payments.domain.payment_options import FutureUsage
from payments.payment_api.customer_cards import CustomerCards, detached_from
from payments.payment_api.given_card import Id
from payments.payment_api.steps import check_browser_knows
from payments.storage.database import Connection, Pool
from payments.storage.events import append_events
from payments.storage.versions import require_unmoved
from payments.wire.api import Call, Endpoint, Endpoints, Reply, reply
from payments.wire.kinds import CUSTOMER, CUSTOMER_SESSION, PAYMENT_METHOD
from payments.wire.objects import Objects
from payments.wire.params import Text
from payments.wire.reading import Reader
from payments.wire.rendering import render


class _FeaturesParam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    payment_method_redisplay: Switch = "disabled"
    payment_method_allow_redisplay_filters: Annotated[list[Redisplay], Meta(min_length=1, max_length=3)] | None = None
    payment_method_redisplay_limit: Annotated[int, Meta(ge=1, le=CARDS_SHOWN_MAX)] = CARDS_SHOWN_MAX
    payment_method_save: Switch = "disabled"
    payment_method_save_usage: FutureUsage | None = None
    payment_method_remove: Switch = "disabled"

    def value(self) -> PaymentElementFeatures:
        given: dict[str, Any] = asdict(self)
        given["payment_method_allow_redisplay_filters"] = self.payment_method_allow_redisplay_filters or ["always"]
        return PaymentElementFeatures(**given)


class _PaymentElementParam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    enabled: bool
    features: _FeaturesParam = _FeaturesParam()


class _ComponentsParam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    payment_element: _PaymentElementParam


class _CreateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    components: _ComponentsParam
    customer: Id


class _RetrieveParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    client_secret: Text | None = None


class _DetachParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    client_secret: Text | None = None
    payment_method: Id


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerSessions:
    """`/v1/customer_sessions`. All but creating one is for Tap's own script."""

    objects: Objects
    reader: Reader
    customer_cards: CustomerCards
    pool: Pool

    def endpoints(self) -> Endpoints:
        """What may be called."""
        one = f"{CUSTOMER_SESSION.path}/{{id}}"
        return [
            Endpoint("POST", CUSTOMER_SESSION.path, _CreateParams, self._create),
            Endpoint("GET", one, _RetrieveParams, self._retrieve, publishable=True),
            Endpoint("POST", f"{one}/detach", _DetachParams, self._detach, publishable=True),
        ]

    async def _create(self, call: Call, params: _CreateParams) -> Reply:
        customer = await self.reader.get(call, CUSTOMER, params.customer, param="customer")
        asked = params.components.payment_element
        session = CustomerSession(
            **self.objects.identity(call, CUSTOMER_SESSION),
            customer=customer.id,
            secret=secrets.token_hex(24),
            features=asked.features.value() if asked.enabled else None,
        )

        async def mutate(connection: Connection) -> Reply:
            await require_unmoved(connection, customer)
            await CUSTOMER_SESSION.noun.insert(connection, session)
            return reply(render(session))

        return await self.objects.once(call, mutate, CUSTOMER_SESSION.name)

    async def _retrieve(self, call: Call, params: _RetrieveParams) -> Reply:
        session = await self._find(call, params.client_secret)
        cards = await self._shown(session)
        return await self.reader.answer(call, {**render(session), "payment_methods": [render(card) for card in cards]})

    async def _find(self, call: Call, client_secret: str | None) -> CustomerSession:
        """Return the session of the path, of which a browser must know the secret; raises `NotFound`, `InvalidRequest`, `PermissionDenied`."""
        check_browser_knows(call, client_secret, "CustomerSession")
        session = await self.reader.get(call, CUSTOMER_SESSION, call.path["id"])
        if client_secret is not None and not hmac.compare_digest(session.client_secret.encode(), client_secret.encode(errors="replace")):
            raise InvalidRequest("The client_secret provided does not match any customer session on this account.", param="client_secret")
        if session.expires_at <= self.objects.clock.now():
            raise InvalidRequest("The customer session has expired. Create a new one.", code="resource_missing", param="client_secret")
        return session

    async def _shown(self, session: CustomerSession) -> list[PaymentMethod]:
        """Return the cards that the customer is shown again, the newest first."""
        features = session.features
        if features is None or features.payment_method_redisplay != "enabled":
            return []
        found = await PAYMENT_METHOD.noun.newest_of(
            self.pool, session.merchant_id, session.livemode, "customer", [session.customer], 10 * CARDS_SHOWN_MAX
        )
        allowed = features.payment_method_allow_redisplay_filters
        cards = [card for card in found.get(session.customer, []) if card.allow_redisplay in allowed]
        return cards[: features.payment_method_redisplay_limit]

    async def _detach(self, call: Call, params: _DetachParams) -> Reply:
        session = await self._find(call, params.client_secret)
        if (found := await self.objects.idempotency.seen(call)) is not None:
            return found
        method = next((card for card in await self._shown(session) if card.id == params.payment_method), None)
        if method is None:
            raise ResourceMissing(PAYMENT_METHOD.named, params.payment_method, param="payment_method")
        if session.features is None or session.features.payment_method_remove != "enabled":
            raise InvalidRequest("This customer session doesn't let cards be removed.", param="client_secret")
        customer = await self.reader.get(call, CUSTOMER, session.customer)

        async def mutate(connection: Connection) -> Reply:
            await append_events(connection, await self.customer_cards.detach(connection, call, customer, method))
            return reply(render(detached_from(method)))

        return await self.objects.once(call, mutate, PAYMENT_METHOD.name)
