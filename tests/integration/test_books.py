"""`tap verify`: each of its checks finds what it looks for, and finds nothing in books that are in order. A check that can't fail proves nothing."""

import datetime
import io
import json
from collections.abc import AsyncGenerator

import pytest

from payments.acquirers.settlement_files.csv_file import CsvFile, write_csv
from payments.domain.settlement import LineKind, MatchClass, SettlementHeader, SettlementLine
from payments.runtime.logging import Logger
from payments.runtime.topology import Service
from payments.storage import books
from payments.storage.books import BEGINNING, CHECKS, SLICED, find_faults, find_in_slice, next_slice
from payments.storage.database import Connection, connect
from payments.storage.jobs import JobPlace, PostgresJobs
from payments.storage.settlement import reconcile
from payments.storage.settlement_differences import open_differences, resolve_differences
from payments.transaction_processor.money.verification import VERIFYING, Verification
from tests.integration.test_checkout import WHAT, opened, pay_on_page
from tests.integration.use_cases import customer_with_card, intent, paid
from tests.support.in_process import InProcess, in_process

PROCESSOR = Service.TRANSACTION_PROCESSOR
PAID = "(SELECT latest.id FROM payments.charges latest WHERE latest.amount_captured = 2000 AND latest.amount_refunded = 500)"
HELD = "(SELECT i.id FROM payments.payment_intents i WHERE i.status = 'requires_capture')"
REFUND = "(SELECT r.id FROM payments.refunds r)"
IN_DOCUMENT = "document = (document::jsonb || jsonb_build_object({}))::json"


def changed(table: str, where: str, columns: str, document: str) -> str:
    """Change a row, and its object so that both still agree."""
    return f"UPDATE {table} SET {columns}, {IN_DOCUMENT.format(document)} WHERE {where}"


