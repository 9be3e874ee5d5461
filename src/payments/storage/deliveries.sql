-- enqueue: what has come due joins its endpoint's queue: a pause is over, or the lease of a copy that died has run out; tells whether there are turns to be given
WITH joined AS (
    UPDATE notifications.deliveries d SET queued = true
    FROM (
        SELECT merchant_id, livemode, event_id, endpoint_id FROM notifications.deliveries
        WHERE status = 'pending' AND NOT queued AND next_attempt_at <= now()
        ORDER BY next_attempt_at LIMIT $1 FOR UPDATE SKIP LOCKED
    ) due
    WHERE d.merchant_id = due.merchant_id AND d.livemode = due.livemode AND d.event_id = due.event_id AND d.endpoint_id = due.endpoint_id
)
SELECT EXISTS (SELECT FROM notifications.turns);

-- give_turns_alone: until the end of the transaction. A statement that waited for this sees all that was committed meanwhile
SELECT pg_advisory_xact_lock(hashtextextended('notifications.turns', 0));

-- give_turns: of each line that changed the first one joins the queue, unless something of the line is under way or in a pause. What is still in the outbox at a lower
-- position is, or was, with another dispatcher, and may belong before it: then the line is looked at again. Tells whether
-- there may be more, and whether there are such.
-- What is pending is said by CASE: an index on that alone must not look cheaper while its statistics are missing.
WITH changed AS MATERIALIZED (
    SELECT id, line FROM notifications.turns ORDER BY id LIMIT $1
), lines AS MATERIALIZED (
    SELECT l.line, first.merchant_id, first.livemode, first.event_id, first.endpoint_id,
        coalesce(first.place >= (SELECT min(position) FROM notifications.outbox), false) AS waits
    FROM (SELECT DISTINCT line FROM changed) l
    CROSS JOIN LATERAL (
        SELECT merchant_id, livemode, event_id, endpoint_id, held, place FROM notifications.deliveries
        WHERE CASE WHEN status = 'pending' THEN line END = l.line
        ORDER BY held, object_version, place, event_id LIMIT 1
    ) first
    WHERE first.held
), begun AS (
    UPDATE notifications.deliveries d SET held = false, queued = true, next_attempt_at = now()
    FROM lines l
    WHERE NOT l.waits AND d.merchant_id = l.merchant_id AND d.livemode = l.livemode AND d.event_id = l.event_id AND d.endpoint_id = l.endpoint_id
        AND CASE WHEN d.status = 'pending' THEN d.held END
), given AS (
    DELETE FROM notifications.turns t USING changed c
    WHERE t.id = c.id AND c.line <> ALL (ARRAY(SELECT line FROM lines WHERE waits))
)
SELECT (SELECT count(*) FROM changed) >= $1 AS more, EXISTS (SELECT FROM lines WHERE waits) AS waits;

