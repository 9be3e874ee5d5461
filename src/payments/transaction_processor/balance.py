"""What a merchant has, and what changed it."""

from typing import Literal

from payments.domain.errors import InvalidRequest
from payments.ledger.chart import AccountKind
from payments.storage.accounts import Accounts
from payments.wire.api import Call, Endpoint, Endpoints, Reply, reply
from payments.wire.expansion import check_expandable
from payments.wire.kind import Shown
from payments.wire.kinds import BALANCE_TRANSACTION, PAYOUT
from payments.wire.params import NoParams
from payments.wire.reading import FilterId, ListParams, Reader
from payments.wire.render import render_balance
from payments.wire.resource import retrieve


class _ListParams(ListParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    currency: FilterId | None = None
    payout: FilterId | None = None
    source: FilterId | None = None
    type: Literal["charge", "refund", "refund_failure", "adjustment", "payout", "payout_cancel", "payout_failure"] | None = None


class BalanceApi:
    """`/v1/balance` and `/v1/balance_transactions`."""

    def __init__(self, reader: Reader, accounts: Accounts) -> None:
        self._reader = reader
        self._accounts = accounts

    def endpoints(self) -> Endpoints:
        """What may be called."""
        return [
            Endpoint("GET", "/v1/balance", NoParams, self._balance, shows=Shown("balance")),
            Endpoint("GET", BALANCE_TRANSACTION.path, _ListParams, self._list),
            retrieve(self._reader, BALANCE_TRANSACTION),
        ]

    async def _list(self, call: Call, params: _ListParams) -> Reply:
        """Answer with a page; by payout, with what an automatic one is of, its own withdrawal included."""
        if params.payout is not None:
            payout = await self._reader.get(call, PAYOUT, params.payout, param="payout")
            if not payout.automatic:
                raise InvalidRequest("Balance transaction history can only be filtered on automatic payouts, not manual.", param="payout")
        return await self._reader.page(call, BALANCE_TRANSACTION, params)

    async def _balance(self, call: Call, _: NoParams) -> Reply:
        check_expandable(call, "balance")
        balances = await self._accounts.merchant_balances(call.principal.merchant_id, call.principal.livemode)
        return reply(render_balance(call.principal.livemode, balances[AccountKind.PENDING], balances[AccountKind.AVAILABLE]))
