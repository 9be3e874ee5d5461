"""The receipt of a payment: a page of ours for its buyer, which says how the charge stands now."""

import hmac
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from payments.domain.charge import Charge
from payments.domain.checkout import Item
from payments.domain.payment_intent import IntentStatus
from payments.pages.amounts import shown_amount, shown_date
from payments.pages.page import HEADERS, show
from payments.pages.words import words_of
from payments.payment_api.checkout.page import guarded, owner_of, unknown
from payments.payment_api.checkout.view import line_of, locale_of
from payments.runtime.logging import Logger
from payments.storage.brands import find_brand
from payments.storage.database import Pool
from payments.wire.kinds import CHARGE, CHECKOUT_SESSION, ITEM, PAYMENT_INTENT
from payments.wire.receipt_link import RECEIPT_PATH

_ITEMS_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipts:
    """Serves receipts."""

    pool: Pool
    log: Logger

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [Route(RECEIPT_PATH, guarded(self._page, self.log), methods=["GET"])]

    async def _page(self, request: Request) -> Response:
        charge = await self._find(request)
        if charge is None:
            return unknown(request)
        language = locale_of(request)
        words = words_of(language)
        brand = await find_brand(self.pool, charge.merchant_id)
        paid = charge.amount_captured if charge.captured else charge.amount
        amount = shown_amount(paid, charge.currency, language)
        items = await self._bought(charge)
        lines = [line_of(item, language, words) for item in items] if sum(item.amount for item in items) == paid else []
        note = "" if charge.captured else words["released" if await self._is_released(charge) else "held"]
        return show(
            "receipt",
            title=words.say("receipt", merchant=brand.name),
            headers=HEADERS,
            refresh_seconds=0,
            embedded=False,
            completes=False,
            words=words,
            brand=brand,
            test_mode=not charge.livemode,
            amount_label=words["amount_paid" if charge.captured else "amount_held"],
            amount=amount,
            date=shown_date(charge.created, language),
            card=words.card(charge.card.brand, charge.card.last4),
            note=note,
            lines=lines or [{"name": charge.description or words.say("payment_to", merchant=brand.name), "amount": amount, "count": ""}],
            refunded=shown_amount(charge.amount_refunded, charge.currency, language) if charge.captured and charge.amount_refunded else "",
            reference=charge.id,
        )

    async def _find(self, request: Request) -> Charge | None:
        """Return the charge whose receipt is asked for by somebody who has its address."""
        owner = owner_of(request)
        if owner is None:
            return None
        charge = await CHARGE.noun.get(self.pool, owner.merchant_id, owner.livemode, request.path_params["charge"])
        if charge is None or charge.receipt_url is None:
            return None
        secret = charge.receipt_url.rpartition("/")[2]
        given: str = request.path_params["secret"]
        return charge if hmac.compare_digest(secret.encode(), given.encode(errors="replace")) else None

    async def _is_released(self, charge: Charge) -> bool:
        """Tell whether a hold was given up: a charge doesn't say so itself where its intent was canceled."""
        intent = await PAYMENT_INTENT.noun.get(self.pool, charge.merchant_id, charge.livemode, charge.payment_intent)
        return charge.refunded or (intent is not None and intent.status is IntentStatus.CANCELED)

    async def _bought(self, charge: Charge) -> list[Item]:
        """Return what was bought, where it was on a page of ours."""
        sessions = await CHECKOUT_SESSION.noun.newest_of(
            self.pool, charge.merchant_id, charge.livemode, "payment_intent", [charge.payment_intent], 1
        )
        session = next(iter(sessions.get(charge.payment_intent, [])), None)
        if session is None:
            return []
        found = await ITEM.noun.newest_of(self.pool, charge.merchant_id, charge.livemode, "owner", [session.id], _ITEMS_MAX)
        return list(found.get(session.id, []))
