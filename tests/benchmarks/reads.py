"""What searches and lists cost a merchant that has many payments, and how each is read: `make bench-read`.

The payments are copies that SQL makes of a few real ones, in a database of their own; the search index is built of them as it would be after a migration.
"""

import argparse
import asyncio
import io
import json
import statistics
import time
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import psycopg
from msgspec.structs import fields

from payments.domain.errors import TapError
from payments.payment_api.indexing import Indexing
from payments.payment_api.public_api import public_api
from payments.payment_api.stripe_cli import StripeCli
from payments.runtime.clock import SystemClock
from payments.runtime.logging import Logger
from payments.runtime.rows import RowByRow
from payments.storage.database import connect, open_pool
from payments.storage.migrate import migrate
from payments.wire.api import Call, Endpoint
from payments.wire.form import decode_form
from payments.wire.lists import SETTINGS, Lists
from payments.wire.reading import PageParams, Reader
from tests.support.explained import ExplainedPool
from tests.support.in_process import InProcess, in_process
from tests.support.postgres import running_postgres

RESULTS = Path("bench-results")
CALLS = 5

CLONES = """
CREATE FUNCTION pg_temp.pair(n bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT substr('0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz', (n / 62 % 62)::integer + 1, 1)
        || substr('0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz', (n % 62)::integer + 1, 1) $$;
CREATE FUNCTION pg_temp.base62(n bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT pg_temp.pair(n / 56800235584) || pg_temp.pair(n / 14776336) || pg_temp.pair(n / 3844) || pg_temp.pair(n) $$;
CREATE TEMP TABLE made AS
SELECT n, pg_temp.base62((1700000000 + n * 30) * 1000::bigint) || lpad(n::text, 16, '0') AS id, 1700000000 + n * 30 AS created,
    100 + (n * 7919) % 900000 AS amount, (ARRAY['usd', 'eur', 'usd', 'gbp'])[1 + n % 4] AS currency,
    'cus_' || pg_temp.base62(1700000000000) || lpad(((n * 31) % {customers})::text, 16, '0') AS customer
FROM generate_series(1, {payments}::bigint) n;
CREATE TEMP TABLE intent AS SELECT * FROM payments.payment_intents LIMIT 1;
CREATE TEMP TABLE charge AS SELECT * FROM payments.charges LIMIT 1;
CREATE TEMP TABLE customer AS SELECT * FROM payments.customers LIMIT 1;
INSERT INTO payments.payment_intents (merchant_id, livemode, id, created, version, status, amount, amount_capturable, amount_received, currency, customer, document)
SELECT i.merchant_id, i.livemode, 'pi_' || m.id, m.created, i.version, i.status, m.amount, 0, 0, m.currency, m.customer,
    (i.document::jsonb || jsonb_build_object('id', 'pi_' || m.id, 'created', m.created, 'amount', m.amount, 'amount_received', 0, 'currency', m.currency,
    'customer', m.customer, 'latest_charge', 'ch_' || m.id,
    'metadata', jsonb_strip_nulls(jsonb_build_object('order', 'o' || m.n, 'parity', CASE WHEN m.n % 2 = 0 THEN 'even' END, 'other', CASE WHEN m.n % 2 = 1 THEN 'odd' END,
        'rare', CASE WHEN m.n % 100000 = 7 THEN 'yes' END))))::json
FROM made m, intent i;
INSERT INTO payments.charges (merchant_id, livemode, id, created, version, status, payment_intent, customer, amount, amount_captured, amount_refunded, currency, document)
SELECT c.merchant_id, c.livemode, 'ch_' || m.id, m.created, c.version, c.status, 'pi_' || m.id, m.customer, m.amount, 0, 0, m.currency,
    (c.document::jsonb || jsonb_build_object('id', 'ch_' || m.id, 'created', m.created, 'amount', m.amount, 'amount_captured', 0, 'currency', m.currency,
    'customer', m.customer, 'payment_intent', 'pi_' || m.id))::json
FROM made m, charge c;
INSERT INTO payments.customers (merchant_id, livemode, id, created, version, email, deleted, document)
SELECT c.merchant_id, c.livemode, 'cus_' || pg_temp.base62(1700000000000) || lpad(n::text, 16, '0'), 1700000000, 1, 'ada' || n || '@example.com', false,
    (c.document::jsonb || jsonb_build_object('id', 'cus_' || pg_temp.base62(1700000000000) || lpad(n::text, 16, '0'), 'created', 1700000000,
    'email', 'ada' || n || '@example.com', 'name', 'Ada ' || md5(n::text)))::json
FROM generate_series(0, {customers} - 1) n, customer c;
"""

SEARCHES = {
    "payment_intents": (
        "status:'succeeded'",
        "currency:'usd' AND status:'succeeded'",
        "metadata['order']:'o77777'",
        "metadata['rare']:'yes'",
        "metadata['order']:'none'",
        "metadata['parity']:'even' AND metadata['other']:'odd'",
        "-metadata['parity']:'even' AND -metadata['other']:'odd'",
        "-status:'succeeded'",
        "amount>899000 AND amount<899100",
        "amount>=900100",
        "amount<100",
        "amount>1000 AND amount<500000 AND -currency:'usd' AND -currency:'eur' AND -currency:'gbp'",
        "created<1700000100",
        "created>1800000000 OR amount:1",
        "status:'canceled' OR amount<100 OR created<1700000000 OR metadata['order']:null OR customer:null OR amount>900100",
    ),
    "charges": (
        "payment_method_details.card.last4:4242 AND amount>500000",
        "-payment_method_details.card.last4:4242",
        "refunded:'true' AND disputed:'false'",
        "payment_method_details.card.fingerprint:'none' OR -disputed:'false'",
    ),
    "customers": (
        "email:'ada77@example.com'",
        "email~'ada777'",
        "email~'example'",
        "email~'moc.elp'",
        "email~'comple'",
        "name:'ada'",
        "name~'fff' AND name~'000' AND name~'abc'",
        "-email~'example'",
        "-email~'ample.c' AND name:'ada'",
    ),
}
FILTERS: Mapping[str, str] = {
    "customer": "{customer}",
    "payment_intent": "{payment_intent}",
    "email": "ada77@example.com",
    "created[gt]": "1700100000",
    "created[lt]": "1700100000",
}