FAULTS: dict[str, dict[str, str]] = {
    "unbalanced_currencies": {
        "an account has more than was posted": "UPDATE ledger.balances SET debits_posted = debits_posted + 1 WHERE debits_posted > 0",
        "an account holds more than was held": "UPDATE ledger.balances SET credits_held = credits_held + 1 WHERE credits_held > 0",
    },
    "wrong_balances": {
        "a transfer is gone": "DELETE FROM ledger.transfers WHERE kind = 'fee'",
        "a transfer came without the balances": "INSERT INTO ledger.transfers SELECT posting, 'extra', phase, debit_account, credit_account, 1, currency, 0 "
        "FROM ledger.transfers WHERE kind = 'fee' LIMIT 1",
        "a balance is gone": "DELETE FROM ledger.balances WHERE debits_posted > 0",
    },
    "foreign_transfers": {
        "a transfer is of another currency": "UPDATE ledger.transfers SET currency = 'eur' WHERE kind = 'fee'",
        "an account changes its mode": "UPDATE ledger.accounts SET livemode = true WHERE kind = 'fees'",
    },
    "wrong_changes": {
        "a fee wasn't posted": "DELETE FROM ledger.transfers WHERE kind = 'fee'",
        "a capture was posted with another amount": "UPDATE ledger.transfers SET amount = amount + 1 WHERE kind = 'capture'",
        "a refund was posted with another amount": "UPDATE ledger.transfers SET amount = amount + 1 WHERE kind = 'refund'",
        "what was disputed was withheld with another amount": "UPDATE ledger.transfers SET amount = amount + 1 WHERE kind = 'dispute'",
        "a dispute's fee wasn't posted": "DELETE FROM ledger.transfers WHERE kind = 'dispute_fee'",
        "less was lost than withheld": "UPDATE ledger.transfers SET amount = 1 WHERE kind = 'dispute_loss'",
        "what was won wasn't posted": "DELETE FROM ledger.transfers WHERE kind = 'dispute_reversal'",
        "a payout wasn't posted": "DELETE FROM ledger.transfers WHERE kind = 'payout'",
        "a payout that came back was posted with another amount": "UPDATE ledger.transfers SET amount = amount + 1 WHERE kind = 'payout_reversal'",
        "a reversal wasn't posted": "DELETE FROM ledger.transfers WHERE kind = 'refund_reversal'",
        "funds were released in name only": "UPDATE payments.balance_transactions SET released_at = now() WHERE type = 'charge' AND released_at IS NULL",
    },
    "unexplained_postings": {
        "a balance transaction is gone": "DELETE FROM payments.balance_transactions WHERE type = 'charge'",
        "the attempt of a hold is gone": "DELETE FROM payments.attempts WHERE id IN (SELECT posting FROM ledger.transfers WHERE phase = 'held')",
    },
    "wrong_charges": {
        "a refund isn't counted": changed("payments.charges", f"id = {PAID}", "amount_refunded = 0", "'amount_refunded', 0"),
        "a refund is counted that there isn't": changed(
            "payments.charges", f"id = {PAID}", "amount_refunded = 501", "'amount_refunded', 501"
        ),
        "more is captured than was posted": changed(
            "payments.charges", f"id = {PAID}", "amount_captured = 1999", "'amount_captured', 1999"
        ),
        "a refund is gone": f"DELETE FROM payments.refunds WHERE charge = {PAID}",
        "a pending refund failed and is still counted": changed(
            "payments.refunds", f"charge = {PAID}", "status = 'failed'", "'status', 'failed'"
        ),
    },
    "over_captured": {
        "of a charge": "UPDATE payments.charges SET amount_captured = amount + 1",
        "of an intent": "UPDATE payments.payment_intents SET amount_received = amount + 1",
        "capturable": "UPDATE payments.payment_intents SET amount_capturable = amount + 1",
        "beyond the hold, not the intent": f"UPDATE payments.payment_intents SET amount = 9000, amount_capturable = 8000 WHERE id = {HELD}",
    },
    "over_refunded": {
        "by the charge's count": "UPDATE payments.charges SET amount_refunded = 2000, amount_captured = 1999",
        "by its refunds": f"UPDATE payments.refunds SET amount = 2001 WHERE charge = {PAID}",
        "by a pending refund": f"UPDATE payments.refunds SET amount = 2001, status = 'pending' WHERE charge = {PAID}",
    },
    "wrong_columns": {
        f"{table} {column}": f"UPDATE payments.{table} SET {column} = {value}"
        for table, columns in {
            "payment_intents": {
                "version": "version + 1",
                "status": "'canceled'",
                "amount": "amount + 1",
                "currency": "'eur'",
                "amount_received": "0",
                "amount_capturable": "0",
                "open_attempt": "'att_x'",
                "customer": "'cus_x'",
                "capture_before": "1",
            },
            "charges": {
                "version": "version + 1",
                "status": "'failed'",
                "amount": "amount + 1",
                "amount_captured": "amount_captured / 2",
                "amount_refunded": "amount_refunded + 1",
                "currency": "'eur'",
                "payment_intent": "'pi_x'",
                "customer": "'cus_x'",
            },
            "refunds": {
                "version": "version + 1",
                "status": "'pending'",
                "amount": "amount + 1",
                "currency": "'eur'",
                "charge": "'ch_x'",
                "payment_intent": "'pi_x'",
            },
            "payouts": {
                "version": "version + 1",
                "status": "'canceled'",
                "amount": "amount + 1",
                "currency": "'eur'",
                "destination": "'ba_x'",
                "arrival_date": "1",
            },
            "bank_accounts": {"version": "version + 1", "currency": "'eur'", "default_for_currency": "false", "deleted": "true"},
            "disputes": {
                "version": "version + 1",
                "status": "'won'",
                "amount": "amount + 1",
                "currency": "'eur'",
                "charge": "'ch_x'",
                "payment_intent": "'pi_x'",
                "acquirer_case": "acquirer_case || 'x'",
                "answer_by": "1",
            },
            "payment_methods": {"version": "version + 1", "customer": "'cus_x'"},
            "customers": {"version": "version + 1", "deleted": "NOT deleted", "email": "'x@shop.example'"},
            "balance_transactions": {
                "amount": "amount + 1",
                "fee": "fee + 1",
                "currency": "'eur'",
                "type": "'refund_failure'",
                "source": "'ch_x'",
                "available_on": "1",
            },
        }.items()
        for column, value in columns.items()
    },
    "forgotten_customers": {
        "a card has a deleted customer": changed("payments.customers", "NOT deleted", "deleted = true", "'deleted', true"),
    },
    "wrong_intents": {
        "more is received than was captured": changed(
            "payments.payment_intents", "status = 'succeeded'", "amount_received = 1999", "'amount_received', 1999"
        ),
        "it succeeded, and nothing is received": changed(
            "payments.payment_intents", f"id = {HELD}", "status = 'succeeded'", "'status', 'succeeded'"
        ),
        "it is received, and didn't succeed": changed(
            "payments.payment_intents", "status = 'succeeded'", "status = 'requires_confirmation'", "'status', 'requires_confirmation'"
        ),
        "it was paid twice": "INSERT INTO payments.charges SELECT merchant_id, livemode, id || 'x', created, version, status, payment_intent, customer, amount, 0, 0,"
        f" currency, document FROM payments.charges WHERE id = {PAID}",
        "its charge is gone": f"DELETE FROM payments.charges WHERE id = {PAID}",
    },
    "wrong_holds": {
        "less is held than can be captured": "UPDATE ledger.transfers SET amount = amount - 1 WHERE phase = 'held'",
        "a hold wasn't released": "DELETE FROM ledger.transfers WHERE phase = 'released'",
        "a hold is forgotten": changed("payments.payment_intents", f"id = {HELD}", "amount_capturable = 0", "'amount_capturable', 0"),
    },
    "wrong_refunds": {
        "it succeeded, and nothing was returned": "DELETE FROM payments.balance_transactions WHERE type = 'refund'",
        "it failed after all, and nothing came back": "DELETE FROM payments.balance_transactions WHERE type = 'refund_failure'",
        "it is pending, and was returned": changed("payments.refunds", "status = 'succeeded'", "status = 'pending'", "'status', 'pending'"),
        "it was returned twice": "INSERT INTO payments.balance_transactions SELECT merchant_id, livemode, id || 'x', created, type, source, amount, fee, currency,"
        " available_on, released_at, document FROM payments.balance_transactions WHERE type = 'refund'",
    },
    "wrong_disputes": {
        "it was lost in name only": "DELETE FROM ledger.transfers WHERE kind = 'dispute_loss'",
        "it was won in name only": changed("payments.disputes", "status = 'lost'", "status = 'won'", "'status', 'won'"),
        "what came back came twice": "INSERT INTO payments.balance_transactions SELECT merchant_id, livemode, id || 'x', created, type, source, amount, fee,"
        " currency, available_on, released_at, document FROM payments.balance_transactions WHERE type = 'adjustment' AND amount > 0",
        "nothing was withdrawn": "DELETE FROM payments.balance_transactions WHERE type = 'adjustment'",
        "its charge is gone": "DELETE FROM payments.charges WHERE document ->> 'dispute' IS NOT NULL",
        "its charge can be refunded": "UPDATE payments.charges SET " + IN_DOCUMENT.format("'charged_back', false"),
    },
    "over_disputed": {"beside a refund": "UPDATE payments.charges SET amount_refunded = 1 WHERE document ->> 'dispute' IS NOT NULL"},
    "wrong_reserves": {
        "more is withheld": "UPDATE ledger.balances SET credits_posted = credits_posted + 1",
        "a dispute is gone": "DELETE FROM payments.disputes WHERE status = 'needs_response'",
    },
    "wrong_payouts": {
        "it was paid, and nothing was taken": "DELETE FROM payments.balance_transactions WHERE type = 'payout'",
        "it failed, and nothing came back": "DELETE FROM payments.balance_transactions WHERE type = 'payout_failure'",
        "it was canceled, and nothing came back": "DELETE FROM payments.balance_transactions WHERE type = 'payout_cancel'",
        "it was paid in name only": changed("payments.payouts", "status = 'failed'", "status = 'paid'", "'status', 'paid'"),
        "it came back twice": "INSERT INTO payments.balance_transactions SELECT merchant_id, livemode, id || 'x', created, type, source, amount, fee, currency,"
        " available_on, released_at, document FROM payments.balance_transactions WHERE type = 'payout_failure'",
        "what was taken back is said to be paid": "UPDATE payments.payouts SET "
        + IN_DOCUMENT.format("'reversed_by', NULL")
        + " WHERE document ->> 'reversed_by' IS NOT NULL",
    },
    "wrong_paid_out": {
        "more was paid out": "UPDATE ledger.balances SET credits_posted = credits_posted + 1",
        "a payout is gone": "DELETE FROM payments.payouts WHERE status = 'pending'",
    },
    "wrong_sessions": {
        "the payment of a complete session is gone": "UPDATE payments.checkout_sessions SET payment_intent = NULL",
        "a session is complete that nobody paid": "UPDATE payments.payment_intents SET status = 'requires_payment_method'",
        "somebody paid in one that expired": "UPDATE payments.checkout_sessions SET status = 'expired'",
    },
    "events_without_objects": {
        f"a {kind} is gone": f"DELETE FROM payments.{kind}s WHERE id IN (SELECT object_id FROM payments.events)"
        for kind in ("payment_intent", "charge", "refund", "payment_method", "customer", "dispute", "payout", "bank_account")
    }
    | {
        "a checkout session is gone": "DELETE FROM payments.checkout_sessions",
        "a payment link is gone": "DELETE FROM payments.payment_links",
    }
    | {"it is about nothing that we know": "UPDATE payments.events SET object_type = 'invoice'"},
    "events_of_hidden_intents": {
        "an intent that nobody made is told of": "UPDATE payments.events SET object_id = 'chi_1' WHERE object_type = 'payment_intent'",
    },
    "differing_events": {
        "two tell differently of one version": "INSERT INTO payments.events SELECT merchant_id, livemode, id || 'x', created, type, object_type, object_id,"
        " object_version, '{}', previous_attributes, request_id, idempotency_key FROM payments.events",
    },
    "foreign_receivables": {
        "a charge is another acquirer's": 'UPDATE payments.charges SET document = (document::jsonb || \'{"acquirer": "bank"}\')::json',
        "another acquirer owes it": "UPDATE ledger.accounts SET holder = 'acquirer:bank' WHERE holder = 'acquirer:simulator'",
    },
    "wrong_settlements": {
        "the transfer of a settled line is gone": "DELETE FROM ledger.transfers WHERE kind = 'settlement'",
        "another acquirer paid it": "UPDATE ledger.accounts SET holder = 'acquirer:bank' WHERE kind = 'settled'",
        "it matches something else": "UPDATE settlement.lines SET amount = amount + 1 WHERE class = 'matched'",
        "it settles something else": "UPDATE settlement.lines SET balance_transaction = 'txn_x' WHERE class = 'matched' AND amount = -500",
        "what it settles is gone": "DELETE FROM payments.balance_transactions WHERE type = 'charge'",
    },
    "wrong_differences": {
        "it was put aside in name only": "DELETE FROM ledger.transfers WHERE kind = 'suspense'",
        "it was resolved in name only": "DELETE FROM ledger.transfers WHERE kind = 'suspense_release'",
        "it was written off, and is said to be paid": "UPDATE settlement.differences SET resolution = 'paid' WHERE resolution = 'written_off'",
        "it is forgotten": "DELETE FROM settlement.differences WHERE class = 'missing_here'",
        "it is of more than its line": "UPDATE settlement.lines SET amount = amount + 1 WHERE class = 'amount_differs'",
    },
    "wrong_suspense": {
        "more is in suspense": "UPDATE ledger.balances SET credits_posted = credits_posted + 1",
        "a difference is gone": "DELETE FROM settlement.differences WHERE resolution IS NULL",
    },
    "wrong_receivables": {
        "more is owed": "UPDATE ledger.balances SET debits_posted = debits_posted + 1",
        "a settled line is gone": "DELETE FROM settlement.lines WHERE class = 'matched'",
    },
    "wrong_settled": {
        "more was paid": "UPDATE ledger.balances SET debits_posted = debits_posted + 1",
        "a file said more": "UPDATE settlement.lines SET amount = amount + 1",
        "more was kept": "UPDATE settlement.lines SET fee = fee + 1",
    },
    "early_funds": {
        "what nobody settled is available": "UPDATE payments.balance_transactions SET "
        + IN_DOCUMENT.format("'by_settlement', true")
        + " WHERE released_at IS NOT NULL AND type = 'charge'",
    },
    "double_approvals": {
        "the bank approved one order twice": "UPDATE simulator.journal SET approvals = 2 WHERE approvals = 1",
        "the bank knows an order that we don't": "UPDATE simulator.journal SET reference = reference || 'x'",
        "the bank approved what we hold for declined": 'UPDATE payments.attempts SET outcome = \'{"type": "declined"}\'',
        "the bank declined what we hold for approved": "UPDATE simulator.journal SET approvals = 0 WHERE approvals = 1",
    },
}
"""What must not be, by the check that finds it. The bounds and triggers that keep it from coming to be are switched off."""


