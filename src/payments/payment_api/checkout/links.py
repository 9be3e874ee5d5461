"""Payment links: create, retrieve, update, list, their lines, and their pages.

Source: Stripe, "Payment Links".
"""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from payments.domain.checkout import CustomText, PaymentLink
from payments.domain.errors import InvalidRequest
from payments.domain.people import is_email
from payments.payment_api.checkout.form import TooLong, read_fields
from payments.payment_api.checkout.lines import LineReader, check_total
from payments.payment_api.checkout.opening import Addresses, Offered
from payments.payment_api.checkout.page import CheckoutPage, owner_of, said, unknown
from payments.payment_api.checkout.params import LINK_ITEMS_MAX, LinkIntentDataParam, LinkLineParam, OfferParams, Url, check_url
from payments.payment_api.checkout.sessions import LinesParams
from payments.runtime.topology import PAYMENT_LINK_PATH
from payments.storage.database import Connection, Pool
from payments.storage.events import append_events
from payments.wire.api import Call, Endpoint, Endpoints, Reply, reply
from payments.wire.changes import changed, made
from payments.wire.kind import Shown
from payments.wire.kinds import ITEM, PAYMENT_LINK
from payments.wire.objects import Objects
from payments.wire.reading import PageParams, Reader
from payments.wire.rendering import render
from payments.wire.resource import listing, retrieve

_REFERENCE = re.compile(r"[A-Za-z0-9_-]{1,200}")
_Types = Annotated[list[Literal["card"]], Meta(min_length=1, max_length=10)]
_LIMIT_MAX = 10_000
"""Sessions that are being paid are kept by name, so that there is a bound."""


class _RedirectParam(Struct, frozen=True, forbid_unknown_fields=True):
    url: Url


class _ConfirmationParam(Struct, frozen=True, forbid_unknown_fields=True):
    custom_message: Annotated[str, Meta(max_length=500)] | None = None


class _AfterCompletionParam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    type: Literal["hosted_confirmation", "redirect"]
    hosted_confirmation: _ConfirmationParam | None = None
    redirect: _RedirectParam | None = None

    def value(self) -> dict[str, Any]:
        """Return where the buyer is led, and what they are told; raises `InvalidRequest`."""
        if self.type == "redirect":
            if self.redirect is None:
                raise InvalidRequest(
                    "Missing required param: after_completion[redirect].", code="parameter_missing", param="after_completion[redirect]"
                )
            return {"redirect_url": check_url(self.redirect.url, "after_completion[redirect][url]"), "confirmation": None}
        if self.redirect is not None:
            raise InvalidRequest("You can only pass `redirect` when `type` is redirect.", param="after_completion[redirect]")
        return {"redirect_url": None, "confirmation": (self.hosted_confirmation and self.hosted_confirmation.custom_message) or None}


class _CompletedParam(Struct, frozen=True, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=_LIMIT_MAX)]


class _RestrictionsParam(Struct, frozen=True, forbid_unknown_fields=True):
    completed_sessions: _CompletedParam


