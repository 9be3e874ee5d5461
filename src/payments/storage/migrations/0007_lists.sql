-- transactional: false
-- Indexes that lists read their filters from. Made without holding up writers, so outside of a transaction; one that was left half-made is dropped first.

-- Rare types among many events. With it a list by type costs what it returns.
DROP INDEX CONCURRENTLY IF EXISTS payments.events_type;
CREATE INDEX CONCURRENTLY events_type ON payments.events (merchant_id, livemode, type, id);

-- One index for currency, type and both: there are few of either, so that a filter by one looks at every value of the other.
DROP INDEX CONCURRENTLY IF EXISTS payments.balance_transactions_currency_type;
CREATE INDEX CONCURRENTLY balance_transactions_currency_type ON payments.balance_transactions (merchant_id, livemode, currency, type, id);

-- Lists of customers leave the deleted ones out, however many there are.
DROP INDEX CONCURRENTLY IF EXISTS payments.customers_kept;
CREATE INDEX CONCURRENTLY customers_kept ON payments.customers (merchant_id, livemode, id) WHERE NOT deleted;

-- Deliveries of an endpoint, by status or all of them; over a merchant's few endpoints also deliveries by status alone, and events that aren't delivered.
DROP INDEX CONCURRENTLY IF EXISTS notifications.deliveries_endpoint_status;
CREATE INDEX CONCURRENTLY deliveries_endpoint_status ON notifications.deliveries (merchant_id, livemode, endpoint_id, status, event_id);