-- claim: lease the deliveries whose turn it is. The queues' endpoints are found by one look into the index each; a merchant gets at most as much as is left free
WITH RECURSIVE queues AS (
    (SELECT merchant_id, livemode, endpoint_id FROM notifications.deliveries WHERE status = 'pending' AND queued
     ORDER BY merchant_id, livemode, endpoint_id LIMIT 1)
    UNION ALL
    SELECT following.merchant_id, following.livemode, following.endpoint_id
    FROM queues q
    CROSS JOIN LATERAL (
        SELECT d.merchant_id, d.livemode, d.endpoint_id FROM notifications.deliveries d
        WHERE d.status = 'pending' AND d.queued AND (d.merchant_id, d.livemode, d.endpoint_id) > (q.merchant_id, q.livemode, q.endpoint_id)
        ORDER BY d.merchant_id, d.livemode, d.endpoint_id LIMIT 1
    ) following
), due AS MATERIALIZED (
    SELECT q.merchant_id, q.livemode, q.endpoint_id, d.event_id, d.next_attempt_at, coalesce(e.failing, false) AS failing,
        coalesce(e.under_way, 0)
            + row_number() OVER (PARTITION BY q.merchant_id, q.livemode, q.endpoint_id ORDER BY d.next_attempt_at, d.event_id) AS endpoint_share
    FROM queues q
    LEFT JOIN unnest($4::text[], $5::integer[], $6::integer[], $7::boolean[]) AS e(endpoint_id, room, under_way, failing) ON e.endpoint_id = q.endpoint_id
    CROSS JOIN LATERAL (
        SELECT event_id, next_attempt_at FROM notifications.deliveries
        WHERE merchant_id = q.merchant_id AND livemode = q.livemode AND endpoint_id = q.endpoint_id
            AND status = 'pending' AND queued AND next_attempt_at <= now()
        ORDER BY next_attempt_at LIMIT least(coalesce(e.room, $3::integer), $1::integer) FOR UPDATE SKIP LOCKED
    ) d
), fair AS (
    SELECT due.*, coalesce(m.under_way, 0)
        + row_number() OVER (PARTITION BY due.merchant_id ORDER BY due.endpoint_share, due.next_attempt_at, due.event_id) AS merchant_share
    FROM due LEFT JOIN unnest($8::bigint[], $9::integer[]) AS m(merchant_id, under_way) ON m.merchant_id = due.merchant_id
), bounded AS (
    SELECT fair.*, row_number() OVER (PARTITION BY failing ORDER BY merchant_share, next_attempt_at, event_id) AS place_among_failing FROM fair
), in_turn AS (
    SELECT bounded.*, row_number() OVER (ORDER BY merchant_share, next_attempt_at, event_id) AS turn
    FROM bounded WHERE NOT failing OR place_among_failing <= $10::integer
), leased AS (
    -- An event may have been fanned out while its endpoint was disabled or deleted: that is found here, and buried.
    UPDATE notifications.deliveries d
    SET queued = false, leased = true, next_attempt_at = now() + $2::double precision * interval '1 second',
        status = CASE WHEN w.enabled THEN 'pending' ELSE 'dead' END
    FROM in_turn t
    LEFT JOIN notifications.webhook_endpoints w ON w.merchant_id = t.merchant_id AND w.livemode = t.livemode AND w.id = t.endpoint_id
    WHERE t.turn <= $1 AND t.merchant_share + t.turn <= $1 + 1
        AND d.merchant_id = t.merchant_id AND d.livemode = t.livemode AND d.event_id = t.event_id AND d.endpoint_id = t.endpoint_id
    RETURNING d.merchant_id, d.livemode, d.event_id, d.endpoint_id, d.attempts, d.status, t.turn
), begun AS (
    SELECT leased.*, row_number() OVER (PARTITION BY merchant_id, livemode, event_id ORDER BY turn) = 1 AS is_first FROM leased WHERE status = 'pending'
)
SELECT l.merchant_id, l.livemode, l.event_id, l.endpoint_id, l.attempts, w.document AS endpoint, w.sealed_secret,
    ARRAY(
        SELECT w.sealed_previous_secret WHERE w.previous_secret_until > now()
        UNION ALL
        SELECT s.sealed FROM notifications.earlier_secrets s
        WHERE s.merchant_id = w.merchant_id AND s.livemode = w.livemode AND s.endpoint_id = w.id AND s.expires_at > now()
    ) AS sealed_previous_secrets,
    extract(epoch FROM now() - w.failing_since)::double precision AS failing_seconds,
    -- Of each event once, with the first of its deliveries: of one that goes to a hundred endpoints nothing is read, counted and sent here a hundred times.
    e.id, e.created, e.type, e.object_type, e.object_id, e.object_version, e.snapshot, e.previous_attributes, e.request_id, e.idempotency_key,
    -- Not in WHERE: an index on what is pending must not look cheaper than the key while its statistics are missing.
    CASE WHEN l.is_first THEN (
        SELECT count(*) FILTER (WHERE p.status = 'pending') FROM notifications.deliveries p
        WHERE p.merchant_id = l.merchant_id AND p.livemode = l.livemode AND p.event_id = l.event_id) END AS pending,
    (SELECT m.api_version FROM payments.merchants m WHERE m.id = l.merchant_id) AS account_api_version