@pytest.fixture
async def tap(database_url: str) -> AsyncGenerator[InProcess]:
    async with in_process(database_url) as made:
        yield made


async def some_of_everything(tap: InProcess) -> None:
    customer, card = await customer_with_card(tap)
    await tap.post("refunds", payment_intent=(await paid(tap, customer=customer, payment_method=card))["id"], amount="500")
    held = await intent(tap, payment_method="pm_card_visa", confirm="true", capture_method="manual")
    await tap.post(f"payment_intents/{held['id']}/capture", amount_to_capture="700", final_capture="false")
    await tap.post(f"payment_intents/{(await paid(tap, capture_method='manual'))['id']}/cancel")
    await tap.post("payment_intents", amount="2000", currency="usd", payment_method="pm_card_chargeDeclined", confirm="true")
    alone = {"amount": "2000", "currency": "usd", "source": "tok_visa"}
    await tap.post("refunds", charge=(await tap.post("charges", **alone)).body["id"], amount="400")
    held_alone = (await tap.post("charges", **alone, capture="false")).body["id"]
    await tap.post(f"charges/{held_alone}/capture", amount="700")
    await tap.post("refunds", charge=(await tap.post("charges", **alone, capture="false")).body["id"])
    assert (await pay_on_page(tap, await opened(tap))).status == 303
    assert (await tap.post("payment_links", **WHAT)).status == 200
    failing = await paid(tap, payment_method="pm_card_refundFail")
    await tap.post("refunds", payment_intent=failing["id"], amount="300")
    tap.clock.time += 60
    assert await tap.copies[0].sweeper.book_failed_refunds() == 1
    for evidence in ("winning_evidence", "losing_evidence", None):
        await paid(tap, payment_method="pm_card_createDispute")
        await hear(tap)
        newest = (await tap.get("disputes"))["data"][0]["id"]
        if evidence is not None:
            await tap.post(f"disputes/{newest}", **{"evidence[uncategorized_text]": evidence})
            await hear(tap)
            await hear(tap)
    await paid_out(tap)


