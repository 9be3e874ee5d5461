"""Checkout sessions: create, retrieve, update, list, expire, and their lines.

Source: Stripe, "Checkout Sessions".
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from payments.domain.checkout import CheckoutSession, CustomText, Mode, SessionStatus
from payments.domain.customer import Customer
from payments.domain.errors import InvalidRequest, ObjectLocked
from payments.domain.people import is_email
from payments.domain.resource import next_version
from payments.pages.words import languages
from payments.payment_api.checkout.closing import Closing
from payments.payment_api.checkout.lines import LineReader, Lines, check_total
from payments.payment_api.checkout.opening import Addresses, insert_session
from payments.payment_api.checkout.params import (
    ITEMS_MAX,
    LineParam,
    OfferParams,
    PaymentIntentDataParam,
    SetupIntentDataParam,
    Url,
    check_url,
)
from payments.payment_api.confirmation import Cards
from payments.payment_api.given_card import ExcludedTypes, GivenCard, Id, PaymentMethodTypes, check_given_card, check_version_takes
from payments.payment_api.intent_params import currency_of
from payments.storage.database import Connection
from payments.storage.events import append_events
from payments.storage.nouns import Filter
from payments.storage.versions import require_unmoved
from payments.wire.api import Call, Endpoint, Endpoints, Reply, reply
from payments.wire.changes import made, merge_metadata
from payments.wire.kind import Shown
from payments.wire.kinds import CHECKOUT_SESSION, ITEM
from payments.wire.objects import Objects
from payments.wire.older_versions import DEFERRED_INTENT_FROM
from payments.wire.params import MetadataParam, NoParams, ShortText
from payments.wire.reading import FilterId, ListParams, PageParams, Reader
from payments.wire.rendering import render
from payments.wire.resource import listing

EXPIRES_SECONDS_MIN = 30 * 60
EXPIRES_SECONDS_MAX = 24 * 3600
_ON_THE_WAY_SECONDS = 60
"""A client says when by its own clock, and the call takes a while."""
_LOCALES = frozenset(
    [
        "auto",
        "bg",
        "cs",
        "da",
        "de",
        "el",
        "en",
        "en-GB",
        "es",
        "es-419",
        "et",
        "fi",
        "fil",
        "fr",
        "fr-CA",
        "hr",
        "hu",
        "id",
        "it",
        "ja",
        "ko",
        "lt",
        "lv",
        "ms",
        "mt",
        "nb",
        "nl",
        "pl",
        "pt",
        "pt-BR",
        "ro",
        "ru",
        "sk",
        "sl",
        "sv",
        "th",
        "tr",
        "vi",
        "zh",
        "zh-HK",
        "zh-TW",
    ]
)
"""Stripe's."""


class _RecoveryParam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    enabled: bool


class _AfterExpirationParam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    recovery: _RecoveryParam | None = None


