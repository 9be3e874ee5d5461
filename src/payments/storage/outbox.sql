-- dispatch: turn events into deliveries to every endpoint that wants them; rows that another dispatcher holds are skipped, late commits are found when they are there
WITH taken AS (
    DELETE FROM notifications.outbox WHERE position IN (
        SELECT position FROM notifications.outbox ORDER BY position LIMIT $1 FOR UPDATE SKIP LOCKED)
    RETURNING merchant_id, livemode, event_id, type
), fanned_out AS (
    INSERT INTO notifications.deliveries (merchant_id, livemode, event_id, endpoint_id)
    SELECT t.merchant_id, t.livemode, t.event_id, e.id
    FROM taken t
    JOIN notifications.webhook_endpoints e ON e.merchant_id = t.merchant_id AND e.livemode = t.livemode
    WHERE e.enabled AND e.enabled_events && ARRAY[t.type, '*']
    ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT (SELECT count(*) FROM taken) AS taken, (SELECT count(*) FROM fanned_out) AS deliveries;

-- oldest_waiting_seconds: for how long the oldest event that has not been fanned out yet waits
SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0)::double precision FROM notifications.outbox;
