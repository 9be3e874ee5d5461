"""What is searched is what there is: each query finds what it says, whatever was asked before, and nobody else's."""

import asyncio
import io
from collections.abc import AsyncGenerator
from typing import cast

import pytest
from msgspec.structs import replace

from payments.payment_api.indexing import Indexing
from payments.runtime.clock import SystemClock
from payments.runtime.logging import Logger
from payments.runtime.rows import RowByRow
from payments.search.language import parse_query
from payments.search.matching import matching
from payments.storage.database import Connection, Pool, open_pool
from payments.storage.keys import create_merchant
from payments.storage.outbox import dispatch
from payments.wire.kinds import PAYMENT_INTENT
from payments.wire.lists import SETTINGS, Lists
from payments.wire.reading import Reader
from payments.wire.searching import search
from tests.support.explained import ExplainedPool
from tests.support.in_process import InProcess, in_process

PAID = {"amount": "2000", "currency": "usd", "payment_method": "pm_card_visa", "confirm": "true"}


class Searched:
    """The services, and what makes their changes searchable."""

    def __init__(self, tap: InProcess, database_url: str) -> None:
        self.tap = tap
        self.indexing = Indexing(tap.pool, RowByRow(SystemClock(), Logger("test", io.BytesIO())))
        self._url = database_url

    async def index(self) -> None:
        """Tell of all that changed, and make it searchable."""
        async with open_pool(self._url, role="tap_notification_service", name="notifier") as notifier:
            while (await dispatch(notifier, 100)).events:
                pass
        while await self.indexing.index_older() or await self.indexing.index_changes():
            pass

    async def find(self, resource: str, query: str, **params: str) -> list[str]:
        return [each["id"] for each in (await self.tap.get(f"{resource}/search", query=query, **params))["data"]]


@pytest.fixture
async def searched(database_url: str) -> AsyncGenerator[Searched]:
    async with in_process(database_url) as tap:
        yield Searched(tap, database_url)


async def made(searched: Searched, path: str, **params: str) -> str:
    return (await searched.tap.post(path, **params)).id


async def test_customers_are_found_by_each_field(searched: Searched) -> None:
    ada = await made(
        searched, "customers", email="Ada@Rocketrides.io", name="Ada King Lovelace", phone="+43 660 1", **{"metadata[plan]": "Gold"}
    )
    bob = await made(searched, "customers", email="bob@example.com", name='Bob "Bo" King', **{"metadata[plan]": "silver"})
    await searched.index()
    created = (await searched.tap.get(f"customers/{ada}"))["created"]
    expected = {
        'email:"ada@rocketrides.io"': [ada],
        'email~"ROCKET"': [ada],
        'email~"ketrides.i"': [ada],
        'email~"ocket.ri"': [],
        "name:'king'": [bob, ada],
        "name:'ada king'": [ada],
        "name:'king ada'": [],
        "name~'king lo'": [ada],
        r'name:"bob \"bo\" king"': [bob],
        "phone:null": [bob],
        "-phone:null": [ada],
        "phone:'+43 660 1'": [ada],
        "metadata['plan']:'gold'": [ada],
        "-metadata['plan']:'gold'": [bob],
        "metadata['plan']:null": [],
        "-metadata['plan']:null": [bob, ada],
        "metadata['other']:null": [bob, ada],
        f"created:{created} name:'bob'": [bob],
        f"created>{created}": [],
        f"created>={created} AND -email~'rocket'": [bob],
        "email~'rocket' OR name:'bob'": [bob, ada],
        "-email~'rocket' OR -name:'bob'": [bob, ada],
    }
    assert {query: await searched.find("customers", query) for query in expected} == expected


async def test_payments_and_their_charges_are_found(searched: Searched) -> None:
    customer = await made(searched, "customers")
    paid = await made(searched, "payment_intents", **PAID, customer=customer, **{"metadata[order]": "A-1"})
    declined = await searched.tap.post("payment_intents", **{**PAID, "amount": "3000", "payment_method": "pm_card_chargeDeclined"})
    assert declined.status == 402
    open_one = await made(searched, "payment_intents", amount="2001", currency="eur")
    await searched.index()
    assert await searched.find("payment_intents", "status:'succeeded' AND currency:'USD'") == [paid]
    assert await searched.find("payment_intents", "amount>2000 amount<3000") == [open_one]
    assert await searched.find("payment_intents", "amount>=\"2001\" AND -currency:'eur'") == [
        declined.body["error"]["payment_intent"]["id"]
    ]
    assert await searched.find("payment_intents", f"customer:'{customer}'") == [paid]
    assert await searched.find("payment_intents", "amount:2000") == [paid]
    charge = (await searched.tap.get(f"payment_intents/{paid}"))["latest_charge"]
    for query in (
        "metadata['order']:'a-1'",
        "payment_method_details.card.last4:4242 status:'succeeded'",
        "payment_method_details.card.brand:'visa' AND refunded:null AND amount:2000",
        "disputed:'false' AND status:'succeeded'",
        "-payment_method_details.card.exp_month:null AND amount<3000",
    ):
        assert await searched.find("charges", query) == [charge], query
    assert await searched.find("charges", "status:'failed'") == [declined.body["error"]["charge"]]


