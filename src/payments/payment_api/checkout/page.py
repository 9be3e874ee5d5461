"""The page of a session: what the buyer sees, and what becomes of what they submit.

Its address has the session's secret, and that alone entitles to it: there is no cookie that a page of somebody else's could make use of. Whatever is submitted is
answered by leading on, so that a page may be loaded again, or gone back to, and pays for nothing again.
"""

import asyncio
import hmac
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from payments.domain.brand import Brand
from payments.domain.checkout import CheckoutSession, Item, SessionStatus
from payments.domain.errors import CardError, InvalidRequest, ObjectLocked, OutcomePending, TapError
from payments.domain.payment_intent import PaymentIntent
from payments.pages.elements import framed
from payments.pages.page import HEADERS, say
from payments.pages.words import words_of
from payments.payment_api.checkout.closing import BUSY, Closing, Intent, redirect_of
from payments.payment_api.checkout.form import Mistakes, TooLong, kept_values, read_fields, read_submission
from payments.payment_api.checkout.opening import Offered, Opening, is_visit, new_visit
from payments.payment_api.checkout.paying import Paying, TooManyTries, state_of
from payments.payment_api.checkout.view import Shown, View, locale_of
from payments.runtime.logging import Logger
from payments.runtime.topology import CHECKOUT_PATH
from payments.storage.brands import find_brand
from payments.storage.database import Pool
from payments.wire.kinds import CHARGE, CHECKOUT_SESSION, CUSTOMER, ITEM
from payments.wire.render_checkout import RECOVERABLE_SECONDS

Handler = Callable[[Request], Awaitable[Response]]
_LOCKED_PAUSES_SECONDS = (0.01, 0.03, 0.1)
_ITEMS_MAX = 100
_ANY_PATH = "/pay/{rest:path}"
"""Of all that buyers open: a person reads what is said there."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose page it is."""

    merchant_id: int
    livemode: bool


