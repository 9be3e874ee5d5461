-- One role per service, each with the least rights. A service logs in as it likes and assumes its role on every connection.

DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['tap_payment_api', 'tap_transaction_processor', 'tap_notification_service'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- roles belong to the server, not to the database: another database made it
        END;
        EXECUTE format('GRANT %I TO CURRENT_USER', role_name);
    END LOOP;
END
$$;

GRANT USAGE ON SCHEMA payments TO tap_payment_api, tap_transaction_processor, tap_notification_service;
GRANT USAGE ON SCHEMA notifications TO tap_payment_api, tap_transaction_processor, tap_notification_service;
GRANT USAGE ON SCHEMA ledger, simulator TO tap_transaction_processor;

-- Whoever answers API calls authenticates them, claims idempotency keys and expands objects.
GRANT SELECT ON payments.merchants, payments.api_keys TO tap_payment_api, tap_transaction_processor, tap_notification_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON payments.idempotency_claims
    TO tap_payment_api, tap_transaction_processor, tap_notification_service;
GRANT SELECT ON payments.payment_intents, payments.charges, payments.refunds, payments.customers, payments.balance_transactions, payments.events,
    payments.attempts TO tap_payment_api, tap_transaction_processor;
GRANT SELECT ON payments.events, payments.idempotency_claims TO tap_notification_service;
-- The sealed card number is for the acquirer alone.
GRANT SELECT (merchant_id, livemode, id, created, version, customer, document) ON payments.payment_methods TO tap_payment_api;
GRANT SELECT ON payments.payment_methods TO tap_transaction_processor;

-- payment-api records what merchants ask for.
GRANT INSERT, UPDATE ON payments.customers, payments.payment_intents TO tap_payment_api;
GRANT INSERT, UPDATE (version, customer, document) ON payments.payment_methods TO tap_payment_api;
GRANT INSERT ON payments.attempts, payments.refunds, payments.events, notifications.outbox TO tap_payment_api;
GRANT UPDATE (version, document) ON payments.refunds, payments.charges TO tap_payment_api;

-- transaction-processor records what acquirers answered, and is the only writer of the ledger.
GRANT INSERT, UPDATE ON payments.charges, payments.refunds TO tap_transaction_processor;
GRANT UPDATE ON payments.payment_intents, payments.payment_methods TO tap_transaction_processor;
GRANT INSERT, UPDATE (lease_until, inquiries, answered, closed_at, outcome) ON payments.attempts TO tap_transaction_processor;
GRANT INSERT, UPDATE (released_at) ON payments.balance_transactions TO tap_transaction_processor;
GRANT INSERT ON payments.events, notifications.outbox TO tap_transaction_processor;
GRANT SELECT, INSERT ON ledger.accounts, ledger.transfers TO tap_transaction_processor;
GRANT SELECT, INSERT, UPDATE ON ledger.balances TO tap_transaction_processor;
GRANT SELECT ON ledger.entries TO tap_transaction_processor;
GRANT SELECT, INSERT ON simulator.journal TO tap_transaction_processor;
GRANT UPDATE (repetitions, fails_at) ON simulator.journal TO tap_transaction_processor;

-- notification-service empties the outbox.
GRANT SELECT, DELETE, UPDATE ON notifications.outbox TO tap_notification_service;
