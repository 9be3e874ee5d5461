-- find: one event
SELECT id, created, type, object_type, object_id, object_version, snapshot, previous_attributes, request_id, idempotency_key
FROM payments.events WHERE merchant_id = $1 AND livemode = $2 AND id = $3;

-- append: events and their outbox rows, beside whatever they tell of
WITH events AS (
    INSERT INTO payments.events AS e (merchant_id, livemode, id, created, type, object_type, object_id, object_version, snapshot,
        previous_attributes, request_id, idempotency_key)
    SELECT merchant_id, livemode, id, created, type, object_type, object_id, object_version, snapshot, previous_attributes, request_id, idempotency_key
    FROM json_to_recordset($1::json) AS n(
        merchant_id bigint, livemode boolean, id text, created bigint, type text, object_type text, object_id text,
        object_version integer, snapshot json, previous_attributes json, request_id text, idempotency_key text)
    RETURNING e.merchant_id, e.livemode, e.id, e.type
)
INSERT INTO notifications.outbox (merchant_id, livemode, event_id, type) SELECT merchant_id, livemode, id, type FROM events;

-- page_older: newest first, from a cursor down
SELECT id, created, type, object_type, object_id, object_version, snapshot, previous_attributes, request_id, idempotency_key FROM payments.events e
WHERE merchant_id = $1 AND livemode = $2 AND ($3::text IS NULL OR id < $3) AND created >= $4 AND created <= $5 AND ($7::text[] IS NULL OR type LIKE ANY ($7))
    AND ($8::boolean IS NULL OR $8 = NOT EXISTS (
        SELECT FROM notifications.deliveries d
        WHERE d.merchant_id = e.merchant_id AND d.livemode = e.livemode AND d.event_id = e.id AND d.status <> 'delivered'))
ORDER BY id DESC LIMIT $6;

-- page_newer: oldest first, from a cursor up
SELECT id, created, type, object_type, object_id, object_version, snapshot, previous_attributes, request_id, idempotency_key FROM payments.events e
WHERE merchant_id = $1 AND livemode = $2 AND id > $3 AND created >= $4 AND created <= $5 AND ($7::text[] IS NULL OR type LIKE ANY ($7))
    AND ($8::boolean IS NULL OR $8 = NOT EXISTS (
        SELECT FROM notifications.deliveries d
        WHERE d.merchant_id = e.merchant_id AND d.livemode = e.livemode AND d.event_id = e.id AND d.status <> 'delivered'))
ORDER BY id LIMIT $6;
