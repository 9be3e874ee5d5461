-- What is due waits in its endpoint's queue, so that a claim looks at endpoints that have something due, and at no other.
-- transactional: false

-- Statement by statement, each of which can be run again: in one transaction the first would lock all readers out while the indexes are built.
-- Building them holds up deliveries for about a second per million rows, and payments not at all.
ALTER TABLE notifications.deliveries ADD COLUMN IF NOT EXISTS queued boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN notifications.deliveries.queued IS
    'pending and due: it waits for its turn; a pending one that is not queued waits for next_attempt_at: a pause or a lease';

-- The code before this one leaves the column as it is. A delivery that it leased or put off stays queued, and is passed over until next_attempt_at.
UPDATE notifications.deliveries SET queued = false WHERE status = 'pending' AND queued AND next_attempt_at > now();

CREATE INDEX IF NOT EXISTS deliveries_queued ON notifications.deliveries (merchant_id, livemode, endpoint_id, next_attempt_at)
    WHERE status = 'pending' AND queued;
CREATE INDEX IF NOT EXISTS deliveries_scheduled ON notifications.deliveries (next_attempt_at) WHERE status = 'pending' AND NOT queued;

-- A queue's rows come and go: its dead ones are read again and again until they are removed.
ALTER TABLE notifications.deliveries SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 10000);
