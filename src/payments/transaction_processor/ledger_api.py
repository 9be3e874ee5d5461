"""A merchant's part of the ledger: `/v1/ledger`, which is Tap's own."""

from functools import partial
from typing import Annotated

from msgspec import Meta, Struct

from payments.domain.errors import NotFound
from payments.domain.ledger import LedgerAccount, LedgerTransfer, TrialBalance
from payments.ledger.chart import AccountKind
from payments.storage.ledger_lists import MerchantAccounts, accounts_of, find_transfer, page_of_transfers, postings_of, transfers_of
from payments.storage.paging import CREATED_MAX
from payments.wire.api import Call, Endpoint, Endpoints, Reply, reply
from payments.wire.expansion import check_expandable
from payments.wire.kind import Shown
from payments.wire.params import NoParams
from payments.wire.reading import FilterId, ListParams, PageParams, Reader, found_cursor, page_of_these, range_of
from payments.wire.render_ledger import render_ledger_account, render_ledger_transfer, render_trial_balance
from payments.wire.render_lists import render_list

ACCOUNTS_PATH = "/v1/ledger/accounts"
TRANSFERS_PATH = "/v1/ledger/transfers"
_ACCOUNT, _TRANSFER, _TRIAL_BALANCE = LedgerAccount.OBJECT, LedgerTransfer.OBJECT, TrialBalance.OBJECT


class _AccountListParams(PageParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    currency: FilterId | None = None
    kind: AccountKind | None = None


class _TransferListParams(ListParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    account: FilterId | None = None
    posting: FilterId | None = None
    source: FilterId | None = None


class _TrialBalanceParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    as_of: Annotated[int, Meta(ge=0, le=CREATED_MAX)] | None = None


class LedgerApi:
    """Handlers; they read on the connections of lists, since there may be much to read."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def endpoints(self) -> Endpoints:
        """What may be called."""
        return [
            Endpoint("GET", ACCOUNTS_PATH, _AccountListParams, self._list_accounts, shows=Shown(_ACCOUNT, listed=True)),
            Endpoint("GET", f"{ACCOUNTS_PATH}/{{id}}", NoParams, self._retrieve_account, shows=Shown(_ACCOUNT)),
            Endpoint("GET", TRANSFERS_PATH, _TransferListParams, self._list_transfers, shows=Shown(_TRANSFER, listed=True)),
            Endpoint("GET", "/v1/ledger/trial_balance", _TrialBalanceParams, self._trial_balance, shows=Shown(_TRIAL_BALANCE)),
        ]

    async def _accounts(self, call: Call, as_of: int | None = None) -> MerchantAccounts:
        async with self._reader.lists.connection(call.principal.merchant_id) as connection:
            return await accounts_of(connection, call.principal.merchant_id, call.principal.livemode, as_of)

    async def _list_accounts(self, call: Call, params: _AccountListParams) -> Reply:
        check_expandable(call, _ACCOUNT)
        found = (await self._accounts(call)).by_number.values()
        shown = [
            render_ledger_account(each) for each in found if params.currency in (None, each.currency) and params.kind in (None, each.kind)
        ]
        return await page_of_these("ledger account", shown, params, ACCOUNTS_PATH)

    async def _retrieve_account(self, call: Call, _: NoParams) -> Reply:
        check_expandable(call, _ACCOUNT)
        accounts = await self._accounts(call)
        for number in accounts.numbers(call.path["id"]):
            return reply(render_ledger_account(accounts.by_number[number]))
        raise NotFound("ledger account", call.path["id"][:100])

    async def _list_transfers(self, call: Call, params: _TransferListParams) -> Reply:
        """Answer with a page; what is of one posting, or of what some are about, is looked up by that, and little."""
        check_expandable(call, _TRANSFER)
        page, merchant_id, livemode = params.page(), call.principal.merchant_id, call.principal.livemode
        async with self._reader.lists.connection(merchant_id) as connection:
            accounts = await accounts_of(connection, merchant_id, livemode)
            if params.posting is None and params.source is None:
                cursor = await found_cursor("ledger transfer", page, partial(find_transfer, connection, accounts))
                found, has_more = await page_of_transfers(connection, accounts, page, params.account, cursor)
                return reply(render_list(TRANSFERS_PATH, [render_ledger_transfer(each) for each in found], has_more=has_more))
            of_source = None if params.source is None else await postings_of(connection, merchant_id, livemode, params.source)
            postings = of_source if params.posting is None else [params.posting] if of_source is None or params.posting in of_source else []
            found = await transfers_of(connection, accounts, postings or [])
        return await page_of_these(
            "ledger transfer", [render_ledger_transfer(each) for each in found if _is_wanted(each, params)], params, TRANSFERS_PATH
        )

    async def _trial_balance(self, call: Call, params: _TrialBalanceParams) -> Reply:
        check_expandable(call, _TRIAL_BALANCE)
        accounts = await self._accounts(call, params.as_of)
        trial = TrialBalance(livemode=call.principal.livemode, as_of=params.as_of, accounts=list(accounts.by_number.values()))
        return reply(render_trial_balance(trial))


def _is_wanted(transfer: LedgerTransfer, params: _TransferListParams) -> bool:
    """Compare what wasn't looked up by."""
    earliest, latest = range_of(params.created)
    is_of_account = params.account is None or params.account in (transfer.debit_account, transfer.credit_account)
    return is_of_account and earliest <= transfer.occurred_at <= latest