class _LinkParams(OfferParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    after_completion: _AfterCompletionParam | UnsetType = UNSET
    inactive_message: Annotated[str, Meta(max_length=500)] | UnsetType = UNSET

    def fields(self, kept: CustomText) -> dict[str, Any]:
        """Return the fields that aren't called as the parameters are; raises `InvalidRequest`."""
        completion = {} if self.after_completion is UNSET else self.after_completion.value()
        return {**self.offered(kept), **completion}


class _CreateParams(_LinkParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    currency: str | None = None
    line_items: Annotated[list[LinkLineParam], Meta(min_length=1)]
    payment_intent_data: LinkIntentDataParam | None = None
    payment_method_types: _Types | UnsetType = UNSET
    restrictions: _RestrictionsParam | None = None


class _UpdateParams(_LinkParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    active: bool | UnsetType = UNSET
    payment_method_types: _Types | Literal[""] | UnsetType = UNSET
    restrictions: _RestrictionsParam | Literal[""] | UnsetType = UNSET


class _ListParams(PageParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    active: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentLinks:
    """`/v1/payment_links`."""

    objects: Objects
    reader: Reader
    addresses: Addresses

    def endpoints(self) -> Endpoints:
        """What may be called."""
        one = f"{PAYMENT_LINK.path}/{{id}}"
        return [
            Endpoint("POST", PAYMENT_LINK.path, _CreateParams, self._create),
            listing(self.reader, PAYMENT_LINK, _ListParams),
            retrieve(self.reader, PAYMENT_LINK),
            Endpoint("POST", one, _UpdateParams, self._update),
            Endpoint("GET", f"{one}/line_items", LinesParams, self._lines, shows=Shown(ITEM.name, listed=True)),
        ]

    async def _create(self, call: Call, params: _CreateParams) -> Reply:
        if len(params.line_items) > LINK_ITEMS_MAX:
            raise InvalidRequest(f"You may specify at most {LINK_ITEMS_MAX} line items.", param="line_items")
        identity = self.objects.identity(call, PAYMENT_LINK)
        lines = await LineReader(self.objects, self.reader).read(call, params.line_items, identity["id"], currency=params.currency)
        check_total(lines.total, lines.currency)
        link = made(
            PaymentLink(**identity, url=self.addresses.of_link(identity)),
            params,
            currency=lines.currency,
            intent_data=None if params.payment_intent_data is None else params.payment_intent_data.value(),
            completed_max=None if params.restrictions is None else params.restrictions.completed_sessions.limit,
            **params.fields(CustomText()),
        )

        async def mutate(connection: Connection) -> Reply:
            told = await lines.store(connection, self.objects, call)
            await PAYMENT_LINK.noun.insert(connection, link)
            await append_events(connection, [*told, self.objects.event(call, "created", link)])
            return reply(render(link))

        return await self.objects.once(call, mutate, PAYMENT_LINK.name)

    async def _update(self, call: Call, params: _UpdateParams) -> Reply:
        link = await self.reader.get(call, PAYMENT_LINK, call.path["id"])
        others = params.fields(link.custom_text)
        if params.restrictions is not UNSET:
            if params.restrictions and link.completed_max is None:
                raise InvalidRequest(
                    "Restrictions can be changed, or taken away, but not be added to a payment link that has none: sessions that were completed before "
                    "were not counted.",
                    param="restrictions",
                )
            others["completed_max"] = params.restrictions.completed_sessions.limit if params.restrictions else None
        return await self.objects.change(call, link, changed(link, params, **others))

    async def _lines(self, call: Call, params: LinesParams) -> Reply:
        link = await self.reader.get(call, PAYMENT_LINK, call.path["id"])
        return await self.reader.page(call, ITEM, params, f"{PAYMENT_LINK.path}/{link.id}/line_items", owner=link.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkPage:
    """Serves the pages of payment links."""

    page: CheckoutPage
    pool: Pool

    def routes(self) -> list[Route]:
        """Return the routes."""
        return self.page.guarded(PAYMENT_LINK_PATH, self._page, self._submit)

    async def _page(self, request: Request) -> Response:
        link = await self._find(request)
        if link is None:
            return unknown(request)
        return await self._closed(request, link) or await self.page.offered(request, await self._offered(request, link))

    async def _submit(self, request: Request) -> Response:
        link = await self._find(request)
        if link is None:
            return unknown(request)
        try:
            fields = await read_fields(request)
        except TooLong:
            return said(request, "too_much", 413)
        offer = await self._offered(request, link)
        closed = await self._closed(request, link)
        # Who has begun to pay goes on with it.
        if closed is not None and await self.page.opening.find(offer, fields.get("visit", "")) is None:
            return closed
        return await self.page.opened(request, offer, fields)

    async def _find(self, request: Request) -> PaymentLink | None:
        owner = owner_of(request)
        if owner is None:
            return None
        return await PAYMENT_LINK.noun.get(self.pool, owner.merchant_id, owner.livemode, request.path_params["link"])

    async def _closed(self, request: Request, link: PaymentLink) -> Response | None:
        """Return the page that says that a link can't be paid now, if that is so."""
        is_sold_out = link.completed_max is not None and link.completed + len(link.taken) >= link.completed_max
        if link.active and not is_sold_out:
            return None
        brand = await self.page.brand(link.merchant_id)
        return self.page.view.closed(request, brand, link.livemode, link.inactive_message)

    async def _offered(self, request: Request, link: PaymentLink) -> Offered:
        found = await ITEM.noun.newest_of(self.pool, link.merchant_id, link.livemode, "owner", [link.id], LINK_ITEMS_MAX)
        reference, email = (request.query_params.get(name, "") for name in ("client_reference_id", "prefilled_email"))
        given = {
            "client_reference_id": reference if _REFERENCE.fullmatch(reference) else "",
            "prefilled_email": email if len(email) <= 200 and is_email(email) else "",
        }
        kept = {name: value for name, value in given.items() if value}
        return self.page.opening.of_link(
            link,
            found.get(link.id, []),
            urlencode(kept),
            reference=kept.get("client_reference_id"),
            email=given["prefilled_email"],
        )
