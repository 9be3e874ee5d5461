"""Reading a merchant's part of the ledger: accounts, pages of transfers, and balances as they were.

Each account's entries are read from an index in the order in which they happened. Balances as of a time are those of now, without what was entered since.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from payments.domain.ledger import LedgerAccount, LedgerTransfer, Sums, ledger_account_id
from payments.storage.database import Queries, Row
from payments.storage.paging import CREATED_MAX, PageRequest
from payments.storage.sql import queries

_SQL = queries("ledger_lists.sql")
_POSTINGS_MAX = 1_000
"""Of one source."""
_LAST = "~"
"""After every id, compared byte by byte."""


@dataclass(frozen=True, slots=True)
class MerchantAccounts:
    """The accounts of a merchant in a mode."""

    livemode: bool
    by_number: Mapping[int, LedgerAccount]
    """By the database's own number, which is shown to nobody."""

    def numbers(self, account_id: str | None) -> list[int]:
        """Return the numbers of all, or of the one that is called so, if there is one."""
        return [number for number, account in self.by_number.items() if account_id in (None, account.id)]

    def transfer(self, row: Row) -> LedgerTransfer:
        """Return a transfer as the merchant sees it."""
        names = ("posting", "kind", "phase", "amount", "currency", "occurred_at")
        return LedgerTransfer(
            **{name: row[name] for name in names},
            livemode=self.livemode,
            debit_account=self._id(row["debit_account"]),
            credit_account=self._id(row["credit_account"]),
        )

    def _id(self, number: int) -> str | None:
        account = self.by_number.get(number)
        return None if account is None else account.id


async def accounts_of(connection: Queries, merchant_id: int, livemode: bool, as_of: int | None = None) -> MerchantAccounts:
    """Return a merchant's accounts, by currency and kind, as they were at the end of a second; None: as they are."""
    rows = await connection.fetch(_SQL["accounts"], f"merchant:{merchant_id}", livemode, as_of)
    found = {
        row["id"]: LedgerAccount(
            id=ledger_account_id(merchant_id, livemode, row["kind"], row["currency"]),
            livemode=livemode,
            kind=row["kind"],
            currency=row["currency"],
            sums=Sums(**{name: row[name] for name in ("debits", "credits", "held_debits", "held_credits")}),
        )
        for row in rows
    }
    return MerchantAccounts(livemode, found)


async def page_of_transfers(
    connection: Queries, accounts: MerchantAccounts, page: PageRequest, account_id: str | None, cursor: LedgerTransfer | None
) -> tuple[list[LedgerTransfer], bool]:
    """Return a page, newest first, and whether there is more in the direction asked for."""
    forwards = page.ending_before is not None
    beyond = (cursor.occurred_at, cursor.posting, cursor.kind) if cursor else (CREATED_MAX, _LAST, _LAST)
    query = _SQL["page"].format(beyond=">" if forwards else "<", order=page.order)
    created = (page.created_from, page.created_to)
    rows = await connection.fetch(query, accounts.numbers(account_id), *created, *beyond, page.limit + 1)
    found = [accounts.transfer(row) for row in rows[: page.limit]]
    return found[::-1] if forwards else found, len(rows) > page.limit


async def find_transfer(connection: Queries, accounts: MerchantAccounts, transfer_id: str) -> LedgerTransfer | None:
    """Return a transfer that touched one of the accounts."""
    posting, _, kind = transfer_id.partition(".")
    found = await transfers_of(connection, accounts, [posting])
    return next((each for each in found if each.kind == kind), None)


async def transfers_of(connection: Queries, accounts: MerchantAccounts, postings: Sequence[str]) -> list[LedgerTransfer]:
    """Return all transfers of some postings that touched one of the accounts, newest first."""
    rows = await connection.fetch(_SQL["of_postings"], list(postings), accounts.numbers(None))
    return [accounts.transfer(row) for row in rows]


async def postings_of(connection: Queries, merchant_id: int, livemode: bool, source: str) -> list[str]:
    """Return the balance transactions of a charge, a refund, a dispute or a payout, the newest thousand."""
    return [row["id"] for row in await connection.fetch(_SQL["postings_of_source"], merchant_id, livemode, source, _POSTINGS_MAX)]
