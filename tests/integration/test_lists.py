"""A list costs what it returns, whatever a merchant's history holds and whatever it is filtered by."""

import asyncio
from collections.abc import AsyncGenerator, Generator, Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg
import msgspec
import pytest
from psycopg.conninfo import conninfo_to_dict

from payments.domain.balance_transaction import BalanceTransaction
from payments.domain.customer import Customer
from payments.domain.errors import TooSlow, TooWide
from payments.domain.payment_method import PaymentMethod
from payments.domain.price import Price
from payments.domain.product import Product
from payments.runtime.ids import first_id_from
from payments.runtime.topology import SERVICES, Service
from payments.storage.database import Connection, connect, open_pool
from payments.storage.deliveries import Deliveries
from payments.storage.events import page_of_events
from payments.storage.paging import ROWS_LOOKED_AT_MAX, PageRequest
from payments.wire.kind import Kind
from payments.wire.kinds import BALANCE_TRANSACTION, CHARGE, CUSTOMER, PAYMENT_INTENT, PAYMENT_METHOD, PRICE, PRODUCT, REFUND
from payments.wire.lists import SETTINGS, Lists
from tests.integration.builders import payment
from tests.support.databases import MIGRATED, Databases
from tests.support.explained import Explained

HISTORY = 2 * ROWS_LOOKED_AT_MAX
"""More than any list may look at."""
START = 1_700_000_000
END = START + HISTORY
ROWS_READ_MAX = 1_500
"""A page's hundred rows, a few look-ups per endpoint, type or currency, and the ids that may differ from their `created`: not a history."""

Case = tuple[str, Mapping[str, Any]]


def made_at(prefix: str, second: int) -> str:
    return f"{first_id_from(prefix, second)}{second:016d}"


async def copy(connection: Connection, table: str, columns: str, rows: list[tuple[object, ...]]) -> None:
    schema, name = table.split(".")
    raw: Any = connection
    await raw.copy_records_to_table(name, schema_name=schema, columns=columns.split(), records=rows)


def document(subject: object) -> str:
    return msgspec.json.encode(subject).decode()


async def write_history(connection: Connection) -> None:
    """Merchant 1 has a long history of one kind; of everything else it has nothing."""
    seconds = range(START, END)
    customer = Customer(id="cus_x", merchant_id=1, livemode=False, created=START)
    change = BalanceTransaction(
        id="txn_x", merchant_id=1, livemode=False, created=START, amount=1, currency="usd", type="charge", source="ch_x", available_on=START
    )
    method: PaymentMethod = payment()[1].payment_method
    about = document(customer)
    await copy(
        connection,
        "payments.events",
        "merchant_id livemode id created type object_type object_id object_version snapshot",
        [(1, False, made_at("evt", at), at, "customer.created", "customer", "cus_x", 1, about) for at in seconds],
    )
    await copy(
        connection,
        "notifications.deliveries",
        "merchant_id livemode event_id endpoint_id status",
        [(1, False, made_at("evt", at), f"we_{at % 3}", "delivered") for at in seconds],
    )
    await copy(
        connection,
        "payments.customers",
        "merchant_id livemode id created version email deleted document",
        [(1, False, made_at("cus", at), at, 1, f"{at}@example.com", at > START + 10, about) for at in seconds],
    )
    await copy(
        connection,
        "payments.balance_transactions",
        "merchant_id livemode id created type source amount fee currency available_on document",
        [(1, False, made_at("txn", at), at, "charge", f"ch_{at}", 1, 0, "usd", at, document(change)) for at in seconds],
    )
    product = document(Product(id="own", place="prod_x", merchant_id=1, livemode=False, created=START, updated=START, name="Scarf"))
    await copy(
        connection,
        "payments.products",
        "merchant_id livemode id place created version active deleted document",
        [(1, False, f"own-{at}", made_at("prod", at), at, 1, at >= START + 5, False, product) for at in seconds],
    )
    price = document(Price(id="price_x", merchant_id=1, livemode=False, created=START, currency="usd", product="own"))
    await copy(
        connection,
        "payments.prices",
        "merchant_id livemode id created version active product lookup_key document",
        [(1, False, made_at("price", at), at, 1, True, f"own-{START + at % 20}", f"key-{at}", price) for at in seconds],
    )
    await copy(
        connection,
        "payments.payment_methods",
        "merchant_id livemode id created version customer sealed_number document",
        [(1, False, made_at("pm", at), at, 1, "cus_x", "sealed", document(method)) for at in seconds],
    )


