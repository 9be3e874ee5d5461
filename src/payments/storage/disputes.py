"""Disputes, as those find them who act on them: by the acquirer's name, by their deadline, by what is to be sent."""

import msgspec

from payments.domain.charge import Charge
from payments.domain.dispute import Dispute
from payments.storage.database import Connection, Found, Queries, found
from payments.storage.sql import queries

_SQL = queries("disputes.sql")
_decode = msgspec.json.Decoder(Dispute).decode


async def charge_of(connection: Queries, merchant_id: int, livemode: bool, order: str) -> Charge | None:
    """Return the charge that an order was about, `order` being the reference under which it was sent."""
    document = await connection.fetchval(_SQL["charge_of"], merchant_id, livemode, order)
    return None if document is None else msgspec.json.decode(document, type=Charge)


async def dispute_of_case(connection: Queries, merchant_id: int, livemode: bool, case: str) -> Dispute | None:
    """Return the dispute that an acquirer knows under this name."""
    document = await connection.fetchval(_SQL["of_case"], merchant_id, livemode, case)
    return None if document is None else _decode(document)


async def past_due(connection: Queries, now: int, limit: int) -> list[Found]:
    """Return disputes that should have been answered by `now`, unix seconds."""
    return found(await connection.fetch(_SQL["past_due"], now, limit))


async def send_answer(connection: Connection, dispute: Dispute, now: int) -> None:
    """Have the answer handed to the acquirer, in the transaction that gives it."""
    await connection.execute(_SQL["send"], dispute.merchant_id, dispute.livemode, dispute.id, now)


async def take_to_send(connection: Queries, now: int, again_seconds: int, limit: int) -> list[Found]:
    """Take answers to hand over; whoever takes one and doesn't say that it was sent leaves it to others after `again_seconds`."""
    return found(await connection.fetch(_SQL["take_to_send"], now, again_seconds, limit))


async def answer_sent(connection: Queries, dispute: Dispute) -> None:
    """Note that the acquirer has the answer."""
    await connection.execute(_SQL["sent"], dispute.merchant_id, dispute.livemode, dispute.id)