FROM begun l
JOIN notifications.webhook_endpoints w ON w.merchant_id = l.merchant_id AND w.livemode = l.livemode AND w.id = l.endpoint_id AND w.enabled
LEFT JOIN LATERAL (
    SELECT * FROM payments.events v WHERE l.is_first AND v.merchant_id = l.merchant_id AND v.livemode = l.livemode AND v.id = l.event_id LIMIT 1
) e ON true
ORDER BY l.turn;

-- record: what attempts came to, and which endpoints begin or cease to fail by it. What another copy recorded in the meantime stays; of a delivery that was buried meanwhile the attempt is noted, and success is success
WITH results AS (
    SELECT * FROM json_to_recordset($1::json) AS r(
        merchant_id bigint, livemode boolean, event_id text, endpoint_id text, attempt integer, attempted_at double precision, duration_ms integer,
        status_code smallint, error text, status text, retry_seconds double precision, was_sent boolean, log_id text, exchange json)
), updated AS (
    UPDATE notifications.deliveries d
    SET attempts = r.attempt,
        status = CASE WHEN d.status = 'pending' OR r.status = 'delivered' THEN r.status ELSE d.status END,
        queued = false, leased = false, held = false,
        next_attempt_at = now() + r.retry_seconds * interval '1 second'
    FROM results r
    WHERE d.merchant_id = r.merchant_id AND d.livemode = r.livemode AND d.event_id = r.event_id AND d.endpoint_id = r.endpoint_id
        AND d.attempts = r.attempt - 1
    RETURNING d.merchant_id, d.livemode, d.event_id, d.endpoint_id
), told AS (
    SELECT merchant_id, livemode, endpoint_id, bool_or(status = 'delivered') AS works FROM results WHERE was_sent GROUP BY merchant_id, livemode, endpoint_id
), turned AS (
    -- Without waiting: what somebody else has in hand is told by the next attempt, too.
    SELECT w.merchant_id, w.livemode, w.id, t.works
    FROM told t JOIN notifications.webhook_endpoints w ON w.merchant_id = t.merchant_id AND w.livemode = t.livemode AND w.id = t.endpoint_id
    WHERE (w.failing_since IS NULL) <> t.works
    FOR NO KEY UPDATE OF w SKIP LOCKED
), marked AS (
    UPDATE notifications.webhook_endpoints w SET failing_since = CASE WHEN NOT t.works THEN now() END
    FROM turned t WHERE w.merchant_id = t.merchant_id AND w.livemode = t.livemode AND w.id = t.id
)
INSERT INTO notifications.delivery_log
    (merchant_id, livemode, id, event_id, endpoint_id, attempt, attempted_at, duration_ms, status_code, error, status, exchange)
SELECT r.merchant_id, r.livemode, r.log_id, r.event_id, r.endpoint_id, r.attempt, to_timestamp(r.attempted_at), r.duration_ms, r.status_code, r.error,
    r.status, r.exchange
FROM results r JOIN updated USING (merchant_id, livemode, event_id, endpoint_id)
ON CONFLICT DO NOTHING;

-- pending_of: how many deliveries of each event haven't succeeded yet
SELECT event_id, count(*) AS pending FROM notifications.deliveries
WHERE merchant_id = $1 AND livemode = $2 AND event_id = ANY ($3) AND status = 'pending' GROUP BY event_id;

-- bury: what waits for an endpoint that is disabled or gone becomes a dead letter
UPDATE notifications.deliveries SET status = 'dead', queued = false, held = false, next_attempt_at = now() WHERE merchant_id = $1 AND livemode = $2 AND endpoint_id = $3 AND status = 'pending';

-- again: how a delivery is made due once more. One that is under way stays so. In a line it waits for its turn, if it hadn't had it before
(held, queued, next_attempt_at) = (
    SELECT again.held, NOT again.held AND NOT again.under_way,
        CASE WHEN again.held THEN 'infinity' WHEN again.under_way THEN d.next_attempt_at ELSE now() END
    FROM (
        SELECT d.line IS NOT NULL AND (d.held OR d.status <> 'pending') AS held,
            d.status = 'pending' AND d.leased AND NOT d.queued AND d.next_attempt_at > now() AS under_way
    ) again
);