@dataclass
class History:
    """A connection as lists have it, and what it has read."""

    owner: Connection
    lists: Explained

    async def events(self, page: PageRequest | None = None, *, types: list[str] | None = None, delivered: bool | None = None) -> list[str]:
        found, _ = await page_of_events(self.lists, 1, False, page or PageRequest(), types=types, delivered=delivered)
        return [event.id for event in found]

    async def deliveries(self, **filters: str) -> list[tuple[str, str]]:
        wanted = {"event_id": None, "endpoint_id": None, "status": None, "after": None, **filters}
        store: Any = Deliveries(None, lease_seconds=1)  # pyright: ignore[reportArgumentType] - a page is read on the connection given
        found, _ = await store.page(self.lists, 1, False, limit=10, **wanted)
        return [(each.event_id, each.endpoint_id) for each in found]


async def opened(database_url: str, owner: Connection, service: Service) -> AsyncGenerator[History]:
    role = SERVICES[service].database_role
    async with open_pool(database_url, role=role, name="test lists", server_settings=SETTINGS) as pool, pool.acquire() as connection:
        yield History(owner, Explained(connection))


@pytest.fixture(scope="module")
def with_history(databases: Databases) -> Generator[str]:
    """The name of a database with that history, which is copied for each test."""
    for url in databases.lend(MIGRATED):
        asyncio.run(_write_into(url))
        yield str(conninfo_to_dict(url)["dbname"])


async def _write_into(url: str) -> None:
    async with connect(url) as owner:
        await write_history(owner)


@pytest.fixture
def database_url(databases: Databases, with_history: str) -> Generator[str]:
    yield from databases.lend(with_history)


@pytest.fixture
async def notifications(database_url: str, connection: Connection) -> AsyncGenerator[History]:
    async for history in opened(database_url, connection, Service.NOTIFICATION_SERVICE):
        yield history


@pytest.fixture
async def payments(database_url: str, connection: Connection) -> AsyncGenerator[History]:
    async for history in opened(database_url, connection, Service.PAYMENT_API):
        yield history


EVENT_LISTS: list[tuple[PageRequest, dict[str, Any], int]] = [
    (PageRequest(), {}, 10),
    (PageRequest(limit=100), {}, 100),
    (PageRequest(starting_after=made_at("evt", START + 50), limit=100), {}, 50),
    (PageRequest(ending_before=made_at("evt", END - 50), limit=100), {}, 49),
    (PageRequest(created_to=5), {}, 0),
    (PageRequest(created_to=START + 4), {}, 5),
    (PageRequest(created_from=END), {}, 0),
    (PageRequest(created_from=START + 9000, created_to=START + 9004), {}, 5),
    (PageRequest(), {"types": ["charge.refunded"]}, 0),
    (PageRequest(), {"types": [f"no.type{n}" for n in range(275)]}, 0),
    (PageRequest(), {"types": ["charge.refunded", "customer.created"]}, 10),
    (PageRequest(ending_before=made_at("evt", END - 5)), {"types": ["charge.refunded", "customer.created"]}, 4),
    (PageRequest(created_to=5), {"types": ["customer.created"], "delivered": True}, 0),
    (PageRequest(), {"delivered": False}, 0),
    (PageRequest(), {"delivered": False, "types": ["customer.created"]}, 0),
    (PageRequest(), {"delivered": True}, 10),
    (PageRequest(), {"delivered": True, "types": ["charge.refunded"]}, 0),
    (PageRequest(ending_before=made_at("evt", START + 5)), {"delivered": True, "types": ["customer.created"]}, 10),
    (PageRequest(created_to=START + 20), {"delivered": True, "types": ["customer.created", "charge.refunded"]}, 10),
]


async def test_a_list_of_events_reads_no_history(notifications: History) -> None:
    for analyzed in (False, True):
        if analyzed:
            await notifications.owner.execute("ANALYZE")
        for page, filters, count in EVENT_LISTS:
            before = notifications.lists.rows_read
            assert len(await notifications.events(page, **filters)) == count, (page, filters)
            assert notifications.lists.rows_read - before <= ROWS_READ_MAX, (page, filters, analyzed)


