"""`tap ledger export`: a ledger with holds, refunds and currencies of all exponents, read out, and checked by the tools that read such journals."""

import asyncio
import csv
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from payments.cli.data_directory import UsageError
from payments.cli.ledger import selection_of
from payments.ledger import postings
from payments.ledger.journals import JournalFormat, journal
from payments.storage.accounts import Accounts
from payments.storage.books import account_balances
from payments.storage.commit import write_alone
from payments.storage.database import Connection, open_pool
from payments.storage.ledger_export import Selection, UnknownAccountError, export_journal
from payments.storage.rows import TRANSFERS

DAY = 86_400
START = 1_790_000_000
TOOLS = {JournalFormat.HLEDGER: ["hledger", "check", "--strict", "-f"], JournalFormat.BEANCOUNT: ["bean-check"]}


async def exported(connection: Connection, journal_format: JournalFormat, selection: Selection) -> str:
    return "".join([piece async for piece in export_journal(connection, journal(journal_format), selection)])


@pytest.fixture
async def books(connection: Connection, database_url: str) -> Connection:
    """Two merchants, two acquirers, three currencies, on three days; as commits write them."""
    async with open_pool(database_url, role="tap_transaction_processor", name="test") as pool:
        accounts = Accounts(pool)
        for place, (merchant, acquirer, currency) in enumerate(((1, "simulator", "usd"), (1, "acme-2", "jpy"), (2, "simulator", "kwd"))):
            its, at = postings.Books(merchant, False, acquirer, currency), START + place * DAY
            transfers = [
                *postings.authorization(its, f"att_{place}", 5000, at),
                *postings.hold_release(its, f"att_{place}", 3000, at),
                *postings.capture(its, f"txn_{place}", 3000, 117, at, available_at_once=True),
                *postings.refund(its, f"txn_{place}r", 500, at + DAY),
                *postings.payout(its, f"txn_{place}p", 1000, at + DAY),
            ]
            rows = [TRANSFERS.row(each, await accounts.id_of(each.debit), await accounts.id_of(each.credit), "") for each in transfers]
            async with pool.acquire() as writer:
                await write_alone(writer, "transfers", rows)
    return connection


@pytest.mark.parametrize("journal_format", TOOLS)
@pytest.mark.parametrize(
    "selection",
    [Selection(), Selection(since=START + DAY), Selection(since=START + DAY, account="merchant:1"), Selection(until=START + DAY)],
    ids=["all", "from a day", "from a day, of a merchant", "until a day"],
)
async def test_the_tools_find_nothing_in_a_journal(
    books: Connection, tmp_path: Path, journal_format: JournalFormat, selection: Selection
) -> None:
    command = TOOLS[journal_format]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed here")
    file = tmp_path / "ledger.journal"
    file.write_text(await exported(books, journal_format, selection))
    checked = await asyncio.to_thread(subprocess.run, [*command, file], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


async def test_what_a_journal_adds_up_to_is_what_tap_has(books: Connection) -> None:
    """Without any tool: the sums of its transactions are the balances that it asserts, and those are ours."""
    text = await exported(books, JournalFormat.HLEDGER, Selection())
    sums: Counter[tuple[str, str]] = Counter()
    for name, amount, currency in re.findall(r"^    (\S+)  (-?[\d.]+) ([A-Z]{3})$", text, re.MULTILINE):
        sums[name, currency] += int(amount.replace(".", ""))
    asserted = {
        (name, currency): int(amount.replace(".", ""))
        for name, amount, currency in re.findall(r"^    (\S+)  [\d.]+ [A-Z]{3} = (-?[\d.]+) ([A-Z]{3})$", text, re.MULTILINE)
    }
    assert asserted == {key: sums[key] for key in asserted}
    assert sums.keys() <= asserted.keys()
    ours = {(f"{row['holder']}:{row['kind']}", row["currency"].upper()): abs(row["balance"]) for row in await account_balances(books)}
    assert ours == {
        (name.partition(":")[2], currency): abs(amount) for (name, currency), amount in asserted.items() if not name.startswith("equity:")
    }


async def test_csv_has_each_transfer_once_and_filters_choose(books: Connection) -> None:
    rows = list(csv.DictReader((await exported(books, JournalFormat.CSV, Selection())).splitlines()))
    assert (
        len({(row["posting"], row["kind"]) for row in rows}) == len(rows) == await books.fetchval("SELECT count(*) FROM ledger.transfers")
    )
    some = list(csv.DictReader((await exported(books, JournalFormat.CSV, Selection(account="merchant:2:available"))).splitlines()))
    assert {row["posting"] for row in some} == {"txn_2", "txn_2r", "txn_2p"}
    assert (
        await exported(books, JournalFormat.CSV, Selection(livemode=True))
        == (await exported(books, JournalFormat.CSV, Selection())).splitlines(keepends=True)[0]
    )


async def test_an_account_that_there_is_not_is_told(books: Connection) -> None:
    with pytest.raises(UnknownAccountError, match="merchant:1:available"):
        await exported(books, JournalFormat.CSV, Selection(account="merchant:3"))


@pytest.mark.parametrize(
    ("since", "until"), [("yesterday", None), ("2026-13-01", None), ("2026-11-02", "2026-11-01"), (None, "0001-01-01"), ("", "")]
)
def test_what_is_no_time_is_told(since: str | None, until: str | None) -> None:
    with pytest.raises(UsageError):
        selection_of(live=False, since=since, until=until, account=None)
    assert selection_of(live=True, since="2026-11-01", until="2026-11-02T00:00:00+01:00", account="x") == Selection(
        livemode=True, since=1_793_491_200, until=1_793_574_000, account="x"
    )
