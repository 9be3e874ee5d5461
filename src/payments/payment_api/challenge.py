"""The hosted 3-D Secure challenge of test mode: a page where the cardholder authenticates, or fails to.

The link carries the intent's client secret, which is what entitles a browser to it.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from payments.domain.errors import InvalidRequest, ObjectLocked, OutcomePending, TapError
from payments.domain.event import Origin, event_of
from payments.domain.payment_intent import IntentStatus, PaymentError, PaymentIntent
from payments.domain.resource import next_version
from payments.domain.setup_intent import SetupAttempt, SetupIntent, SetupStatus
from payments.pages.amounts import shown_amount
from payments.pages.elements import framed
from payments.pages.page import HEADERS, say, show
from payments.pages.words import words_of
from payments.payment_api.checkout.page import said
from payments.payment_api.checkout.view import locale_of
from payments.payment_api.confirmation import Cards, confirmed
from payments.payment_api.keeping import Keeping
from payments.payment_api.steps import Steps, is_secret_of
from payments.runtime.ids import new_id
from payments.runtime.topology import CHALLENGE_PARAMETER, CHALLENGE_PATH
from payments.storage.brands import find_brand
from payments.storage.nouns import Noun
from payments.storage.payments import Begin
from payments.wire.kinds import PAYMENT_INTENT, SETUP_ATTEMPT, SETUP_INTENT

_FORM_BYTES_MAX = 1_000

Challenged = PaymentIntent | SetupIntent
"""What a cardholder authenticates for."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """Serves the challenge page."""

    steps: Steps
    cards: Cards
    keeping: Keeping
    frame_ancestors: tuple[str, ...] = ()
    """Whose pages may show it in a frame, as our script for merchants' pages does; none: any."""

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [Route(CHALLENGE_PATH, self._page, methods=["GET"]), Route(CHALLENGE_PATH, self._decide, methods=["POST"])]

    async def _page(self, request: Request) -> Response:
        return framed(await self._shown(request), self.frame_ancestors)

    async def _decide(self, request: Request) -> Response:
        return framed(await self._decided(request), self.frame_ancestors)

    async def _shown(self, request: Request) -> Response:
        intent = await self._find(request)
        if intent is None:
            return said(request, "unknown", 404)
        if not self._waits_for(intent, request):
            return _done(request, intent)
        language = locale_of(request)
        words = words_of(language)
        asked = shown_amount(intent.amount, intent.currency, language) if isinstance(intent, PaymentIntent) else words["challenge_keep"]
        merchant = (await find_brand(self.steps.pool, intent.merchant_id)).name
        return show("challenge", title=words["challenge_title"], language=words.language, words=words, merchant=merchant, amount=asked)

    async def _decided(self, request: Request) -> Response:
        intent = await self._find(request)
        if intent is None:
            return said(request, "unknown", 404)
        if not self._waits_for(intent, request):
            return _done(request, intent)
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _FORM_BYTES_MAX:
                return said(request, "too_much", 413)
        action = parse_qs(body.decode("ascii", "replace")).get("action", [""])[0]
        try:
            match action:
                case "complete":
                    return _done(request, await self._complete(intent))
                case "fail":
                    return _done(request, await self._fail(intent))
                case _:
                    return say("Unknown action", "Choose one of the two buttons.", 400)
        except ObjectLocked:
            return said(request, "again", 409)
        except OutcomePending:
            return _done(request, await self._find(request) or intent)
        except InvalidRequest as refusal:
            return say("Not possible any more", refusal.message, 400)
        except TapError:
            return said(request, "again", 503)

    async def _find(self, request: Request) -> Challenged | None:
        merchant, mode = request.path_params["merchant"], request.path_params["mode"]
        if not (merchant.isascii() and merchant.isdigit() and len(merchant) < 18) or mode not in ("test", "live"):
            return None
        intent_id = request.path_params["intent"]
        noun: Noun[Any] = SETUP_INTENT.noun if SETUP_INTENT.may_name(intent_id) else PAYMENT_INTENT.noun
        intent: Challenged | None = await noun.get(self.steps.pool, int(merchant), mode == "live", intent_id)
        secret = request.query_params.get("client_secret", "")
        return intent if intent is not None and is_secret_of(intent, secret) else None

    @staticmethod
    def _waits_for(intent: Challenged, request: Request) -> bool:
        """Tell whether the payment waits for this very challenge: for another amount, or another card, there is another one."""
        asked = intent.next_action
        if intent.status not in (IntentStatus.REQUIRES_ACTION, SetupStatus.REQUIRES_ACTION) or asked is None:
            return False
        return parse_qs(urlsplit(asked.url).query).get(CHALLENGE_PARAMETER) == (request.query_params.getlist(CHALLENGE_PARAMETER) or None)

    async def _complete(self, intent: Challenged) -> Challenged:
        """The cardholder is who they say: ask the acquirer again, saying so."""
        card = await (self.cards.of_setup(intent) if isinstance(intent, SetupIntent) else self.cards.of_intent(intent))
        if card is None:
            raise LookupError(f"{intent.id} waits for authentication without a card")
        customer = await self.cards.customer(intent.merchant_id, intent.livemode, intent.customer)
        if isinstance(intent, SetupIntent):
            return await self.keeping.complete(intent, card, await self._attempt_of(intent), customer)
        deadline = self.steps.lease_end()
        unit, work = confirmed(
            intent,
            card,
            unit=new_id("req"),
            now=int(self.steps.clock.now()),
            origin=Origin(),
            claim=None,
            customer=customer,
            authenticated=True,
        )
        await self.steps.begin(unit)
        return PAYMENT_INTENT.noun.decode((await self.steps.outcome_for_page(work, deadline)).snapshot)

    async def _attempt_of(self, intent: SetupIntent) -> SetupAttempt:
        attempt = await SETUP_ATTEMPT.noun.get(self.steps.pool, intent.merchant_id, intent.livemode, intent.latest_attempt or "")
        if attempt is None:
            raise LookupError(f"{intent.id} waits for authentication without an attempt")
        return attempt

    async def _fail(self, intent: Challenged) -> Challenged:
        now = int(self.steps.clock.now())
        method = await self.cards.named_by(intent)
        if isinstance(intent, SetupIntent):
            if method is None:
                raise LookupError(f"{intent.id} waits for authentication without a card")
            return await self.keeping.fail(intent, method, await self._attempt_of(intent))
        failed = next_version(
            intent,
            status=IntentStatus.REQUIRES_PAYMENT_METHOD,
            payment_method=None,
            next_action=None,
            last_payment_error=PaymentError(
                type="invalid_request_error",
                code="payment_intent_authentication_failure",
                message="The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new PaymentMethod "
                "to attempt to fulfill this PaymentIntent again.",
                payment_method=method,
            ),
        )
        event = event_of(new_id("evt"), "payment_intent.payment_failed", failed, created=now, origin=Origin())
        unit = Begin(unit=new_id("req"), merchant_id=intent.merchant_id, livemode=intent.livemode, changes=[failed], events=(event,))
        await self.steps.begin(unit)
        return failed


def _done(request: Request, intent: Challenged) -> Response:
    """Lead back to the merchant, or say how it went."""
    succeeded = intent.status in (IntentStatus.SUCCEEDED, IntentStatus.REQUIRES_CAPTURE, IntentStatus.PROCESSING, SetupStatus.SUCCEEDED)
    if intent.return_url:
        parts = urlsplit(intent.return_url)
        added = urlencode(
            {
                intent.OBJECT: intent.id,
                f"{intent.OBJECT}_client_secret": intent.client_secret,
                "redirect_status": "succeeded" if succeeded else "failed",
            }
        )
        query = f"{parts.query}&{added}" if parts.query else added
        return RedirectResponse(urlunsplit(parts._replace(query=query)), 303, HEADERS)
    return said(request, "authenticated" if succeeded else "unauthenticated", 200)
