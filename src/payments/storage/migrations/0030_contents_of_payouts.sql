-- transactional: false
-- What an automatic payout is of, and the days of sandboxes that are ahead of the real time.

-- No domain: with one the table would be written anew.
ALTER TABLE payments.balance_transactions ADD COLUMN IF NOT EXISTS payout text;
COMMENT ON COLUMN payments.balance_transactions.payout IS 'the automatic payout that it is paid out with, its own withdrawal included; null before that';
DROP INDEX CONCURRENTLY IF EXISTS payments.balance_transactions_payout;
CREATE INDEX CONCURRENTLY balance_transactions_payout ON payments.balance_transactions (merchant_id, livemode, payout, id) WHERE payout IS NOT NULL;
-- In test mode, which is where automatic payouts are made: in live mode it costs nothing.
DROP INDEX CONCURRENTLY IF EXISTS payments.balance_transactions_test_unpaid;
CREATE INDEX CONCURRENTLY balance_transactions_test_unpaid ON payments.balance_transactions (merchant_id, currency)
    WHERE payout IS NULL AND released_at IS NOT NULL AND NOT livemode;
GRANT UPDATE (payout) ON payments.balance_transactions TO tap_transaction_processor;

-- A payday is opened before its payout is made: what that is of is gathered meanwhile.
ALTER TABLE payments.paydays ADD COLUMN IF NOT EXISTS made boolean NOT NULL DEFAULT true;
DROP INDEX CONCURRENTLY IF EXISTS payments.paydays_open;
CREATE INDEX CONCURRENTLY paydays_open ON payments.paydays (merchant_id, livemode, currency) WHERE NOT made;
GRANT UPDATE (day, payout, made) ON payments.paydays TO tap_transaction_processor;

-- The tables are small.
ALTER TABLE payments.merchants ADD COLUMN IF NOT EXISTS payouts_looked_on date;
COMMENT ON COLUMN payments.merchants.payouts_looked_on IS 'up to which day it was seen whether one is a payday; null: from the present one on';
GRANT UPDATE (payouts_looked_on) ON payments.merchants TO tap_transaction_processor;