-- redeliver: try again now, and go on where the schedule was: what was given up is tried once more; nothing when there is no such delivery or its endpoint can't take it
UPDATE notifications.deliveries d SET status = 'pending', {again}
FROM notifications.webhook_endpoints w
WHERE d.merchant_id = $1 AND d.livemode = $2 AND d.event_id = $3 AND d.endpoint_id = $4
    AND w.merchant_id = d.merchant_id AND w.livemode = d.livemode AND w.id = d.endpoint_id AND w.enabled
RETURNING {columns};

-- resend: the same of an endpoint that may not have had the event; nothing when the endpoint can't take it
INSERT INTO notifications.deliveries AS d (merchant_id, livemode, event_id, endpoint_id, line, object_version, place, held, queued, next_attempt_at)
SELECT w.merchant_id, w.livemode, e.id, w.id, CASE WHEN w.ordered THEN w.id || '/' || e.object_id END, CASE WHEN w.ordered THEN e.object_version END,
    CASE WHEN w.ordered THEN 0 END, w.ordered, NOT w.ordered, CASE WHEN w.ordered THEN 'infinity' ELSE now() END
FROM notifications.webhook_endpoints w
JOIN payments.events e ON e.merchant_id = w.merchant_id AND e.livemode = w.livemode AND e.id = $3
WHERE w.merchant_id = $1 AND w.livemode = $2 AND w.id = $4 AND w.enabled
ON CONFLICT (merchant_id, livemode, event_id, endpoint_id) DO UPDATE SET status = 'pending', {again}
RETURNING true;

-- columns: of a delivery as it is shown; what waits for its turn has no time
d.event_id, d.endpoint_id, d.status, d.attempts, CASE WHEN d.held THEN NULL ELSE d.next_attempt_at END AS next_attempt_at, d.created_at;

-- page: deliveries from a cursor down, newest event first; of one event when the range of events holds only that
SELECT {columns} FROM notifications.deliveries d
WHERE merchant_id = $1 AND livemode = $2 AND (event_id, endpoint_id) < ($3, $4) AND event_id >= $6 AND event_id <= $7
    AND ($8::text[] IS NULL OR endpoint_id = ANY ($8)) AND status = ANY ($9)
ORDER BY event_id DESC, endpoint_id DESC LIMIT $5;

-- page_of_endpoints: the same of some endpoints and statuses, each in its own range of the index
SELECT f.* FROM unnest($6::text[]) AS n (id) CROSS JOIN unnest($7::text[]) AS s (status)
CROSS JOIN LATERAL (
    SELECT {columns} FROM notifications.deliveries d
    WHERE merchant_id = $1 AND livemode = $2 AND endpoint_id = n.id AND status = s.status
        AND (endpoint_id, status, event_id) <= (n.id, s.status, $3) AND (event_id, endpoint_id) < ($3, $4)
    ORDER BY event_id DESC LIMIT $5
) f
ORDER BY f.event_id DESC, f.endpoint_id DESC LIMIT $5;

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

-- dead_letters: how many died in the last day (`next_attempt_at` is when) and can be sent again, so that an alarm on them ends; a buyer's mistyped address is none
SELECT count(*) FROM notifications.deliveries d
WHERE d.status = 'dead' AND d.next_attempt_at > now() - interval '1 day' AND EXISTS (
    SELECT FROM notifications.webhook_endpoints w WHERE w.merchant_id = d.merchant_id AND w.livemode = d.livemode AND w.id = d.endpoint_id AND NOT w.receipts);

-- attempts_of: the attempts of one delivery, oldest first: those in the log, and those that were recorded before there was one, or by the release before this one
SELECT attempt, attempted_at, duration_ms, status_code, error FROM notifications.delivery_log
WHERE merchant_id = $1 AND livemode = $2 AND event_id = $3 AND endpoint_id = $4
UNION
SELECT attempt, attempted_at, duration_ms, status_code, error FROM notifications.delivery_attempts
WHERE merchant_id = $1 AND livemode = $2 AND event_id = $3 AND endpoint_id = $4
ORDER BY attempt;
