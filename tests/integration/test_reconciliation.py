"""What an acquirer settles, against what is booked: a bank with a record of its own writes the file."""

import asyncio
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
from payments.domain.settlement import Availability, SettlementHeader, SettlementLine
from payments.storage import settlement
from payments.storage.books import find_faults
from payments.storage.database import Connection, connect
from payments.storage.settlement import Difference, Reconciled, differences, reconcile
from payments.storage.settlement_differences import NotOpen, open_differences, resolve_differences
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


async def test_each_way_to_disagree_is_found_and_put_into_suspense(shop: Shop, connection: Connection) -> None:
    await some_payments(shop)
    shop.settle()
    a, b, c, refund, eur = sorted(shop.lines, key=lambda line: (line.currency != "usd", line.kind == "refund", line.amount))
    assert [line.amount for line in (a, b, c, refund, eur)] == [600, 700, 2000, 500, 1500]
    shop.rewrite(
        lambda _: [
            a._replace(amount=590),
            b,
            b._replace(acquirer_reference="X1"),
            b,
            eur._replace(currency="chf"),
            c._replace(acquirer_reference="X2", reference="att_unknown"),
            refund,
        ]
    )
    expected = {"amount_differs": 1, "matched": 2, "duplicated": 2, "currency_differs": 1, "missing_here": 1, "missing_there": 2}
    result = await shop.reconcile()
    assert classes(result) == expected
    assert [(each.state, each.id is None) for each in shop.found if each.reference == b.reference] == [
        ("open", False),
        ("not booked again", True),
    ]
    # USD: 10 too few, 700 twice, 2000 of whom nobody knows, and 2000 that are missing; CHF: 1500 that are EUR here, and EUR: 1500 that are missing.
    assert -await balance(connection, "suspense") == -10 + 700 + 2000 - 2000
    assert (-await balance(connection, "suspense", "chf"), -await balance(connection, "suspense", "eur")) == (1500, -1500)
    assert await balance(connection, "receivable") == 0
    assert await find_faults(connection) == []
    before = await connection.fetchval("SELECT count(*) FROM ledger.transfers")
    both = await asyncio.gather(shop.reconcile(), shop.reconcile())
    assert [classes(each) for each in both] == [expected, expected]
    assert await connection.fetchval("SELECT count(*) FROM ledger.transfers") == before


async def test_a_later_file_brings_what_was_missing(shop: Shop, connection: Connection) -> None:
    await some_payments(shop)
    shop.settle()
    whole = shop.lines
    shop.rewrite(lambda lines: lines[:2], "bank-0")
    assert classes(await shop.reconcile()) == {"matched": 2, "missing_there": 3}
    shop.rewrite(lambda _: whole[2:], "bank-1")
    assert (await shop.reconcile()).all_matched
    assert [each async for each in open_differences(connection, None)] == []
    shop.rewrite(lambda _: whole, "bank-2")
    assert classes(await shop.reconcile()) == {"duplicated": 5}  # yesterday's lines again: told before, and not booked again
    assert await balance(connection, "suspense") == 0
    assert await find_faults(connection) == []


async def test_a_difference_is_resolved_by_hand_once(shop: Shop, connection: Connection) -> None:
    await some_payments(shop)
    shop.settle()
    shop.rewrite(lambda lines: [line._replace(reference=f"{line.reference}x") if line.currency == "usd" else line for line in lines][1:])
    await shop.reconcile()
    numbers = [each.id async for each in open_differences(connection, "bank")]
    with pytest.raises(NotOpen):
        await resolve_differences(connection, [*numbers, 10**9], "paid", "all or none", int(shop.tap.clock.now()))
    assert [each.id async for each in open_differences(connection, "bank")] == numbers
    await resolve_differences(connection, numbers[::2], "paid", "by wire", int(shop.tap.clock.now()))
    await resolve_differences(connection, numbers[1::2], "written_off", "too small to ask", int(shop.tap.clock.now()))
    assert await balance(connection, "suspense") == 0
    with pytest.raises(NotOpen):
        await resolve_differences(connection, numbers[:1], "paid", "twice", int(shop.tap.clock.now()))
    assert await find_faults(connection) == []


async def test_funds_wait_for_their_settlement_where_the_acquirer_says_so(shop: Shop, connection: Connection) -> None:
    object.__setattr__(shop.tap.copies[0].processor, "availability", {"bank": Availability.SETTLEMENT})
    first, second = await paid(shop.tap), await paid(shop.tap, amount="3000")
    shop.tap.clock.time += 30 * 24 * 3600
    assert await shop.tap.copies[0].sweeper.release_funds() == 0
    assert [each["status"] for each in (await shop.tap.get("balance_transactions"))["data"]] == ["pending", "pending"]
    shop.tap.clock.time -= 30 * 24 * 3600
    shop.settle()
    shop.rewrite(lambda lines: [line._replace(amount=2999) if line.amount == 3000 else line for line in lines])
    await shop.reconcile()
    found = {each["amount"]: each["status"] for each in (await shop.tap.get("balance_transactions"))["data"]}
    assert found == {2000: "available", 3000: "pending"}, (first, second)
    (difference,) = [each.id async for each in open_differences(connection, None)]
    await resolve_differences(connection, [difference], "written_off", "one cent", int(shop.tap.clock.now()))
    assert [each["status"] for each in (await shop.tap.get("balance_transactions"))["data"]] == ["available", "available"]
    assert await find_faults(connection) == []


async def test_a_file_whose_end_is_wrong_books_nothing(shop: Shop, connection: Connection) -> None:
    await paid(shop.tap)
    shop.settle()
    shop.file = shop.file.replace(b",2000,usd,", b",2001,usd,")
    result = await shop.reconcile()
    assert not result.booked
    assert "checksum" in result.faults[0]
    assert classes(result) == {"amount_differs": 1}
    assert await connection.fetchval("SELECT count(*) FROM settlement.files") == 0
    assert await balance(connection, "settled") == 0


async def test_lines_that_cannot_be_booked_leave_the_others(shop: Shop, connection: Connection) -> None:
    await paid(shop.tap)
    shop.settle()
    tomorrow = TODAY + datetime.timedelta(days=1)
    shop.rewrite(
        lambda lines: [
            *lines,
            lines[0]._replace(reference="att_2", acquirer_reference="X", value_date=tomorrow),
            lines[0]._replace(reference="att_3", acquirer_reference="Y", currency="xyz"),
        ]
    )
    result = await shop.reconcile()
    assert [refused.number for refused in result.refused] == [3, 4]
    assert classes(result) == {"matched": 1}
    assert not result.all_matched
    assert await balance(connection, "receivable") == 0


async def test_a_run_that_was_killed_goes_on_where_it_was(shop: Shop, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    await some_payments(shop)
    shop.settle()
    monkeypatch.setattr(settlement, "_BATCH", 2)
    monkeypatch.setitem(
        settlement._SQL,
        "bring",
        settlement._SQL["bring"].replace("l.id > $2", "l.id > $2 AND 1 / (3 - (SELECT count(*) FROM settlement.lines)) > 0"),
    )
    with pytest.raises(Exception, match="division by zero"):
        await shop.reconcile()
    assert await find_faults(connection) == []
    monkeypatch.undo()
    assert (await shop.reconcile()).all_matched
    assert await find_faults(connection) == []
