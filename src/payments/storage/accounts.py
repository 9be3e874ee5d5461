"""Ledger accounts and their balances."""

from collections.abc import Iterable

from payments.ledger.chart import Account, AccountKind
from payments.storage.database import Queries
from payments.storage.sql import queries

_SQL = queries("accounts.sql")


class NotOpenedError(Exception):
    """Accounts are posted to that aren't known yet. They are to be opened outside of the transaction that found out, since that takes a connection of its own."""

    def __init__(self, accounts: set[Account]) -> None:
        super().__init__()
        self.accounts = accounts


class Accounts:
    """Finds the id of each account, and opens it when it is new. An account never changes, so ids are remembered."""

    def __init__(self, pool: Queries) -> None:
        """Read and open accounts through `pool`."""
        self._pool = pool
        self._ids: dict[Account, int] = {}

    async def id_of(self, account: Account) -> int:
        """Return the account's id."""
        known = self._ids.get(account)
        if known is None:
            known = await self._open(account)
            self._ids[account] = known
        return known

    async def ids_of(self, accounts: Iterable[Account]) -> dict[Account, int]:
        """Return the ids of several."""
        return {account: await self.id_of(account) for account in accounts}

    def known(self, accounts: set[Account]) -> dict[Account, int]:
        """Return the accounts' ids where no connection may be waited for; raises `NotOpenedError`."""
        if new := accounts - self._ids.keys():
            raise NotOpenedError(new)
        return {account: self._ids[account] for account in accounts}

    async def _open(self, account: Account) -> int:
        arguments = (account.holder, account.livemode, account.kind, account.currency, account.normal_side)
        # A rival that opens the same account first is invisible to this statement's snapshot; the next one sees it.
        for _ in range(2):
            account_id: int | None = await self._pool.fetchval(_SQL["open_account"], *arguments)
            if account_id is not None:
                return account_id
        raise LookupError(f"account {account} can't be opened")

    async def imbalance(self) -> float:
        """Return by how much debits and credits differ, over all currencies, and how many rows were found wrong: 0 when the books are in order."""
        return float(await self._pool.fetchval(_SQL["imbalance"]))

    async def merchant_balances(self, merchant_id: int, livemode: bool) -> dict[AccountKind, dict[str, int]]:
        """Return a merchant's pending and available funds in minor units, by currency."""
        found = await self._pool.fetch(_SQL["merchant_balances"], f"merchant:{merchant_id}", livemode)
        balances: dict[AccountKind, dict[str, int]] = {AccountKind.PENDING: {}, AccountKind.AVAILABLE: {}}
        for row in found:
            balances[AccountKind(row["kind"])][row["currency"]] = row["amount"]
        return balances
