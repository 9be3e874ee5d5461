"""What each service's database role can't do."""

import asyncpg
import pytest

from payments.runtime.topology import SERVICES, Service
from payments.storage.accounts import Accounts
from payments.storage.database import Connection, open_pool
from payments.storage.payments import PaymentStore, encode_settlement
from tests.integration.builders import payment, settlement
from tests.integration.test_payment_commits import APPROVED

FORBIDDEN: dict[Service, list[str]] = {
    Service.PAYMENT_API: [
        "SELECT sealed_number FROM payments.payment_methods",
        "INSERT INTO ledger.accounts (holder, livemode, kind, currency, normal_side) VALUES ('x', false, 'fees', 'usd', 'credit')",
        "UPDATE ledger.balances SET debits_posted = 0",
        "DELETE FROM ledger.transfers",
        "SELECT * FROM ledger.transfers",
        "INSERT INTO payments.balance_transactions SELECT * FROM payments.balance_transactions",
        "UPDATE payments.charges SET amount_captured = 0",
        "UPDATE payments.attempts SET closed_at = now()",
        "UPDATE payments.refunds SET status = 'succeeded'",
        "SELECT * FROM simulator.journal",
        "INSERT INTO payments.api_keys SELECT * FROM payments.api_keys",
        "UPDATE payments.merchants SET fee_basis_points = 0",
        "SELECT sealed_secret FROM notifications.webhook_endpoints",
        "INSERT INTO notifications.deliveries (merchant_id, livemode, event_id, endpoint_id) VALUES (1, false, 'e', 'w')",
        "DELETE FROM notifications.outbox",
        "DELETE FROM payments.products",
        "UPDATE payments.prices SET product = 'prod_other'",
        "UPDATE payments.checkout_items SET document = '{}'",
        "UPDATE payments.checkout_sessions SET payment_link = NULL",
        "DELETE FROM payments.checkout_sessions",
        "CREATE TABLE payments.mine (id int)",
    ],
    Service.TRANSACTION_PROCESSOR: [
        "UPDATE payments.api_keys SET revoked_at = NULL",
        "INSERT INTO payments.payment_intents SELECT * FROM payments.payment_intents",
        "UPDATE payments.customers SET email = NULL",
        "DELETE FROM notifications.outbox",
        "INSERT INTO notifications.deliveries (merchant_id, livemode, event_id, endpoint_id) VALUES (1, false, 'e', 'w')",
        "UPDATE ledger.transfers SET amount = 1",
        "UPDATE ledger.seals SET total = 1",
        "CREATE OR REPLACE FUNCTION ledger.finished_below() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT 1::bigint'",
        "UPDATE ledger.accounts SET normal_side = 'debit'",
        "DELETE FROM simulator.journal",
    ],
    Service.NOTIFICATION_SERVICE: [
        "INSERT INTO payments.events SELECT * FROM payments.events",
        "UPDATE payments.payment_intents SET status = 'succeeded'",
        "SELECT * FROM payments.payment_methods",
        "SELECT * FROM payments.customers",
        "SELECT * FROM ledger.balances",
        "INSERT INTO notifications.outbox (merchant_id, livemode, event_id, type) VALUES (1, false, 'e', 't')",
        "UPDATE notifications.delivery_attempts SET status_code = 200",
        "DELETE FROM notifications.deliveries",
    ],
}
HISTORY = ("ledger.transfers", "ledger.seals", "payments.events", "notifications.delivery_attempts")


@pytest.mark.parametrize(
    ("service", "statement"), [(service, statement) for service, statements in FORBIDDEN.items() for statement in statements]
)
async def test_a_service_has_no_right_to(database_url: str, service: Service, statement: str) -> None:
    async with open_pool(database_url, role=SERVICES[service].database_role, name="test") as pool:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute(statement)


@pytest.mark.parametrize("table", HISTORY)
@pytest.mark.parametrize("statement", ["UPDATE {} SET merchant_id = 1", "DELETE FROM {}", "TRUNCATE {}"])
async def test_nobody_changes_history(connection: Connection, table: str, statement: str) -> None:
    """Not even the owner."""
    statement = statement.replace("merchant_id", {"ledger.transfers": "amount", "ledger.seals": "total"}.get(table, "merchant_id"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await connection.execute(statement.format(table))


async def test_each_role_can_do_its_work(database_url: str) -> None:
    begin, work = payment(key="k")
    async with open_pool(database_url, role=SERVICES[Service.PAYMENT_API].database_role, name="api") as pool:
        await PaymentStore(pool).begin([begin.encoded(lease_seconds=15)])
    async with open_pool(database_url, role=SERVICES[Service.TRANSACTION_PROCESSOR].database_role, name="processor") as pool:
        store = PaymentStore(pool)
        assert await store.settle([await encode_settlement(settlement(work, APPROVED), Accounts(pool))]) == [True]
