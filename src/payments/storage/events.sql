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
    RETURNING e.merchant_id, e.livemode, e.id
)
INSERT INTO notifications.outbox (merchant_id, livemode, event_id) SELECT merchant_id, livemode, id FROM events;
