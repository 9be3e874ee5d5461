"""Mail about events, to whoever looks after a merchant's payments: what happened to which object, and nothing of the buyer's."""

from dataclasses import dataclass

from payments.notification_service.channels.channel import Answered, Message, failed
from payments.notification_service.channels.receipts import NO_SERVER, message_id, refused_address
from payments.notification_service.mail.letters import AddressError, Envelope, address, mail_of, notice
from payments.notification_service.mail.server import Mailer
from payments.storage.brands import find_brand
from payments.storage.database import Pool
from payments.wire.rendering import render, subject_of


@dataclass(frozen=True, slots=True)
class Email:
    """Writes to one address."""

    pool: Pool
    public_url: str
    mailer: Mailer | None
    """None: the operator has named no server."""

    async def deliver(self, message: Message) -> Answered:
        """Send one."""
        event = message.due.event
        if self.mailer is None:
            return failed(NO_SERVER)
        brand = await find_brand(self.pool, event.merchant_id)
        try:
            recipient = address(message.due.endpoint.url.removeprefix("mailto:"))
            envelope = Envelope(
                from_name=f"Tap, for {brand.name}",
                sender=self.mailer.server.sender,
                recipient=recipient.addr_spec,
                message_id=message_id(event, message.due.endpoint.id, self.public_url),
                at=message.at,
            )
            return await self.mailer.send(mail_of(notice(event, brand, render(subject_of(event))), envelope), recipient.addr_spec)
        except AddressError:
            return refused_address()