def owner_of(request: Request) -> Owner | None:
    """Return whose page a path names."""
    merchant, mode = request.path_params["merchant"], request.path_params["mode"]
    if not (merchant.isascii() and merchant.isdigit() and len(merchant) < 18) or mode not in ("test", "live"):
        return None
    return Owner(int(merchant), mode == "live")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutPage:
    """Serves the pages of sessions."""

    paying: Paying
    closing: Closing
    pool: Pool
    view: View
    opening: Opening
    frame_ancestors: tuple[str, ...] = ()
    """Whose pages may show embedded sessions; none: any."""

    def routes(self) -> list[Route]:
        """Return the routes."""
        return self.guarded(CHECKOUT_PATH, self._page, self._submit)

    def guarded(self, path: str, page: Handler, submit: Handler) -> list[Route]:
        """Return the routes of a page."""
        log = self.closing.log
        return [Route(path, guarded(page, log), methods=["GET"]), Route(path, guarded(submit, log), methods=["POST"])]

    async def _page(self, request: Request) -> Response:
        session = await self._find(request)
        return unknown(request) if session is None else self._framed(session, await self.shown(request, session))

    async def _submit(self, request: Request) -> Response:
        session = await self._find(request)
        if session is None:
            return unknown(request)
        try:
            fields = await read_fields(request)
        except TooLong:
            return said(request, "too_much", 413)
        return self._framed(session, await self.submitted(request, session, fields))

    def _framed(self, session: CheckoutSession, page: Response) -> Response:
        return framed(page, self.frame_ancestors) if session.embedded else page

    async def _find(self, request: Request) -> CheckoutSession | None:
        owner = owner_of(request)
        if owner is None:
            return None
        session = await CHECKOUT_SESSION.noun.get(self.pool, owner.merchant_id, owner.livemode, request.path_params["session"])
        given = request.path_params["secret"].encode(errors="replace")
        return session if session is not None and hmac.compare_digest(session.secret.encode(), given) else None

    async def shown(
        self,
        request: Request,
        session: CheckoutSession,
        *,
        fields: Mapping[str, str] | None = None,
        mistakes: Mapping[str, str] | None = None,
        failure: str = "",
        minutes: int = 0,
        status: int = 200,
    ) -> Response:
        """Show where a session stands; of an open one the form, with what was typed into it and what is wrong with that."""
        session = await self.closing.up_to_date(session)
        brand = await self.brand(session.merchant_id)
        if session.status is SessionStatus.COMPLETE:
            target = redirect_of(session)
            if target:
                return RedirectResponse(target, 303, HEADERS)
            return self.view.complete(request, session, brand, await self._receipt(session))
        if session.status is SessionStatus.EXPIRED:
            again = await self._anew(session)
            return self.view.expired(request, session, brand) if again is None else await self.offered(request, again)
        intent = await self.closing.intent_of(session)
        if intent is not None and intent.status in BUSY:
            return self.view.under_way(request, session, brand)
        shown = Shown(
            session=session,
            brand=brand,
            items=await self._items(session),
            known_email=await self._known_email(session),
            intent=intent,
            state=state_of(session),
            action=session.url,
            values=None if fields is None else kept_values(fields),
            mistakes=mistakes or {},
            failure=failure,
            minutes=minutes,
        )
        return self.view.form(request, shown, status)

    async def brand(self, merchant_id: int) -> Brand:
        """Return whose page it is."""
        return await find_brand(self.pool, merchant_id)

    async def _receipt(self, session: CheckoutSession) -> str | None:
        """Return where the receipt of a session that was paid is."""
        intent = await self.closing.intent_of(session)
        if not isinstance(intent, PaymentIntent) or intent.latest_charge is None:
            return None
        charge = await CHARGE.noun.get(self.pool, session.merchant_id, session.livemode, intent.latest_charge)
        return None if charge is None else charge.receipt_url

    async def _items(self, session: CheckoutSession) -> Sequence[Item]:
        found = await ITEM.noun.newest_of(self.pool, session.merchant_id, session.livemode, "owner", [session.id], _ITEMS_MAX)
        return found.get(session.id, [])

    async def _known_email(self, session: CheckoutSession) -> str | None:
        if session.customer_email is not None or session.customer is None:
            return session.customer_email
        customer = await CUSTOMER.noun.get(self.pool, session.merchant_id, session.livemode, session.customer)
        return None if customer is None else customer.email

    async def submitted(self, request: Request, session: CheckoutSession, fields: Mapping[str, str]) -> Response:
        """Carry out what was submitted, unless what the buyer saw isn't so any more: then show what is."""
        session = await self.closing.up_to_date(session)
        again = await self._anew(session)
        if again is not None:
            return await self.opened(request, again, fields)
        for pause_seconds in (*_LOCKED_PAUSES_SECONDS, None):
            intent = await self.closing.intent_of(session)
            is_open = session.status is SessionStatus.OPEN and (intent is None or intent.status not in BUSY)
            if not is_open or fields.get("state") != state_of(session):
                return RedirectResponse(session.url, 303, HEADERS)
            given = read_submission(fields, session, await self._known_email(session), self.paying.vault)
            if isinstance(given, Mistakes):
                return await self.shown(request, session, fields=fields, mistakes=given.by_field, status=422)
            try:
                return await self._led_on(session, await self.paying.submit(session, intent, given))
            except ObjectLocked:  # the other tab was quicker, or the shop changed something: what was seen may not be so any more
                if pause_seconds is None:
                    return RedirectResponse(session.url, 303, HEADERS)
                await asyncio.sleep(pause_seconds)
                session = await self.closing.read(session)
            except OutcomePending:
                return RedirectResponse(session.url, 303, HEADERS)
            except TooManyTries as refusal:
                return await self._slowed(request, session, fields, refusal)
            except (CardError, InvalidRequest) as refusal:
                return await self.shown(request, session, fields=fields, failure=refusal.message, status=422)
            except TapError:
                return await self.shown(request, session, fields=fields, failure="retry", status=503)
        raise AssertionError("unreachable: the last pass returns or raises")

    async def _slowed(self, request: Request, session: CheckoutSession, fields: Mapping[str, str], refusal: TooManyTries) -> Response:
        """Show the form, and for how long no card is taken."""
        minutes = math.ceil(refusal.pause_seconds / 60)
        page = await self.shown(request, session, fields=fields, failure=refusal.message, minutes=minutes, status=429)
        if refusal.pause_seconds:
            page.headers["Retry-After"] = str(refusal.pause_seconds)
        return page

    async def _anew(self, session: CheckoutSession) -> Offered | None:
        """Return how a buyer begins anew in a session that has expired; None where they can't."""
        if session.status is not SessionStatus.EXPIRED or not session.recovers:
            return None
        ahead_seconds = await self.opening.times.ahead_seconds(session.merchant_id, livemode=session.livemode)
        if session.expires_at + RECOVERABLE_SECONDS <= self.opening.clock.now() + ahead_seconds:
            return None
        return self.opening.again(session, await self._items(session))

    async def offered(
        self,
        request: Request,
        offer: Offered,
        *,
        visit: str = "",
        fields: Mapping[str, str] | None = None,
        mistakes: Mapping[str, str] | None = None,
    ) -> Response:
        """Show the form of a session that there isn't yet. Nothing is stored, so it may be looked at by whoever follows links, as often as they like."""
        session = offer.session(visit)
        shown = Shown(
            session=session,
            brand=await self.brand(session.merchant_id),
            items=offer.items,
            known_email=await self._known_email(session),
            intent=None,
            state=state_of(session),
            action=offer.action,
            values={"email": offer.email} if fields is None else kept_values(fields),
            mistakes=mistakes or {},
            failure="",
            visit=visit or new_visit(),
        )
        return self.view.form(request, shown, 422 if mistakes else 200)

    async def opened(self, request: Request, offer: Offered, fields: Mapping[str, str]) -> Response:
        """Open the session of a visit when its form is submitted for the first time, and carry out what was submitted."""
        visit = fields.get("visit", "")
        if not is_visit(visit):
            return await self.offered(request, offer)
        session = await self.opening.find(offer, visit)
        if session is None:
            session = offer.session(visit)
            given = read_submission(fields, session, await self._known_email(session), self.paying.vault)
            if fields.get("state") != state_of(session):
                return await self.offered(request, offer)
            if isinstance(given, Mistakes):
                return await self.offered(request, offer, visit=visit, fields=fields, mistakes=given.by_field)
            session = await self.opening.open(offer, session, visit)
        return await self.submitted(request, session, fields)

    async def _led_on(self, session: CheckoutSession, intent: Intent) -> Response:
        """Lead to where it goes on: the cardholder's bank, the shop, or this page, which says what it is about."""
        if intent.next_action is not None:
            return RedirectResponse(intent.next_action.url, 303, HEADERS)
        ended = await self.closing.up_to_date(await self.closing.read(session))
        target = redirect_of(ended) if ended.status is SessionStatus.COMPLETE else None
        return RedirectResponse(target or session.url, 303, HEADERS)


def guarded(handler: Handler, log: Logger) -> Handler:
    """Have a buyer shown a page whatever goes wrong, and the log told where."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except Exception as failure:  # noqa: BLE001 - as the front does for the API
            log.error("hosted page", failure)
            return said(request, "again", 503)

    return answer


def unknown(request: Request) -> Response:
    """Say that an address is none of ours."""
    return said(request, "unknown", 404)


def unknown_routes() -> list[Route]:
    """Return the routes of what buyers open and isn't there, such as a link that was cut off; they come after those of all pages."""

    async def answer(request: Request) -> Response:
        return unknown(request)

    return [Route(_ANY_PATH, answer, methods=["GET", "POST"])]


def said(request: Request, name: str, status: int) -> Response:
    """Show a page that has a title and a sentence, in the browser's language."""
    words = words_of(locale_of(request))
    return say(words[f"{name}_title"], words[f"{name}_text"], status, language=words.language)
