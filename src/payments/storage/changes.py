"""Writing single objects, in the transaction of the call that changes them.

Each update is a compare-and-set: it takes the object one version on, and raises `ObjectLocked` when somebody else changed it first, or has it in hand.
Nobody waits here, as nobody does in `versions`: two calls of which each has what the other wants would wait for one another.
"""

import msgspec

from payments.domain.charge import Charge
from payments.domain.customer import Customer
from payments.domain.errors import ObjectLocked
from payments.domain.payment_intent import PaymentIntent
from payments.domain.payment_method import PaymentMethod
from payments.domain.refund import Refund
from payments.storage.database import Connection
from payments.storage.sql import queries

_SQL = queries("changes.sql")


def _key(subject: PaymentIntent | PaymentMethod | Customer | Refund | Charge) -> tuple[int, bool, str]:
    return subject.merchant_id, subject.livemode, subject.id


def _document(subject: object) -> str:
    return msgspec.json.encode(subject).decode()


async def _swap(connection: Connection, query: str, *arguments: object) -> None:
    if await connection.fetchval(query, *arguments) is None:
        raise ObjectLocked


async def update_intent(connection: Connection, intent: PaymentIntent) -> None:
    """Store `intent`, one version on."""
    await _swap(
        connection,
        _SQL["update_intent"],
        *_key(intent),
        intent.version - 1,
        intent.version,
        intent.status,
        intent.amount,
        intent.currency,
        intent.customer,
        _document(intent),
        intent.open_attempt,
    )


async def insert_payment_method(connection: Connection, method: PaymentMethod, sealed_number: str) -> None:
    """Store a new payment method."""
    await connection.execute(
        _SQL["insert_payment_method"], *_key(method), method.created, method.version, method.customer, sealed_number, _document(method)
    )


async def update_payment_method(connection: Connection, method: PaymentMethod) -> None:
    """Store `method`, one version on."""
    await _swap(
        connection,
        _SQL["update_payment_method"],
        *_key(method),
        method.version - 1,
        method.version,
        method.customer,
        _document(method),
    )


async def insert_customer(connection: Connection, customer: Customer) -> None:
    """Store a new customer."""
    await connection.execute(
        _SQL["insert_customer"],
        *_key(customer),
        customer.created,
        customer.version,
        customer.email,
        customer.deleted,
        _document(customer),
    )


async def update_customer(connection: Connection, customer: Customer) -> None:
    """Store `customer`, one version on."""
    await _swap(
        connection,
        _SQL["update_customer"],
        *_key(customer),
        customer.version - 1,
        customer.version,
        customer.email,
        customer.deleted,
        _document(customer),
    )


async def update_refund(connection: Connection, refund: Refund) -> None:
    """Store `refund`, one version on."""
    await _swap(connection, _SQL["update_refund"], *_key(refund), refund.version - 1, refund.version, _document(refund))


async def update_charge(connection: Connection, charge: Charge) -> None:
    """Store `charge`, one version on."""
    await _swap(connection, _SQL["update_charge"], *_key(charge), charge.version - 1, charge.version, _document(charge))