async def test_what_changed_is_found_as_it_is(searched: Searched) -> None:
    intent = await made(searched, "payment_intents", amount="1000", currency="usd")
    paid = await made(searched, "payment_intents", **PAID)
    charge = (await searched.tap.get(f"payment_intents/{paid}"))["latest_charge"]
    customer = await made(searched, "customers", name="Ada")
    await searched.index()
    await searched.tap.post(f"payment_intents/{intent}", amount="1500", **{"metadata[order]": "7"})
    await searched.tap.post(f"charges/{charge}", **{"metadata[order]": "8"})
    await searched.tap.post(f"customers/{customer}", name="Grace")
    await searched.index()
    assert await searched.find("payment_intents", "metadata['order']:'7' amount:1500") == [intent]
    assert await searched.find("payment_intents", "amount:1000") == []
    assert await searched.find("charges", "metadata['order']:'8'") == [charge]
    assert (await searched.find("customers", "name:'ada'"), await searched.find("customers", "name:'grace'")) == ([], [customer])
    refund = await searched.tap.post("refunds", charge=charge, amount="500")
    assert refund.status == 200
    await searched.index()
    assert (await searched.find("charges", "refunded:'false'"), await searched.find("charges", "refunded:null")) == ([charge], [])
    await searched.tap.post("refunds", charge=charge)
    await searched.index()
    assert await searched.find("charges", "refunded:'true'") == [charge]
    await searched.tap.call("DELETE", f"/v1/customers/{customer}")
    assert await searched.find("customers", "name:'grace'") == [], "not even before that is known here"
    await searched.index()
    assert await searched.find("customers", "-name:'x'") == []
    found = await searched.tap.get("customers/search", query="-name:'x'")
    assert found == {"object": "search_result", "url": "/v1/customers/search", "has_more": False, "next_page": None, "data": []}


async def test_products_and_prices_are_found(searched: Searched) -> None:
    product = await made(
        searched, "products", id="scarf-1", name="Blue Scarf", description="Warm wool", shippable="true", url="https://shop.example/scarf"
    )
    price = await made(searched, "prices", product=product, currency="eur", unit_amount="100", lookup_key="scarf_standard")
    await searched.index()
    for query in ("active:'true'", "description~'ool'", "shippable:'true'", "url~'/scarf'", "name:'blue'"):
        assert await searched.find("products", query) == [product], query
    for query in ("type:'one_time'", "lookup_key:'scarf_standard'", "product:'scarf-1'", "currency:'eur' AND active:'true'"):
        assert await searched.find("prices", query) == [price], query
    await searched.tap.post(f"products/{product}", active="false")
    await searched.index()
    assert await searched.find("products", "active:'true'") == []


async def test_nothing_is_found_of_another_merchant_or_the_other_mode(searched: Searched, connection: Connection) -> None:
    other = await create_merchant(connection, "Other")
    mine = searched.tap.principal
    ids: dict[tuple[int, bool], str] = {}
    for merchant_id, livemode in ((1, False), (1, True), (other, False)):
        searched.tap.principal = replace(mine, merchant_id=merchant_id, livemode=livemode)
        ids[merchant_id, livemode] = await made(searched, "customers", name="Ada")
    await searched.index()
    token = ""
    for (merchant_id, livemode), customer in ids.items():
        searched.tap.principal = replace(mine, merchant_id=merchant_id, livemode=livemode)
        assert await searched.find("customers", "name:'ada'") == [customer]
        if token:
            assert await searched.find("customers", "name:'ada'", page=token) in ([], [customer])
        await made(searched, "customers", name="Ada")
        await searched.index()
        token = (await searched.tap.get("customers/search", query="name:'ada'", limit="1"))["next_page"]
        assert await searched.find("customers", "name:'ada'", page=token) == [customer]


async def test_pages_stay_what_they_are_while_more_comes(searched: Searched) -> None:
    ids = [await made(searched, "customers", name="Ada", email=f"a{number}@example.com") for number in range(7)]
    await searched.index()
    found: list[str] = []
    page: dict[str, str] = {}
    while True:
        answer = await searched.tap.get("customers/search", query="name:'ada'", limit="2", **page)
        found += [each["id"] for each in answer["data"]]
        if not answer["has_more"]:
            break
        page = {"page": answer["next_page"]}
        await made(searched, "customers", name="Ada")
        await searched.index()
    assert found == ids[::-1]
    refused = await searched.tap.call("GET", "/v1/customers/search", query="name:'bob'", **page)
    assert (refused.status, refused.body["error"]["param"]) == (400, "page")
    for forged in ("x", "é", "AAAA", "=" * 90):
        refused = await searched.tap.call("GET", "/v1/customers/search", query="name:'bob'", page=forged)
        assert (refused.status, refused.body["error"]["param"]) == (400, "page")


