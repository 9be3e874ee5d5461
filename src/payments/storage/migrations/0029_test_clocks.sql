-- transactional: false
-- The time of sandboxes, which moves forward on request.

-- The table is small. How far the deadlines of a merchant's test mode are ahead of the real time.
ALTER TABLE payments.merchants
    ADD COLUMN IF NOT EXISTS test_ahead_seconds bigint NOT NULL DEFAULT 0 CHECK (test_ahead_seconds >= 0);
DROP INDEX CONCURRENTLY IF EXISTS payments.merchants_ahead;
CREATE INDEX CONCURRENTLY merchants_ahead ON payments.merchants (id) WHERE test_ahead_seconds > 0;

CREATE TABLE IF NOT EXISTS payments.test_clocks (
    merchant_id bigint NOT NULL,
    livemode    boolean NOT NULL CHECK (NOT livemode),
    id          payments.object_id NOT NULL,
    created     bigint NOT NULL,
    version     integer NOT NULL,
    status      text NOT NULL,
    deleted     boolean NOT NULL,
    document    json NOT NULL,
    PRIMARY KEY (merchant_id, livemode, id)
);
CREATE UNIQUE INDEX IF NOT EXISTS test_clocks_kept ON payments.test_clocks (merchant_id) WHERE NOT deleted;
CREATE INDEX IF NOT EXISTS test_clocks_advancing ON payments.test_clocks (merchant_id) WHERE status = 'advancing' AND NOT deleted;

-- What is due in a sandbox: of one merchant, where the other indexes have everybody's. In live mode they cost nothing.
DROP INDEX CONCURRENTLY IF EXISTS payments.payment_intents_test_holds;
CREATE INDEX CONCURRENTLY payment_intents_test_holds ON payments.payment_intents (merchant_id, capture_before) WHERE capture_before IS NOT NULL AND NOT livemode;
DROP INDEX CONCURRENTLY IF EXISTS payments.balance_transactions_test_due;
CREATE INDEX CONCURRENTLY balance_transactions_test_due ON payments.balance_transactions (merchant_id, available_on) WHERE released_at IS NULL AND NOT livemode;
DROP INDEX CONCURRENTLY IF EXISTS payments.disputes_test_due;
CREATE INDEX CONCURRENTLY disputes_test_due ON payments.disputes (merchant_id, answer_by) WHERE answer_by IS NOT NULL AND NOT livemode;
DROP INDEX CONCURRENTLY IF EXISTS payments.checkout_sessions_test_due;
CREATE INDEX CONCURRENTLY checkout_sessions_test_due ON payments.checkout_sessions (merchant_id, due_at) WHERE due_at IS NOT NULL AND NOT livemode;

GRANT SELECT (merchant_id, livemode, due_at, payment_intent) ON payments.checkout_sessions TO tap_transaction_processor;
GRANT SELECT, INSERT, UPDATE (version, status, deleted, document) ON payments.test_clocks TO tap_payment_api;
GRANT SELECT, UPDATE (version, status, deleted, document) ON payments.test_clocks TO tap_transaction_processor;
GRANT UPDATE (test_ahead_seconds) ON payments.merchants TO tap_payment_api;
