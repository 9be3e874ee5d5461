"""Receipts: mail to the buyers of a merchant, each about their own payment. Source: Stripe, "Email receipts"."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from payments.domain.charge import Charge
from payments.domain.event import Event
from payments.notification_service.channels.channel import Answered, Message, Verdict, failed
from payments.notification_service.connections import Answer
from payments.notification_service.mail.letters import AddressError, Envelope, address, mail_of, receipt
from payments.notification_service.mail.server import Mailer
from payments.runtime.seal import Sealer
from payments.storage import mail as store
from payments.storage.brands import find_brand
from payments.storage.database import Pool
from payments.wire.rendering import subject_of
from payments.wire.unsubscribe_link import digest_of, unsubscribe_url

NO_SERVER = "no_mail_server"
_REFUSED = 400


@dataclass(frozen=True, slots=True)
class Receipts:
    """Writes to buyers."""

    pool: Pool
    sealer: Sealer
    public_url: str
    mailer: Mailer | None
    """None: the operator has named no server."""

    async def deliver(self, message: Message) -> Answered:
        """Send one, unless its buyer wants none."""
        event = message.due.event
        if self.mailer is None:
            return failed(NO_SERVER)
        charge = subject_of(event)
        if not isinstance(charge, Charge) or not charge.receipt_email:
            return nothing("no_address")
        recipient = charge.receipt_email
        if await store.is_unsubscribed(self.pool, event.merchant_id, event.livemode, digest_of(recipient)):
            return nothing("unsubscribed")
        brand = await find_brand(self.pool, event.merchant_id)
        locale = await store.language_of(self.pool, event.merchant_id, event.livemode, charge.payment_intent, charge.customer)
        letter = receipt(event, charge, brand, locale)
        if letter is None:
            return nothing("not_captured")
        try:
            envelope = Envelope(
                from_name=brand.name,
                sender=self.mailer.server.sender,
                recipient=recipient,
                message_id=message_id(event, message.due.endpoint.id, self.public_url),
                at=message.at,
                unsubscribe_url=unsubscribe_url(self.public_url, self.sealer, event.merchant_id, event.livemode, recipient),
            )
            return await self.mailer.send(mail_of(letter, envelope), address(recipient).addr_spec)
        except AddressError:
            return refused_address()


def message_id(event: Event, endpoint_id: str, public_url: str) -> str:
    """Return what tells a repetition of a mail: it is the same for one event and one destination."""
    return f"{event.id}.{endpoint_id}@{urlsplit(public_url).hostname or 'tap.invalid'}"


def nothing(why: str) -> Answered:
    """Answer that there is nothing to be sent, and that this is well."""
    return Answered(verdict=Verdict.DELIVERED, answer=Answer(error=why), felt=200, says_of_endpoint=False)


def refused_address() -> Answered:
    """Answer that no mail can go to an address."""
    return Answered(verdict=Verdict.REFUSED, answer=Answer(error="address"), felt=_REFUSED, says_of_endpoint=False)