class _CreateParams(OfferParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    after_expiration: _AfterExpirationParam | None = None
    allowed_payment_method_types: Annotated[list[Literal["card"]], Meta(max_length=100)] | UnsetType = UNSET
    cancel_url: Url | UnsetType = UNSET
    client_reference_id: Annotated[str, Meta(max_length=200)] | UnsetType = UNSET
    currency: str | None = None
    customer: Id | UnsetType = UNSET
    customer_email: ShortText | UnsetType = UNSET
    excluded_payment_method_types: ExcludedTypes | UnsetType = UNSET
    expires_at: int | None = None
    line_items: list[LineParam] | None = None
    locale: str | UnsetType = UNSET
    mode: Mode | Literal["subscription"] = "payment"
    payment_intent_data: PaymentIntentDataParam | None = None
    payment_method_types: PaymentMethodTypes | None = None
    redirect_on_completion: Literal["always", "if_required", "never"] | None = None
    return_url: Url | None = None
    setup_intent_data: SetupIntentDataParam | None = None
    success_url: Url | None = None
    ui_mode: Literal["hosted_page", "hosted", "embedded", "embedded_page", "custom", "elements", "form"] = "hosted_page"

    @property
    def embedded(self) -> bool:
        """Whether the merchant's page shows it."""
        return self.ui_mode in ("embedded", "embedded_page")

    @property
    def recovers(self) -> bool:
        """Whether the buyer may begin anew when it has expired."""
        recovery = None if self.after_expiration is None else self.after_expiration.recovery
        return recovery is not None and recovery.enabled


class _UpdateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    metadata: MetadataParam | UnsetType = UNSET


class _DetailsParam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    email: FilterId


class _ListParams(ListParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customer: FilterId | None = None
    customer_details: _DetailsParam | None = None
    payment_intent: FilterId | None = None
    payment_link: FilterId | None = None
    status: SessionStatus | None = None

    def filters(self) -> dict[str, Filter]:
        """Return the filters that are given, by column."""
        given = super().filters()
        if self.customer_details is not None:
            given["email"] = self.customer_details.email
            del given["customer_details"]
        return given


class LinesParams(PageParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of a list of lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutSessions:
    """`/v1/checkout/sessions`."""

    objects: Objects
    reader: Reader
    cards: Cards
    closing: Closing
    addresses: Addresses

    def endpoints(self) -> Endpoints:
        """What may be called."""
        one = f"{CHECKOUT_SESSION.path}/{{id}}"
        return [
            Endpoint("POST", CHECKOUT_SESSION.path, _CreateParams, self._create),
            listing(self.reader, CHECKOUT_SESSION, _ListParams),
            Endpoint("GET", one, NoParams, self._retrieve),
            Endpoint("POST", one, _UpdateParams, self._update),
            Endpoint("POST", f"{one}/expire", NoParams, self._expire),
            Endpoint("GET", f"{one}/line_items", LinesParams, self._lines, shows=Shown(ITEM.name, listed=True)),
        ]

    async def _create(self, call: Call, params: _CreateParams) -> Reply:
        mode = _checked_mode(call, params)
        customer = await self._customer(call, params)
        identity = self.objects.identity(call, CHECKOUT_SESSION)
        lines = await self._bought(call, params, mode, identity["id"])
        data = params.payment_intent_data if mode == "payment" else params.setup_intent_data
        others: dict[str, Any] = {
            "mode": mode,
            "expires_at": self._expires_at(params.expires_at, identity["created"] + call.principal.ahead_seconds),
            "currency": _currency(params, lines),
            "amount_total": None if lines is None else lines.total,
            "payment_status": "unpaid" if mode == "payment" else "no_payment_required",
            "customer_creation": None
            if customer is not None
            else params.customer_creation or ("if_required" if mode == "payment" else None),
            "intent_data": None if data is None else data.value(),
            "recovers": params.recovers,
            "embedded": params.embedded,
            "redirect_on_completion": params.redirect_on_completion or ("always" if params.embedded else None),
            **params.offered(CustomText()),
        }
        blank = CheckoutSession(**identity, **self.addresses.of_session(identity), mode=mode, expires_at=others["expires_at"])
        session = made(blank, params, **others)

        async def mutate(connection: Connection) -> Reply:
            if customer is not None:
                await require_unmoved(connection, customer)
            told = [] if lines is None else await lines.store(connection, self.objects, call)
            await insert_session(connection, session)
            await append_events(connection, told)
            return reply(render(session))

        return await self.objects.once(call, mutate, CHECKOUT_SESSION.name)

    async def _customer(self, call: Call, params: _CreateParams) -> Customer | None:
        """Return the customer who pays, if the merchant says who; raises `InvalidRequest`, `ResourceMissing`."""
        if params.customer_email and not is_email(params.customer_email):
            raise InvalidRequest(f"Invalid email address: {params.customer_email[:100]}", code="email_invalid", param="customer_email")
        for other in ("customer_email", "customer_creation"):
            if params.customer and getattr(params, other):
                raise InvalidRequest(f"You may only specify one of these parameters: customer, {other}.", param=other)
        return await self.cards.customer(call.principal.merchant_id, call.principal.livemode, params.customer or None)

    async def _bought(self, call: Call, params: _CreateParams, mode: Mode, session_id: str) -> Lines | None:
        if mode == "setup":
            return None
        if not params.line_items:
            raise InvalidRequest(
                "Missing required param: line_items. A session in payment mode needs at least one.",
                code="parameter_missing",
                param="line_items",
            )
        if len(params.line_items) > ITEMS_MAX:
            raise InvalidRequest(f"You may specify at most {ITEMS_MAX} line items.", param="line_items")
        lines = await LineReader(self.objects, self.reader).read(call, params.line_items, session_id, currency=params.currency)
        check_total(lines.total, lines.currency)
        return lines

    @staticmethod
    def _expires_at(given: int | None, created: int) -> int:
        # By the sandbox's time, where it is ahead.
        if given is None:
            return created + EXPIRES_SECONDS_MAX
        if given < created + EXPIRES_SECONDS_MIN - _ON_THE_WAY_SECONDS:
            raise InvalidRequest(
                "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.", param="expires_at"
            )
        if given > created + EXPIRES_SECONDS_MAX + _ON_THE_WAY_SECONDS:
            raise InvalidRequest(
                "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.", param="expires_at"
            )
        return given

    async def _retrieve(self, call: Call, _: NoParams) -> Reply:
        session = await self.reader.get(call, CHECKOUT_SESSION, call.path["id"])
        return await self.reader.answer(call, render(await self.closing.up_to_date(session)))

    async def _update(self, call: Call, params: _UpdateParams) -> Reply:
        session = await self.reader.get(call, CHECKOUT_SESSION, call.path["id"])
        updated = session
        if params.metadata is not UNSET:
            updated = next_version(session, metadata=merge_metadata(session.metadata, params.metadata))

        async def mutate(connection: Connection) -> Reply:
            if updated is not session:
                await CHECKOUT_SESSION.noun.update(connection, updated)
            return reply(render(updated))

        return await self.objects.once(call, mutate, CHECKOUT_SESSION.name)

    async def _expire(self, call: Call, _: NoParams) -> Reply:
        session = await self.closing.up_to_date(await self.reader.get(call, CHECKOUT_SESSION, call.path["id"]))
        if session.status is not SessionStatus.OPEN:
            raise InvalidRequest(
                f'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a status of {session.status}.'
            )

        async def mutate(connection: Connection) -> Reply:
            expired = await self.closing.expire(connection, session, call.origin)
            if expired is None:  # it is being paid at this moment
                raise ObjectLocked
            return reply(render(expired))

        return await self.objects.once(call, mutate, CHECKOUT_SESSION.name)

    async def _lines(self, call: Call, params: LinesParams) -> Reply:
        session = await self.reader.get(call, CHECKOUT_SESSION, call.path["id"])
        return await self.reader.page(call, ITEM, params, f"{CHECKOUT_SESSION.path}/{session.id}/line_items", owner=session.id)


def _checked_mode(call: Call, params: _CreateParams) -> Mode:
    """Return the mode; raises `InvalidRequest` for what Tap can't serve, and for what contradicts it."""
    if call.api_version < DEFERRED_INTENT_FROM:
        raise InvalidRequest(f"Tap makes checkout sessions in version {DEFERRED_INTENT_FROM} and later.")
    if params.mode == "subscription":
        raise InvalidRequest("Tap takes one-time payments only: mode must be payment or setup.", param="mode")
    if params.ui_mode not in ("hosted_page", "hosted", "embedded_page", "embedded"):
        raise InvalidRequest(
            f"The ui_mode {params.ui_mode} is not supported by Tap: it must be hosted_page or embedded_page.", param="ui_mode"
        )
    _check_ways_back(params)
    if params.locale:
        _check_locale(params.locale)
    types = GivenCard(payment_method_types=params.payment_method_types, excluded_payment_method_types=params.excluded_payment_method_types)
    check_version_takes(call, types)
    check_given_card(types)
    unfit = ("setup_intent_data",) if params.mode == "payment" else ("payment_intent_data", "line_items", "submit_type")
    for name in unfit:
        if getattr(params, name):
            raise InvalidRequest(f"You can not pass `{name}` in `{params.mode}` mode.", param=name)
    return params.mode


def _check_ways_back(params: _CreateParams) -> None:
    """Raise `InvalidRequest` unless it is said where a buyer goes on, and nowhere else."""
    if params.embedded:
        needed = "" if params.redirect_on_completion == "never" else "return_url"
        unfit = ("success_url", "cancel_url", *(() if needed else ("return_url",)))
    else:
        needed, unfit = "success_url", ("return_url", "redirect_on_completion")
    for name in unfit:
        if getattr(params, name):
            how = "redirect_on_completion is never" if name == "return_url" and params.embedded else f"ui_mode is {params.ui_mode}"
            raise InvalidRequest(f"You can not pass `{name}` when {how}.", param=name)
    if needed and not getattr(params, needed):
        raise InvalidRequest(f"Missing required param: {needed}.", code="parameter_missing", param=needed)
    for name in ("success_url", "cancel_url", "return_url"):
        if getattr(params, name):
            check_url(getattr(params, name), name)


def _check_locale(locale: str) -> None:
    """Raise `InvalidRequest` for a language that the page isn't in."""
    spoken = sorted(each for each in _LOCALES if each == "auto" or each.partition("-")[0] in languages())
    if locale not in spoken:
        raise InvalidRequest(f"Tap's page isn't in {locale[:20]}: locale must be one of {', '.join(spoken)}.", param="locale")


def _currency(params: _CreateParams, lines: Lines | None) -> str | None:
    if lines is not None:
        return lines.currency
    return None if params.currency is None else currency_of(params.currency).code