async def paid_out(tap: InProcess) -> None:
    """A payout in each state, and one that was taken back."""
    for _ in range(10):
        await paid(tap, payment_method="pm_card_bypassPending")
    bank = {"object": "bank_account", "country": "US", "currency": "usd", "routing_number": "110000000"}
    for number in ("000123456789", "000111111116"):
        given = {f"external_account[{name}]": value for name, value in {**bank, "account_number": number}.items()}
        account = (await tap.post("accounts/acct_1/external_accounts", **given)).id
        made = [(await tap.post("payouts", amount="300", currency="usd", destination=account)).id for _ in range(2)]
        await tap.post(f"payouts/{made[0]}/cancel")
        await hear(tap)
        await hear(tap)
        if number == "000123456789":
            await tap.post(f"payouts/{made[1]}/reverse")
            await tap.post("payouts", amount="250", currency="usd", destination=account)
            await hear(tap)
            await hear(tap)
    await tap.post("payouts", amount="200", currency="usd")


async def hear(tap: InProcess) -> None:
    """Book what the acquirer has to say by now."""
    tap.clock.time += 60
    while await tap.copies[0].money.take_notices():
        pass


async def some_settled(tap: InProcess, connection: Connection, database_url: str) -> None:
    """A file of the sandbox's, in which something of each kind is wrong; and a difference is resolved."""
    booked = await connection.fetch(
        "SELECT document ->> 'attempt' AS reference, type, abs(amount) AS amount FROM payments.balance_transactions"
        " WHERE type IN ('charge', 'refund') ORDER BY amount, id"
    )
    day = datetime.datetime.fromtimestamp(tap.clock.now(), datetime.UTC)
    lines = [
        SettlementLine(
            number=number,
            reference=each["reference"],
            acquirer_reference=f"S{number}",
            kind=LineKind.CAPTURE if each["type"] == "charge" else LineKind.REFUND,
            amount=each["amount"],
            currency="usd",
            fee=3,
            value_date=day.date(),
        )
        for number, each in enumerate(booked)
    ]
    wrong = [
        lines[-1]._replace(amount=1),
        lines[-2]._replace(acquirer_reference="again"),
        lines[-3]._replace(currency="eur"),
        lines[-4]._replace(reference="att_x"),
    ]
    header = SettlementHeader(acquirer="simulator", reference="1", first_day=day.date(), last_day=day.date(), created=day)
    written = io.BytesIO()
    write_csv(written, header, [*lines[:-5], lines[-2], *wrong])
    written.seek(0)
    async with connect(database_url) as another:
        result = await reconcile(another, CsvFile(written, day.date()), "simulator", book=True, now=int(tap.clock.now()))
    assert {each.class_ for each in result.classes} == set(MatchClass), result
    for resolution in ("paid", "written_off"):
        first, *_ = [each.id async for each in open_differences(connection, None)]
        await resolve_differences(connection, [first], resolution, "for the books", int(tap.clock.now()))


