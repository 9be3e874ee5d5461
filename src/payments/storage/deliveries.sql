-- claim: lease what is due, no more per endpoint than it may have under way, so that one slow receiver can't hold up the others
WITH due AS MATERIALIZED (
    SELECT d.merchant_id, d.livemode, d.event_id, d.endpoint_id
    FROM notifications.webhook_endpoints w
    CROSS JOIN LATERAL (
        SELECT merchant_id, livemode, event_id, endpoint_id FROM notifications.deliveries
        WHERE merchant_id = w.merchant_id AND livemode = w.livemode AND endpoint_id = w.id AND status = 'pending' AND next_attempt_at <= now()
        ORDER BY next_attempt_at LIMIT $2 FOR UPDATE SKIP LOCKED
    ) d
    WHERE w.enabled AND w.id <> ALL ($3::text[])
    LIMIT $1
), leased AS (
    UPDATE notifications.deliveries d SET next_attempt_at = now() + $4::double precision * interval '1 second'
    FROM due
    WHERE d.merchant_id = due.merchant_id AND d.livemode = due.livemode AND d.event_id = due.event_id AND d.endpoint_id = due.endpoint_id
    RETURNING d.merchant_id, d.livemode, d.event_id, d.endpoint_id, d.attempts
)
SELECT l.merchant_id, l.livemode, l.endpoint_id, l.attempts, w.document AS endpoint, w.sealed_secret,
    CASE WHEN w.previous_secret_until > now() THEN w.sealed_previous_secret END AS sealed_previous_secret,
    e.id, e.created, e.type, e.object_type, e.object_id, e.object_version, e.snapshot, e.previous_attributes, e.request_id, e.idempotency_key,
    (SELECT count(*) FROM notifications.deliveries p
     WHERE p.merchant_id = l.merchant_id AND p.livemode = l.livemode AND p.event_id = l.event_id AND p.status = 'pending') AS pending
FROM leased l
JOIN notifications.webhook_endpoints w ON w.merchant_id = l.merchant_id AND w.livemode = l.livemode AND w.id = l.endpoint_id
JOIN payments.events e ON e.merchant_id = l.merchant_id AND e.livemode = l.livemode AND e.id = l.event_id;

-- record: what attempts came to; a delivery that was recorded by another copy in the meantime keeps what it has
WITH results AS (
    SELECT * FROM json_to_recordset($1::json) AS r(
        merchant_id bigint, livemode boolean, event_id text, endpoint_id text, attempt integer, attempted_at double precision, duration_ms integer,
        status_code smallint, error text, status text, retry_seconds double precision)
), updated AS (
    UPDATE notifications.deliveries d
    SET status = r.status, attempts = r.attempt, next_attempt_at = now() + r.retry_seconds * interval '1 second'
    FROM results r
    WHERE d.merchant_id = r.merchant_id AND d.livemode = r.livemode AND d.event_id = r.event_id AND d.endpoint_id = r.endpoint_id
        AND d.attempts = r.attempt - 1 AND d.status = 'pending'
    RETURNING d.merchant_id, d.livemode, d.event_id, d.endpoint_id
)
INSERT INTO notifications.delivery_attempts (merchant_id, livemode, event_id, endpoint_id, attempt, attempted_at, duration_ms, status_code, error)
SELECT r.merchant_id, r.livemode, r.event_id, r.endpoint_id, r.attempt, to_timestamp(r.attempted_at), r.duration_ms, r.status_code, r.error
FROM results r JOIN updated USING (merchant_id, livemode, event_id, endpoint_id)
ON CONFLICT DO NOTHING;

-- pending_of: how many deliveries of each event haven't succeeded yet
SELECT event_id, count(*) AS pending FROM notifications.deliveries
WHERE merchant_id = $1 AND livemode = $2 AND event_id = ANY ($3) AND status = 'pending' GROUP BY event_id;

-- bury: what waits for an endpoint that is disabled or gone becomes a dead letter
UPDATE notifications.deliveries SET status = 'dead' WHERE merchant_id = $1 AND livemode = $2 AND endpoint_id = $3 AND status = 'pending';

-- redeliver: try again now, and go on where the schedule was: what was given up is tried once more; nothing when there is no such delivery or its endpoint can't take it
UPDATE notifications.deliveries d SET status = 'pending', next_attempt_at = now()
FROM notifications.webhook_endpoints w
WHERE d.merchant_id = $1 AND d.livemode = $2 AND d.event_id = $3 AND d.endpoint_id = $4
    AND w.merchant_id = d.merchant_id AND w.livemode = d.livemode AND w.id = d.endpoint_id AND w.enabled
RETURNING d.event_id, d.endpoint_id, d.status, d.attempts, d.next_attempt_at, d.created_at;

-- page: deliveries from a cursor down, newest event first; of one event when the range of events holds only that
SELECT event_id, endpoint_id, status, attempts, next_attempt_at, created_at FROM notifications.deliveries
WHERE merchant_id = $1 AND livemode = $2 AND (event_id, endpoint_id) < ($3, $4) AND event_id >= $6 AND event_id <= $7
    AND ($8::text[] IS NULL OR endpoint_id = ANY ($8)) AND status = ANY ($9)
ORDER BY event_id DESC, endpoint_id DESC LIMIT $5;

-- page_of_endpoints: the same of some endpoints and statuses, each in its own range of the index
SELECT d.* FROM unnest($6::text[]) AS n (id) CROSS JOIN unnest($7::text[]) AS s (status)
CROSS JOIN LATERAL (
    SELECT event_id, endpoint_id, status, attempts, next_attempt_at, created_at FROM notifications.deliveries
    WHERE merchant_id = $1 AND livemode = $2 AND endpoint_id = n.id AND status = s.status
        AND (endpoint_id, status, event_id) <= (n.id, s.status, $3) AND (event_id, endpoint_id) < ($3, $4)
    ORDER BY event_id DESC LIMIT $5
) d
ORDER BY d.event_id DESC, d.endpoint_id DESC LIMIT $5;

-- endpoints: those that a merchant's deliveries went to, deleted ones included: each by one look-up of the next
endpoints (id) AS (
    (SELECT endpoint_id FROM notifications.deliveries WHERE merchant_id = $1 AND livemode = $2 ORDER BY endpoint_id LIMIT 1)
    UNION ALL
    SELECT next.endpoint_id FROM endpoints CROSS JOIN LATERAL (
        SELECT endpoint_id FROM notifications.deliveries WHERE merchant_id = $1 AND livemode = $2 AND endpoint_id > endpoints.id
        ORDER BY endpoint_id LIMIT 1
    ) next
);

-- endpoints_of: the same by themselves
WITH RECURSIVE {endpoints} SELECT id FROM endpoints;

-- dead_letters: how many died in the last day (`next_attempt_at` is when) and can be sent again, so that an alarm on them ends
SELECT count(*) FROM notifications.deliveries d
WHERE d.status = 'dead' AND d.next_attempt_at > now() - interval '1 day' AND EXISTS (
    SELECT FROM notifications.webhook_endpoints w WHERE w.merchant_id = d.merchant_id AND w.livemode = d.livemode AND w.id = d.endpoint_id);

-- attempts_of: the attempts of one delivery, oldest first
SELECT attempt, attempted_at, duration_ms, status_code, error FROM notifications.delivery_attempts
WHERE merchant_id = $1 AND livemode = $2 AND event_id = $3 AND endpoint_id = $4 ORDER BY attempt;