async def call(tap: InProcess, endpoints: list[Endpoint[Any]], path: str, params: Mapping[str, str], expand: tuple[str, ...] = ()) -> Any:
    (endpoint,) = [each for each in endpoints if (each.method, each.path) == ("GET", path)]
    asked = Call(
        principal=tap.principal,
        path={},
        params=decode_form(urlencode(params).encode()),
        expand=expand,
        request_id="req_1",
        idempotency_key=None,
        endpoint=f"GET {path}",
        api_version=tap.principal.api_version,
        received_at=0,
        digest=tap.sealer.digest,
    )
    try:
        return json.loads((await endpoint.answer(asked)).body)
    except TapError as refusal:
        return refusal


def api(pool: Any, tap: InProcess) -> list[Endpoint[Any]]:
    """The route table; all but its reads would find nothing to work with."""
    parts: dict[str, Any] = dict.fromkeys(signature(public_api).parameters)
    parts["reader"] = Reader(pool, Lists(pool), tap.clock)
    parts["stripe_cli"] = StripeCli(tap.sealer, "")
    return [*public_api(**parts)]


def asked(endpoints: list[Endpoint[Any]], ids: Mapping[str, str]) -> list[tuple[str, dict[str, str], tuple[str, ...]]]:
    """Every search, and every list by each filter of which there are values here."""
    found: list[tuple[str, dict[str, str], tuple[str, ...]]] = [
        (f"/v1/{resource}/search", {"query": query}, expand)
        for resource, queries in SEARCHES.items()
        for query in queries
        for expand in ((), ("total_count",))
    ]
    for endpoint in endpoints:
        if endpoint.method == "GET" and issubclass(endpoint.params, PageParams) and "{" not in endpoint.path:
            names = {each.encode_name for each in fields(endpoint.params)}
            found.append((endpoint.path, {}, ()))
            found += [
                (endpoint.path, {name: value.format(**ids)}, ()) for name, value in FILTERS.items() if name.partition("[")[0] in names
            ]
    return found


async def measure(url: str, payments: int) -> list[dict[str, Any]]:
    async with in_process(url) as tap:
        customer = await tap.post("customers", name="Ada")
        paid = {"amount": "2000", "currency": "usd", "payment_method": "pm_card_visa", "confirm": "true", "customer": customer.id}
        intent = await tap.post("payment_intents", **paid)
        started = time.perf_counter()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(cast("Any", CLONES.replace("{payments}", str(payments)).replace("{customers}", str(max(1, payments // 10)))))
            connection.execute("VACUUM ANALYZE")
        print(f"{payments} payments made in {time.perf_counter() - started:.0f} s")
        started, busy = time.perf_counter(), time.process_time()
        indexing, documents = Indexing(tap.pool, RowByRow(SystemClock(), Logger("test", io.BytesIO()))), 0
        while found := await indexing.index_older():
            documents += found
        seconds, busy = time.perf_counter() - started, time.process_time() - busy
        print(f"indexed in {seconds:.0f} s, of which {busy:.0f} s here: {documents / seconds:.0f} payments or customers a second")
        async with connect(url) as owner:
            await owner.execute("VACUUM ANALYZE search.postings")
            for table in ("postings", "documents"):
                size = await owner.fetchval(f"SELECT pg_total_relation_size('search.{table}')")
                print(f"search.{table}: {size / 1e6:.0f} MB")
        async with open_pool(url, role="tap_payment_api", name="lists", server_settings=SETTINGS) as pool:
            explaining = ExplainedPool(pool)
            plain, explained = api(pool, tap), api(explaining, tap)
            results: list[dict[str, Any]] = []
            for path, params, expand in asked(plain, {"customer": customer.id, "payment_intent": intent.id}):
                times: list[float] = []
                body: Any = None
                for _ in range(CALLS):
                    started = time.perf_counter()
                    body = await call(tap, plain, path, params, expand)
                    times.append((time.perf_counter() - started) * 1000)
                await call(tap, explained, path, params, expand)
                found = str(body) if isinstance(body, TapError) else f"{body.get('total_count', len(body['data']))} found"
                reads = explaining.last
                assert reads is not None
                plans = ", ".join(f"{name} x{count}" for name, count in reads.plans.items())
                results.append(
                    {
                        "path": path,
                        **params,
                        "counted": bool(expand),
                        "median_ms": statistics.median(times),
                        "rows_read": reads.rows_read,
                        "plans": reads.plans,
                        "found": found,
                    }
                )
                print(
                    f"{statistics.median(times):7.1f} ms  {max(times):7.1f} worst  {reads.rows_read:7d} rows  "
                    f"{path} {' '.join(params.values())[:120]}{' counted' if expand else ''}: {found[:60]} [{plans}]"
                )
            return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payments", type=int, default=1_000_000)
    options = parser.parse_args()
    with running_postgres(max_wal_size="8GB", shared_buffers="512MB", fsync="off") as server:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE reads TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'")
        migrate(server.url("reads"))
        results = asyncio.run(measure(server.url("reads"), options.payments))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "reads.json").write_text(json.dumps({"payments": options.payments, "reads": results}, indent=2))


if __name__ == "__main__":
    main()
