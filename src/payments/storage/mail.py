"""What is known of the buyers that mail goes to: their language, and that they want none."""

from payments.storage.database import Queries
from payments.storage.sql import queries

_SQL = queries("mail.sql")


async def language_of(source: Queries, merchant_id: int, livemode: bool, payment_intent: str, customer: str | None) -> str | None:
    """Return the locale of who paid; None where nobody said."""
    found: str | None = await source.fetchval(_SQL["language_of"], merchant_id, livemode, payment_intent, customer)
    return found


async def is_unsubscribed(source: Queries, merchant_id: int, livemode: bool, address: bytes) -> bool:
    """Tell whether an address, by its digest, wants no mail of a merchant."""
    return await source.fetchval(_SQL["is_unsubscribed"], merchant_id, livemode, address) is True


async def unsubscribe(source: Queries, merchant_id: int, livemode: bool, address: bytes) -> None:
    """Note that an address wants none; once more changes nothing."""
    await source.execute(_SQL["unsubscribe"], merchant_id, livemode, address)