DELIVERY_LISTS: list[tuple[dict[str, Any], int]] = [
    ({}, 10),
    ({"status": "dead"}, 0),
    ({"status": "pending"}, 0),
    ({"status": "delivered"}, 10),
    ({"endpoint_id": "we_none"}, 0),
    ({"endpoint_id": "we_1"}, 10),
    ({"endpoint_id": "we_1", "status": "dead"}, 0),
    ({"endpoint_id": "we_1", "after": (made_at("evt", START + 6), "we_2")}, 2),
    ({"event_id": made_at("evt", START)}, 1),
    ({"event_id": made_at("evt", START), "status": "dead", "endpoint_id": "we_1"}, 0),
    ({"after": (made_at("evt", START + 6), "we_2")}, 6),
    ({"status": "delivered", "after": (made_at("evt", START + 6), "we_0")}, 6),
]


async def test_a_list_of_deliveries_reads_no_history(notifications: History) -> None:
    for analyzed in (False, True):
        if analyzed:
            await notifications.owner.execute("ANALYZE")
        for filters, count in DELIVERY_LISTS:
            before = notifications.lists.rows_read
            assert len(await notifications.deliveries(**filters)) == count, filters
            assert notifications.lists.rows_read - before <= ROWS_READ_MAX, (filters, analyzed)


OBJECT_LISTS: list[tuple[Kind[Any], PageRequest, dict[str, Any], int]] = [
    (CUSTOMER, PageRequest(), {}, 10),
    (CUSTOMER, PageRequest(ending_before=made_at("cus", START)), {}, 10),
    (CUSTOMER, PageRequest(created_to=5), {}, 0),
    (CUSTOMER, PageRequest(), {"email": "nobody"}, 0),
    (CUSTOMER, PageRequest(), {"email": f"{START}@example.com"}, 1),
    (BALANCE_TRANSACTION, PageRequest(), {"currency": "xxx"}, 0),
    (BALANCE_TRANSACTION, PageRequest(), {"currency": "eur"}, 0),
    (BALANCE_TRANSACTION, PageRequest(), {"type": "refund"}, 0),
    (BALANCE_TRANSACTION, PageRequest(), {"type": "charge"}, 10),
    (BALANCE_TRANSACTION, PageRequest(), {"type": "charge", "currency": "usd"}, 10),
    (BALANCE_TRANSACTION, PageRequest(), {"type": "charge", "currency": "usd", "source": f"ch_{START}"}, 1),
    (BALANCE_TRANSACTION, PageRequest(), {"type": "refund", "source": f"ch_{START}"}, 0),
    (BALANCE_TRANSACTION, PageRequest(ending_before=made_at("txn", START)), {"currency": "usd"}, 10),
    (PAYMENT_METHOD, PageRequest(), {"customer": "cus_none"}, 0),
    (PAYMENT_METHOD, PageRequest(), {"customer": "cus_none", "allow_redisplay": "always"}, 0),
    (PAYMENT_METHOD, PageRequest(), {"customer": "cus_x", "allow_redisplay": "unspecified"}, 10),
    (PAYMENT_INTENT, PageRequest(), {"customer": "cus_x"}, 0),
    (CHARGE, PageRequest(), {"customer": "cus_x", "payment_intent": "pi_x"}, 0),
    (REFUND, PageRequest(), {"charge": "ch_x", "payment_intent": "pi_x"}, 0),
    (PRODUCT, PageRequest(), {}, 10),
    (PRODUCT, PageRequest(), {"active": False}, 5),
    (PRODUCT, PageRequest(starting_after=made_at("prod", START + 50)), {"active": True}, 10),
    (PRODUCT, PageRequest(), {"id": [f"own-{START}", "own-none", f"own-{START + 7}"]}, 2),
    (PRODUCT, PageRequest(), {"id": [f"own-{START}"], "url": "https://none.example"}, 0),
    (PRICE, PageRequest(), {"lookup_key": [f"key-{START}", f"key-{START + 9}", "key-none"]}, 2),
    (PRICE, PageRequest(), {"product": f"own-{START}"}, 10),
    (PRICE, PageRequest(), {"product": "own-none"}, 0),
    (PRICE, PageRequest(ending_before=made_at("price", END - 5)), {"active": True}, 4),
    (PRICE, PageRequest(), {"active": True, "currency": "usd"}, 10),
]


async def test_a_list_of_objects_reads_no_history(payments: History) -> None:
    for analyzed in (False, True):
        if analyzed:
            await payments.owner.execute("ANALYZE")
        for kind, page, filters, count in OBJECT_LISTS:
            before = payments.lists.rows_read
            assert len((await kind.noun.page(payments.lists, 1, False, page, filters))[0]) == count, (kind.name, page, filters)
            assert payments.lists.rows_read - before <= ROWS_READ_MAX, (kind.name, page, filters, analyzed)


