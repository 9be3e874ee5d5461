"""What a merchant has, and what changed it."""

from typing import Literal

from payments.ledger.chart import AccountKind
from payments.storage.accounts import Accounts
from payments.wire.api import Call, Endpoint, Reply, reply
from payments.wire.expansion import check_expandable
from payments.wire.reading import FilterId, ListParams, Reader
from payments.wire.render import render_balance


class _ListParams(ListParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    currency: FilterId | None = None
    source: FilterId | None = None
    type: Literal["charge", "refund", "refund_failure"] | None = None


class BalanceApi:
    """Handlers of `/v1/balance` and `/v1/balance_transactions`."""

    def __init__(self, reader: Reader, accounts: Accounts) -> None:
        self._reader = reader
        self._accounts = accounts

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints."""
        return [
            Endpoint("GET", "/v1/balance", self._balance),
            Endpoint("GET", "/v1/balance_transactions", self._list),
            Endpoint("GET", "/v1/balance_transactions/{id}", self._retrieve),
        ]

    async def _balance(self, call: Call) -> Reply:
        call.no_parameters()
        check_expandable(call, "balance")
        balances = await self._accounts.merchant_balances(call.principal.merchant_id, call.principal.livemode)
        return reply(render_balance(call.principal.livemode, balances[AccountKind.PENDING], balances[AccountKind.AVAILABLE]))

    async def _list(self, call: Call) -> Reply:
        params = call.parse(_ListParams)
        filters = {"currency": params.currency, "source": params.source, "type": params.type}
        return await self._reader.page(call, "balance_transaction", params, filters, "/v1/balance_transactions")

    async def _retrieve(self, call: Call) -> Reply:
        call.no_parameters()
        return await self._reader.show(call, "balance_transaction", call.path["id"])
