"""What an acquirer settles, against what is booked: a bank with a record of its own writes the file."""

import datetime
import io
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from payments.acquirers.far_end.settlement import SettlementOptions, write_settlement
from payments.acquirers.routing import Route, Routes
from payments.acquirers.settlement_files.csv_file import CsvFile, write_csv
from payments.acquirers.settlement_files.opening import open_settlement_file
from payments.domain.settlement import SettlementHeader, SettlementLine
from payments.storage.books import find_faults
from payments.storage.database import Connection, connect
from payments.storage.settlement import Difference, Reconciled, differences, reconcile
from tests.integration.use_cases import paid
from tests.support.acquirers_to_test import http_bank
from tests.support.in_process import InProcess, in_process

TODAY = datetime.datetime.now(datetime.UTC).date()


@dataclass
class Shop:
    tap: InProcess
    database_url: str
    record: Path
    file: bytes = b""
    reference: str = "bank-1"
    found: list[Difference] = field(default_factory=list)

    def settle(self, format_: Any = "csv") -> None:
        """Have the bank write its file."""
        out = io.BytesIO()
        options = SettlementOptions(acquirer="bank", day=TODAY, value_date=TODAY, fee_basis_points=100)
        write_settlement(self.record, out, format_, options, datetime.datetime.now(datetime.UTC))
        self.file = out.getvalue()

    @property
    def lines(self) -> list[SettlementLine]:
        return [each for each in CsvFile(io.BytesIO(self.file), TODAY).lines() if isinstance(each, SettlementLine)]

    def rewrite(self, change: Callable[[list[SettlementLine]], list[SettlementLine]], reference: str | None = None) -> None:
        """Have the bank write something else, and mean it."""
        before = CsvFile(io.BytesIO(self.file), TODAY).header
        header = SettlementHeader(
            acquirer="bank",
            reference=reference or before.reference,
            first_day=TODAY,
            last_day=TODAY,
            created=datetime.datetime.now(datetime.UTC),
        )
        out = io.BytesIO()
        write_csv(out, header, change(self.lines))
        self.file = out.getvalue()

    async def reconcile(self, *, book: bool = True) -> Reconciled:
        async with connect(self.database_url) as connection:
            file = open_settlement_file(io.BytesIO(self.file), TODAY)
            result = await reconcile(connection, file, "bank", book=book, now=int(self.tap.clock.now()))
            self.found = [each async for each in differences(connection)]
        return result


def classes(result: Reconciled) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for each in result.classes:
        counted[each.class_] += each.count
    return dict(counted)


@pytest.fixture
async def shop(database_url: str, tmp_path: Path) -> AsyncGenerator[Shop]:
    routes = Routes([Route(acquirer="bank", livemode=False)])
    async with http_bank(tmp_path, timeout_seconds=5) as bank, in_process(database_url, outside=[bank.acquirer], routes=routes) as tap:
        yield Shop(tap, database_url, tmp_path / "record.sqlite")


async def balance(connection: Connection, kind: str, currency: str = "usd") -> int:
    """What is on the accounts of a kind, debits less credits."""
    found: int | None = await connection.fetchval(
        "SELECT sum(debits_posted - credits_posted)::bigint FROM ledger.balances b JOIN ledger.accounts a ON a.id = b.account_id"
        " WHERE a.kind = $1 AND a.currency = $2",
        kind,
        currency,
    )
    return found or 0


async def some_payments(shop: Shop) -> None:
    """2000 paid of which 500 went back, 700 and 600 captured of a hold, and 1500 EUR."""
    first = await paid(shop.tap)
    assert (await shop.tap.post("refunds", payment_intent=first["id"], amount="500")).status == 200
    held = await paid(shop.tap, capture_method="manual")
    for amount, last in (("700", "false"), ("600", "true")):
        captured = await shop.tap.post(f"payment_intents/{held['id']}/capture", amount_to_capture=amount, final_capture=last)
        assert captured.status == 200, captured
    await paid(shop.tap, amount="1500", currency="eur")
    assert (
        await shop.tap.post("payment_intents", amount="4002", currency="usd", payment_method="pm_card_visa", confirm="true")
    ).status == 402


@pytest.mark.parametrize("format_", ["csv", "camt.053"])
async def test_what_the_bank_settles_is_what_is_booked(shop: Shop, connection: Connection, format_: str) -> None:
    await some_payments(shop)
    shop.settle(format_)
    assert classes(await shop.reconcile(book=False)) == {"matched": 5}
    assert await balance(connection, "receivable") == 2000 - 500 + 700 + 600
    result = await shop.reconcile()
    assert (result.all_matched, result.booked) == (True, True), result
    assert {(each.currency, each.count, each.amount, each.fee) for each in result.classes} == {("eur", 1, 1500, 15), ("usd", 4, 2800, 33)}
    again = await shop.reconcile()
    assert again == result
    assert await balance(connection, "receivable") == 0
    assert (await balance(connection, "settled"), await balance(connection, "costs")) == (2800 - 33, 33)
    assert await balance(connection, "receivable", "eur") == 0
    assert await connection.fetchval("SELECT count(*) FROM ledger.transfers WHERE kind = 'settlement'") == 5
    assert await find_faults(connection) == []
