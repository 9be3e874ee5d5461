-- dispatch: turn events into deliveries to every endpoint that wants them; rows that another dispatcher holds are skipped, late commits are found when they are there.
-- What is listened to gets its place in its stream, under a lock that is held until this is committed: who takes the next place is committed after it.
WITH taken AS (
    DELETE FROM notifications.outbox WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM notifications.outbox ORDER BY position LIMIT $1 FOR UPDATE SKIP LOCKED))
    RETURNING position, merchant_id, livemode, event_id, type
), fanned_out AS (
    -- To an endpoint that wants them in order they join the line of their object, and wait for their turn.
    INSERT INTO notifications.deliveries (merchant_id, livemode, event_id, endpoint_id, line, object_version, place, held, queued, next_attempt_at)
    SELECT t.merchant_id, t.livemode, t.event_id, e.id, e.id || '/' || about.object_id, about.object_version, CASE WHEN e.ordered THEN t.position END,
        e.ordered, NOT e.ordered, CASE WHEN e.ordered THEN 'infinity' ELSE now() END
    FROM taken t
    JOIN notifications.webhook_endpoints e ON e.merchant_id = t.merchant_id AND e.livemode = t.livemode
    LEFT JOIN LATERAL (
        SELECT v.object_id, v.object_version FROM payments.events v
        WHERE e.ordered AND v.merchant_id = t.merchant_id AND v.livemode = t.livemode AND v.id = t.event_id LIMIT 1
    ) about ON true
    WHERE e.enabled AND e.enabled_events && ARRAY[t.type, '*']
        -- To the mailboxes of buyers only what is about a captured charge with an address.
        AND CASE WHEN e.receipts THEN EXISTS (
            SELECT FROM payments.events v
            WHERE v.merchant_id = t.merchant_id AND v.livemode = t.livemode AND v.id = t.event_id AND v.snapshot ->> 'receipt_email' <> ''
                AND v.snapshot ->> 'captured' = 'true'
                AND (v.type <> 'charge.updated' OR v.previous_attributes -> 'receipt_email' IS NOT NULL)) ELSE true END
    ON CONFLICT DO NOTHING
    RETURNING 1
), listened_to AS (
    SELECT t.merchant_id, t.livemode, count(*) AS events, array_agg(t.event_id ORDER BY t.position) AS event_ids
    FROM taken t
    WHERE EXISTS (SELECT FROM notifications.streams s WHERE s.merchant_id = t.merchant_id AND s.livemode = t.livemode AND s.recorded_until > now())
    GROUP BY t.merchant_id, t.livemode
), locked AS MATERIALIZED (
    -- In their order, so that two dispatchers don't wait for each other.
    SELECT s.merchant_id, s.livemode, l.events, l.event_ids
    FROM listened_to l JOIN notifications.streams s ON s.merchant_id = l.merchant_id AND s.livemode = l.livemode
    ORDER BY s.merchant_id, s.livemode FOR UPDATE OF s
), advanced AS (
    UPDATE notifications.streams s SET position = s.position + l.events
    FROM locked l WHERE s.merchant_id = l.merchant_id AND s.livemode = l.livemode
    RETURNING s.merchant_id, s.livemode, s.position - l.events AS before, l.event_ids
), streamed AS (
    INSERT INTO notifications.streamed (merchant_id, livemode, position, event_id)
    SELECT a.merchant_id, a.livemode, a.before + e.place, e.id
    FROM advanced a CROSS JOIN LATERAL unnest(a.event_ids) WITH ORDINALITY AS e (id, place)
    RETURNING 1
)
SELECT (SELECT count(*) FROM taken) AS taken, (SELECT count(*) FROM fanned_out) AS deliveries, (SELECT count(*) FROM streamed) AS streamed;

-- oldest_waiting_seconds: for how long the oldest event that has not been fanned out yet waits
SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0)::double precision FROM notifications.outbox;
