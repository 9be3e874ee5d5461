"""Where the pages of sessions and links are, and the sessions that buyers open themselves: by a payment link, or anew when one has expired.

A page that is only looked at stores nothing: crawlers, link previews and reloads would fill the database. It has a visit's random name in its form, and a session
is opened when that is submitted. The database holds one session a visit, so however often the form is submitted, it is the same one.
"""

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from payments.domain.checkout import CheckoutSession, Item, PaymentLink, SessionStatus
from payments.domain.errors import ObjectLocked
from payments.payment_api.checkout.lines import copied
from payments.runtime.clock import Clock
from payments.runtime.ids import new_id
from payments.runtime.topology import CHECKOUT_PATH, PAYMENT_LINK_PATH
from payments.storage.checkout import insert_items, session_of_visit
from payments.storage.database import Connection, Pool
from payments.storage.sandbox_clocks import SandboxTimes
from payments.wire.kinds import CHECKOUT_SESSION

SESSION_SECONDS = 24 * 3600
"""How long a session is open that nobody says another time for."""
_VISIT = re.compile(r"[A-Za-z0-9_-]{32}")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Makes addresses of pages."""

    public_url: str
    """Where our hosted pages are."""

    def of_session(self, identity: dict[str, Any]) -> dict[str, Any]:
        """Return a new session's secret, and the address of its page."""
        secret = secrets.token_urlsafe(24)
        path = CHECKOUT_PATH.format(mode=_mode(identity), merchant=identity["merchant_id"], session=identity["id"], secret=secret)
        return {"secret": secret, "url": self.public_url + path}

    def of_link(self, identity: dict[str, Any]) -> str:
        """Return the address of a new link's page."""
        return self.public_url + PAYMENT_LINK_PATH.format(mode=_mode(identity), merchant=identity["merchant_id"], link=identity["id"])


def _mode(identity: dict[str, Any]) -> str:
    return "live" if identity["livemode"] else "test"


def new_visit() -> str:
    """Return the name of a new visit."""
    return secrets.token_urlsafe(24)


def is_visit(text: str) -> bool:
    """Tell whether something may be a visit's name."""
    return _VISIT.fullmatch(text) is not None


async def insert_session(connection: Connection, session: CheckoutSession) -> None:
    """Store a new session; raises `ObjectLocked` when its visit has opened one already."""
    await CHECKOUT_SESSION.noun.insert(connection, session, payment_link=session.payment_link, visit=session.visit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """What a buyer may open a session for."""

    source: PaymentLink | CheckoutSession
    items: Sequence[Item]
    action: str
    """Where its form is submitted to."""
    session: Callable[[str], CheckoutSession]
    """Makes the session of a visit, which isn't stored yet."""
    email: str = ""
    """What the form says at first."""

    def visit(self, name: str) -> str:
        """Return what a visit is stored as: of this offer, so that no other one's session is found."""
        return f"{self.source.id}.{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Opens sessions."""

    pool: Pool
    clock: Clock
    times: SandboxTimes
    addresses: Addresses

    def of_link(self, link: PaymentLink, items: Sequence[Item], query: str, *, reference: str | None, email: str) -> Offered:
        """Return what a link offers; `query`: what its address is called with."""

        def session(visit: str) -> CheckoutSession:
            return CheckoutSession(
                **self._new(link),
                visit=f"{link.id}.{visit}",
                mode="payment",
                payment_link=link.id,
                amount_total=sum(item.amount for item in items),
                success_url=link.redirect_url,
                confirmation=link.confirmation,
                client_reference_id=reference,
                billing_address_collection=link.billing_address_collection,
                currency=link.currency,
                custom_text=link.custom_text,
                customer_creation=link.customer_creation or "if_required",
                metadata=link.metadata,
                intent_data=link.intent_data,
                phone_number_collection=link.phone_number_collection,
                shipping_countries=link.shipping_countries,
                submit_type=link.submit_type,
            )

        return Offered(source=link, items=items, action=f"{link.url}?{query}" if query else link.url, session=session, email=email)

    def again(self, expired: CheckoutSession, items: Sequence[Item]) -> Offered:
        """Return the same that was offered in a session that has expired."""

        def session(visit: str) -> CheckoutSession:
            return replace(
                expired,
                **self._new(expired),
                version=1,
                status=SessionStatus.OPEN,
                visit=f"{expired.id}.{visit}",
                recovered_from=expired.id,
                recovers=False,
                payment_intent=None,
                setup_intent=None,
                tries=0,
                tried_at=None,
                trying_since=None,
            )

        details = expired.customer_details
        return Offered(
            source=expired,
            items=items,
            action=expired.url,
            session=session,
            email="" if details is None else details.email or "",
        )

    def _new(self, source: PaymentLink | CheckoutSession) -> dict[str, Any]:
        now = int(self.clock.now())
        identity = {
            "id": new_id(CHECKOUT_SESSION.noun.prefix),
            "merchant_id": source.merchant_id,
            "livemode": source.livemode,
            "created": now,
        }
        return {**identity, **self.addresses.of_session(identity), "expires_at": now + SESSION_SECONDS}

    async def find(self, offer: Offered, visit: str) -> CheckoutSession | None:
        """Return the session that a visit has opened, if it has."""
        return await session_of_visit(self.pool, offer.source.merchant_id, offer.source.livemode, offer.visit(visit))

    async def open(self, offer: Offered, session: CheckoutSession, visit: str) -> CheckoutSession:
        """Store the session of a visit; returns the one that there is, when the form was submitted twice at once."""
        ahead_seconds = await self.times.ahead_seconds(session.merchant_id, livemode=session.livemode)
        session = replace(session, expires_at=session.expires_at + ahead_seconds)
        try:
            async with self.pool.acquire() as connection, connection.transaction():
                await insert_session(connection, session)
                await insert_items(connection, copied(offer.items, session.id, session.created))
        except ObjectLocked:
            found = await self.find(offer, visit)
            if found is None:
                raise
            return found
        return session
