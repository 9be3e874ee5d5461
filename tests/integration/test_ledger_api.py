"""`/v1/ledger`: a merchant's accounts, the transfers that touched them, and what they had at a time; and nobody else's."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from msgspec.structs import replace

from payments.domain.ledger import ledger_account_id
from payments.ledger import postings
from payments.storage.accounts import Accounts
from payments.storage.commit import write_alone
from payments.storage.database import connect, open_pool
from payments.storage.keys import create_merchant
from payments.storage.rows import TRANSFERS
from tests.support.in_process import InProcess, in_process

PAID = {"currency": "usd", "confirm": "true", "payment_method": "pm_card_visa"}
START = 1_700_000_000


@pytest.fixture
async def tap(database_url: str) -> AsyncGenerator[InProcess]:
    async with in_process(database_url) as made:
        yield made


async def all_of(tap: InProcess, path: str, **params: str) -> list[Any]:
    """Every object of a list, three a page."""
    found: list[Any] = []
    while True:
        after = {"starting_after": found[-1]["id"]} if found else {}
        page = await tap.get(path, limit="3", **params, **after)
        found += page["data"]
        if not page["has_more"]:
            return found


def summed(accounts: list[Any], transfers: list[Any]) -> dict[str, tuple[int, int]]:
    """What each account has, and what is held, as its transfers say."""
    found = {account["id"]: (0, 0) for account in accounts}
    for each in transfers:
        for account, sign in ((each["debit_account"], -1), (each["credit_account"], 1)):
            if account is not None:
                balance, held = found[account]
                amount = sign * each["amount"]
                moved, promised = {"posted": (amount, 0), "held": (0, amount), "released": (0, -amount)}[each["phase"]]
                found[account] = (balance + moved, held + promised)
    return found


async def test_accounts_and_transfers_of_payments_agree_with_each_other_and_with_the_balance(tap: InProcess) -> None:
    paid = (await tap.post("payment_intents", amount="2000", **PAID)).body
    held = await tap.post("payment_intents", amount="5000", capture_method="manual", **PAID)
    refund = (await tap.post("refunds", payment_intent=paid["id"], amount="500")).body
    accounts, transfers = await all_of(tap, "ledger/accounts"), await all_of(tap, "ledger/transfers")
    assert summed(accounts, transfers) == {each["id"]: (each["balance"], each["held"]) for each in accounts}
    pending, available = ({each["kind"]: each for each in accounts}[kind] for kind in ("pending", "available"))
    balance = await tap.get("balance")
    assert [pending["balance"]] == [each["amount"] for each in balance["pending"]]
    assert [available["balance"]] == [each["amount"] for each in balance["available"]]
    assert pending["held"] == 5000
    assert held.status == 200
    of_refund = await all_of(tap, "ledger/transfers", source=refund["id"])
    assert [(each["kind"], each["amount"], each["debit_account"], each["credit_account"]) for each in of_refund] == [
        ("refund", 500, available["id"], None)
    ]
    assert await all_of(tap, "ledger/transfers", posting=refund["balance_transaction"]) == of_refund
    assert await all_of(tap, "ledger/transfers", posting=refund["balance_transaction"], source=paid["latest_charge"]) == []
    assert await tap.get(f"ledger/accounts/{pending['id']}") == pending
    assert (await tap.get("ledger/accounts", kind="available", currency="usd"))["data"] == [available]


@pytest.fixture
async def history(tap: InProcess, database_url: str) -> InProcess:
    """Forty captures in two currencies, three of them in each second, and another merchant's."""
    async with connect(database_url) as owner:
        assert await create_merchant(owner, "Other") == 2
    async with open_pool(database_url, role="tap_transaction_processor", name="test") as pool, pool.acquire() as writer:
        accounts = Accounts(pool)
        for number in range(40):
            its = postings.Books(2 if number % 7 == 0 else 1, False, "simulator", ("usd", "jpy")[number % 2])
            made = postings.capture(its, f"txn_{number:02}", 1000 + number, 10, START + number // 3, available_at_once=number % 3 == 0)
            rows = [TRANSFERS.row(each, await accounts.id_of(each.debit), await accounts.id_of(each.credit), "") for each in made]
            await write_alone(writer, "transfers", rows)
    return tap


async def test_pages_have_each_transfer_once_whichever_way_they_are_read(history: InProcess) -> None:
    whole = (await history.get("ledger/transfers", limit="100"))["data"]
    assert len({each["id"] for each in whole}) == len(whole) == 34 * 2 + 12
    order = [(each["created"], each["posting"], each["kind"]) for each in whole]
    assert order == sorted(order, reverse=True)
    assert await all_of(history, "ledger/transfers") == whole
    back = await history.get("ledger/transfers", limit="5", ending_before=whole[20]["id"])
    assert (back["data"], back["has_more"]) == (whole[15:20], True)
    first = await history.get("ledger/transfers", limit="5", ending_before=whole[3]["id"])
    assert (first["data"], first["has_more"]) == (whole[:3], False)


async def test_filters_choose_by_account_and_by_time(history: InProcess) -> None:
    whole = (await history.get("ledger/transfers", limit="100"))["data"]
    account = ledger_account_id(1, False, "available", "jpy")
    chosen = [each for each in whole if account in (each["debit_account"], each["credit_account"])]
    assert chosen
    assert await all_of(history, "ledger/transfers", account=account) == chosen
    between = {"created[gte]": str(START + 3), "created[lt]": str(START + 6)}
    assert await all_of(history, "ledger/transfers", **between) == [each for each in whole if START + 3 <= each["created"] < START + 6]
    assert await all_of(history, "ledger/transfers", account=ledger_account_id(2, False, "available", "jpy")) == []
    by_posting = await all_of(history, "ledger/transfers", posting="txn_03", **between)
    assert by_posting == []


async def test_a_trial_balance_is_what_had_been_entered_by_then(history: InProcess) -> None:
    whole = (await history.get("ledger/transfers", limit="100"))["data"]
    for as_of in (0, START, START + 5, START + 13, 2**53):
        trial = await history.get("ledger/trial_balance", as_of=str(as_of))
        expected = summed(trial["accounts"], [each for each in whole if each["created"] <= as_of])
        assert {each["id"]: (each["balance"], each["held"]) for each in trial["accounts"]} == expected
    now = await history.get("ledger/trial_balance")
    assert now["accounts"] == (await history.get("ledger/accounts", limit="100"))["data"]
    assert (now["as_of"], trial["accounts"]) == (None, now["accounts"])


async def test_another_merchant_and_the_other_mode_see_nothing_of_it(history: InProcess) -> None:
    mine = (await history.get("ledger/accounts"))["data"]
    cursor = (await history.get("ledger/transfers", limit="1"))["data"][0]["id"]
    me = history.principal
    for stranger in (replace(me, merchant_id=2), replace(me, livemode=True), replace(me, merchant_id=3)):
        history.principal = stranger
        theirs = (await history.get("ledger/accounts"))["data"]
        assert {each["id"] for each in theirs}.isdisjoint(each["id"] for each in mine)
        for each in mine:
            assert (await history.call("GET", f"/v1/ledger/accounts/{each['id']}")).status == 404
        assert (await history.call("GET", "/v1/ledger/transfers", starting_after=cursor)).body["error"]["code"] == "resource_missing"
        assert (await history.get("ledger/transfers", posting=cursor.partition(".")[0]))["data"] == []
    history.principal = me


REFUSED: list[tuple[str, dict[str, str]]] = [
    ("transfers", {"starting_after": "txn_01"}),
    ("transfers", {"starting_after": "txn_01.capture", "ending_before": "txn_01.capture"}),
    ("transfers", {"starting_after": "."}),
    ("transfers", {"limit": "101"}),
    ("transfers", {"created[gte]": "x"}),
    ("transfers", {"kind": "capture"}),
    ("accounts", {"kind": "everything"}),
    ("accounts", {"starting_after": "lacct_x"}),
    ("trial_balance", {"as_of": "-1"}),
    ("trial_balance", {"as_of": "9" * 30}),
    ("trial_balance", {"as_of": "now"}),
]


async def test_bad_input_is_refused(tap: InProcess) -> None:
    for path, params in REFUSED:
        answer = await tap.call("GET", f"/v1/ledger/{path}", **params)
        assert (answer.status, answer.body["error"]["type"]) == (400, "invalid_request_error"), (path, params)