async def test_delivered_events_of_several_types_are_looked_for_so_far_and_no_farther(notifications: History) -> None:
    assert len(await notifications.events(delivered=True, types=["charge.refunded", "customer.created"])) == 10
    assert notifications.lists.rows_read <= ROWS_LOOKED_AT_MAX + ROWS_READ_MAX


async def test_what_no_index_serves_is_looked_for_so_far_and_no_farther(payments: History) -> None:
    with pytest.raises(TooWide):
        await PAYMENT_METHOD.noun.page(payments.lists, 1, False, PageRequest(), {"allow_redisplay": "always"})
    assert payments.lists.rows_read <= ROWS_LOOKED_AT_MAX


async def test_a_page_that_ends_where_the_looking_ended_says_that_there_may_be_more(payments: History) -> None:
    found = PaymentMethod(
        id=made_at("pm", END - 5),
        merchant_id=1,
        livemode=False,
        created=END - 5,
        card=payment()[1].payment_method.card,
        allow_redisplay="always",
    )
    await payments.owner.execute("UPDATE payments.payment_methods SET document = $2 WHERE id = $1", found.id, document(found))
    always = {"allow_redisplay": "always"}
    assert await PAYMENT_METHOD.noun.page(payments.lists, 1, False, PageRequest(), always) == ([found], True)
    with pytest.raises(TooWide):
        await PAYMENT_METHOD.noun.page(payments.lists, 1, False, PageRequest(starting_after=found.id), always)
    early = PageRequest(starting_after=found.id, created_from=END - 500)
    assert await PAYMENT_METHOD.noun.page(payments.lists, 1, False, early, always) == ([], False)


async def test_the_connections_of_lists_write_nothing_and_give_up_in_time(database_url: str) -> None:
    role = SERVICES[Service.PAYMENT_API].database_role
    async with open_pool(database_url, role=role, name="test", server_settings=SETTINGS | {"statement_timeout": "10ms"}) as pool:
        lists = Lists(pool)
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            async with lists.connection(1) as connection:
                await connection.execute("UPDATE payments.customers SET version = 2")
        with pytest.raises(TooSlow):
            async with lists.connection(1) as connection:
                await connection.execute("SELECT pg_sleep(3600)")
        async with lists.connection(1) as connection:
            assert await connection.fetchval("SELECT 1") == 1


async def test_undelivered_events_are_found_among_many_that_were_delivered(notifications: History) -> None:
    for status, at in (("pending", START + 7), ("dead", START + 3)):
        await notifications.owner.execute("UPDATE notifications.deliveries SET status = $1 WHERE event_id = $2", status, made_at("evt", at))
    newest_first = [made_at("evt", START + 7), made_at("evt", START + 3)]
    assert await notifications.events(delivered=False) == newest_first
    assert await notifications.events(PageRequest(ending_before=newest_first[1]), delivered=False) == newest_first[:1]
    assert await notifications.events(PageRequest(created_to=START + 5), delivered=False) == newest_first[1:]
    assert await notifications.events(delivered=False, types=["charge.refunded"]) == []
    oldest = await notifications.events(PageRequest(created_to=START + 8), delivered=True)
    assert oldest == [made_at("evt", START + second) for second in (8, 6, 5, 4, 2, 1, 0)]
    assert await notifications.deliveries(status="pending") == [(newest_first[0], f"we_{(START + 7) % 3}")]


async def test_an_event_whose_id_is_older_than_it_is_listed_by_its_own_time(notifications: History) -> None:
    """Its id was made when the acquirer was asked, and it when that answered."""
    asked, answered = END + 100, END + 500
    await copy(
        notifications.owner,
        "payments.events",
        "merchant_id livemode id created type object_type object_id object_version snapshot",
        [(1, False, made_at("evt", asked), answered, "charge.captured", "customer", "cus_x", 1, "{}")],
    )
    assert await notifications.events(PageRequest(created_from=answered)) == [made_at("evt", asked)]
    assert await notifications.events(PageRequest(created_from=answered, created_to=answered), types=["charge.captured"]) == [
        made_at("evt", asked)
    ]
    assert await notifications.events(PageRequest(created_from=asked, created_to=answered - 1)) == []
