"""The page where a buyer says that they want no more mail of a merchant: one click in a mail program, two in a browser (RFC 8058).

A mere visit changes nothing: programs that look at each link in a mail follow it as well.
"""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from payments.pages.page import HEADERS, show
from payments.pages.words import words_of
from payments.payment_api.checkout.page import Owner, guarded, owner_of, unknown
from payments.payment_api.checkout.view import locale_of
from payments.runtime.logging import Logger
from payments.runtime.seal import Sealer
from payments.storage.brands import find_brand
from payments.storage.database import Pool
from payments.storage.mail import unsubscribe
from payments.wire.unsubscribe_link import UNSUBSCRIBE_PATH, address_of, digest_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsubscribing:
    """Serves the page."""

    pool: Pool
    sealer: Sealer
    log: Logger

    def routes(self) -> list[Route]:
        """Return the routes."""
        page, submit = guarded(self._page, self.log), guarded(self._submit, self.log)
        return [Route(UNSUBSCRIBE_PATH, page, methods=["GET"]), Route(UNSUBSCRIBE_PATH, submit, methods=["POST"])]

    async def _page(self, request: Request) -> Response:
        found = self._find(request)
        return unknown(request) if found is None else await self._said(request, found[0], done=False)

    async def _submit(self, request: Request) -> Response:
        found = self._find(request)
        if found is None:
            return unknown(request)
        owner, address = found
        await unsubscribe(self.pool, owner.merchant_id, owner.livemode, digest_of(address))
        return await self._said(request, owner, done=True)

    def _find(self, request: Request) -> tuple[Owner, str] | None:
        """Return whose mail and which address a link names; what is posted says nothing more."""
        owner = owner_of(request)
        if owner is None:
            return None
        address = address_of(self.sealer, owner.merchant_id, owner.livemode, request.path_params["token"])
        return None if address is None else (owner, address)

    async def _said(self, request: Request, owner: Owner, *, done: bool) -> HTMLResponse:
        words = words_of(locale_of(request))
        brand = await find_brand(self.pool, owner.merchant_id)
        return show(
            "unsubscribe",
            title=words["unsubscribed_title" if done else "unsubscribe"],
            headers=HEADERS | {"Content-Security-Policy": f"{HEADERS['Content-Security-Policy']}; form-action 'self'"},
            language=words.language,
            text=words.say("unsubscribed_text" if done else "unsubscribe_text", merchant=brand.name),
            button="" if done else words["unsubscribe"],
        )