async def without_bounds(connection: Connection) -> None:
    """Switch off what keeps a fault from coming to be: here it is about what finds it."""
    constraints = await connection.fetch(
        "SELECT conrelid::regclass::text AS table, conname AS name FROM pg_constraint"
        " WHERE contype = 'c' AND connamespace IN ('payments'::regnamespace, 'ledger'::regnamespace, 'settlement'::regnamespace)"
    )
    for constraint in constraints:
        await connection.execute(f"ALTER TABLE {constraint['table']} DROP CONSTRAINT {constraint['name']}")
    await connection.execute("SET session_replication_role = replica")


def test_each_check_is_tried() -> None:
    assert FAULTS.keys() == CHECKS.keys()


async def test_each_check_finds_what_it_looks_for(tap: InProcess, connection: Connection, database_url: str) -> None:
    await some_of_everything(tap)
    await some_settled(tap, connection, database_url)
    assert await find_faults(connection) == []
    await without_bounds(connection)
    missed: list[str] = []
    for check, faults in FAULTS.items():
        for what, statement in faults.items():
            await connection.execute("BEGIN")
            assert not (await connection.execute(statement)).endswith(" 0"), f"{what}: nothing was planted"
            wrong = await connection.fetch(books._SQL[check])
            if not wrong:
                missed.append(f"{check}: {what}")
            if check in SLICED and await in_slices(connection, check) != sorted(row["id"] for row in wrong):
                missed.append(f"{check}, by slices: {what}")
            await connection.execute("ROLLBACK")
    assert "\n".join(missed) == ""
    assert await find_faults(connection) == []
    await check_verification(tap, connection)