async def test_several_copies_index_everything_once(searched: Searched, database_url: str) -> None:
    async with open_pool(database_url, role="tap_payment_api", name="other") as pool:
        copies = [
            searched.indexing,
            Indexing(pool, RowByRow(SystemClock(), Logger("test", io.BytesIO()))),
            Indexing(pool, RowByRow(SystemClock(), Logger("test", io.BytesIO()))),
        ]
        while await searched.indexing.index_older():
            pass
        for number in range(40):
            await made(searched, "customers", name=f"Ada {number}")
        async with open_pool(database_url, role="tap_notification_service", name="notifier") as notifier:
            while (await dispatch(notifier, 5)).events:
                await asyncio.gather(*(copy.index_changes() for copy in copies))
        while any(await asyncio.gather(*(copy.index_changes() for copy in copies))):
            pass
    assert len(set(await searched.find("customers", "name:'ada'", limit="100"))) == 40


async def test_what_was_there_before_the_search_is_found(searched: Searched, connection: Connection) -> None:
    """As after the migration, of which the outbox knows nothing."""
    customers = [await made(searched, "customers", name="Ada") for _ in range(5)]
    paid = [await made(searched, "payment_intents", **PAID) for _ in range(5)]
    products = [await made(searched, "products", name="Hat", id=name) for name in ("z", "a", "m")]
    await connection.execute("TRUNCATE search.changes")
    await connection.execute("TRUNCATE notifications.outbox")
    searched.indexing = Indexing(searched.tap.pool, RowByRow(SystemClock(), Logger("test", io.BytesIO())), backfilled_at_once=2)
    await searched.index()
    assert await searched.find("customers", "name:'ada'") == customers[::-1]
    assert await searched.find("payment_intents", "status:'succeeded'") == paid[::-1]
    assert len(await searched.find("charges", "amount:2000")) == len(paid)
    assert await searched.find("products", "name:'hat'") == products[::-1]


async def test_a_change_that_fails_to_be_indexed_is_not_lost(searched: Searched, connection: Connection) -> None:
    customer = await made(searched, "customers", name="Ada")
    while await searched.indexing.index_older():
        pass
    await searched.index()
    await searched.tap.post(f"customers/{customer}", name="Grace")
    async with open_pool(searched._url, role="tap_notification_service", name="notifier") as notifier:
        await dispatch(notifier, 100)
    await connection.execute("REVOKE INSERT ON search.postings FROM tap_payment_api")
    with pytest.raises(Exception, match="permission denied"):
        await searched.indexing.index_changes()
    await connection.execute("GRANT INSERT ON search.postings TO tap_payment_api")
    await searched.index()
    assert await searched.find("customers", "name:'grace'") == [customer]


QUERIES = (
    "status:'succeeded'",
    "-status:'succeeded' AND -currency:'usd'",
    "amount>1 AND amount<3000 AND created>1 AND created<2",
    "metadata['order']:'none' OR metadata['order']:null OR customer:null OR amount>=5 OR -status:'x'",
    " ".join(f"metadata['k{number}']:'v'" for number in range(10)),
)


@pytest.mark.parametrize("query", QUERIES)
async def test_a_search_reads_its_bitmaps_and_a_page_and_nothing_else(
    searched: Searched, connection: Connection, database_url: str, query: str
) -> None:
    for _ in range(25):
        await made(searched, "payment_intents", amount="1000", currency="usd")
    await searched.index()
    await connection.execute(
        "INSERT INTO search.postings SELECT 1000 + n % 50, n, n % 3, 'p12' FROM generate_series(1, 20000) n;"
        "INSERT INTO search.documents SELECT 1000 + n % 50, n, 'x' || n, 1, '{}' FROM generate_series(1, 20000) n;"
        "INSERT INTO search.segments (merchant_id, livemode, kind) SELECT 1000 + n, false, 'charge' FROM generate_series(1, 5000) n;"
        "ANALYZE search.postings, search.documents, search.segments"
    )
    terms = len(matching("payment_intent", parse_query(query)).terms)
    async with open_pool(database_url, role="tap_payment_api", name="lists", server_settings=SETTINGS) as pool:
        explained = ExplainedPool(pool)
        lists = Lists(cast("Pool", explained))
        searched.tap.endpoints = [search(Reader(pool, lists, searched.tap.clock), PAYMENT_INTENT)]
        await searched.tap.get("payment_intents/search", query=query)
    assert explained.last is not None
    of_search = {name: count for name, count in explained.last.plans.items() if not name.endswith("payment_intents")}
    assert [name for name in of_search if name.startswith("Seq")] == []
    assert explained.last.rows_read <= terms + 2 * 11 + 1
