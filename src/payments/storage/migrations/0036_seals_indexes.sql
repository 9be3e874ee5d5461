-- transactional: false
-- What a seal is over is read from these; made beside writers, and dropped first where one was left half-made.

DROP INDEX CONCURRENTLY IF EXISTS ledger.transfers_recorded;
CREATE INDEX CONCURRENTLY transfers_recorded ON ledger.transfers (recorded_in) WHERE recorded_in > 0;

-- History alone: nothing is added to it.
DROP INDEX CONCURRENTLY IF EXISTS ledger.transfers_from_before;
CREATE INDEX CONCURRENTLY transfers_from_before ON ledger.transfers (posting, kind) WHERE recorded_in <= 0;

-- What an account's entries are read from, newest first.
DROP INDEX CONCURRENTLY IF EXISTS ledger.transfers_debited;
CREATE INDEX CONCURRENTLY transfers_debited ON ledger.transfers (debit_account, occurred_at);
DROP INDEX CONCURRENTLY IF EXISTS ledger.transfers_credited;
CREATE INDEX CONCURRENTLY transfers_credited ON ledger.transfers (credit_account, occurred_at);