async def in_slices(connection: Connection, check: str) -> list[str]:
    """What a check finds, seven rows at a time."""
    found: list[str] = []
    after = BEGINNING
    while keys := await next_slice(connection, check, after, 7):
        found += await find_in_slice(connection, check, keys)
        after = keys[-1]
    return sorted(found)


async def check_verification(tap: InProcess, connection: Connection) -> None:
    """The job that goes through the books a slice at a time: what it finds is told of and counted for as long as it is there, whoever goes on."""
    output = io.BytesIO()
    log, copy = Logger("test", output), tap.copies[0].processor
    rows = await connection.fetchval("SELECT count(*) FROM payments.balance_transactions")

    async def whole_pass() -> float:
        for _ in range(rows // 5 + 2):
            assert await verification.verify() == 0
        return await copy.accounts.imbalance()

    verification = Verification(pool=copy.pool, place=JobPlace(copy.pool, PROCESSOR, VERIFYING), log=log, slice_rows=5)
    await PostgresJobs(copy.pool, PROCESSOR, verification.jobs()).declare()
    assert await whole_pass() == 0
    amount = "UPDATE ledger.transfers SET amount = amount {} 1 WHERE kind = 'refund'"
    planted = int((await connection.execute(amount.format("+"))).split()[-1])
    assert await whole_pass() >= planted
    assert await whole_pass() >= planted, "and is counted on the next way, too"
    await connection.execute(amount.format("-"))
    await whole_pass()
    await whole_pass()
    assert await whole_pass() == 0
    log.flush()
    told = [json.loads(line) for line in output.getvalue().splitlines()]
    assert {(each["event"], each["check"]) for each in told} == {("check", "wrong_changes")}
