-- running: the replay that is under way to an endpoint
SELECT id FROM notifications.replays WHERE merchant_id = $1 AND livemode = $2 AND webhook_endpoint = $3 AND status = 'running';

-- total: how many deliveries it will look at, counted up to $7
SELECT count(*) FROM (
    SELECT FROM unnest($4::text[]) AS s (status) JOIN notifications.deliveries d ON d.status = s.status
    WHERE d.merchant_id = $1 AND d.livemode = $2 AND d.endpoint_id = $3 AND d.event_id > $5 AND d.event_id < $6
    LIMIT $7
) counted;

-- due: one whose next step is due, held until the end of the transaction; others take others
SELECT document FROM notifications.replays WHERE status = 'running' AND next_step_at <= now() ORDER BY next_step_at LIMIT 1 FOR UPDATE SKIP LOCKED;

-- postpone: when its next step is due
UPDATE notifications.replays SET next_step_at = now() + $4::double precision * interval '1 second' WHERE merchant_id = $1 AND livemode = $2 AND id = $3;

-- waiting: how many deliveries wait for an endpoint, whatever for, counted up to $4; null when nothing is sent to it
SELECT (SELECT count(*) FROM (
        SELECT FROM notifications.deliveries d
        WHERE d.merchant_id = w.merchant_id AND d.livemode = w.livemode AND d.endpoint_id = w.id AND d.status = 'pending' LIMIT $4
    ) counted) AS waiting
FROM notifications.webhook_endpoints w WHERE w.merchant_id = $1 AND w.livemode = $2 AND w.id = $3 AND w.enabled;

-- step: the next deliveries after the event $5, of which up to $8 are made due; up to $7 are looked at. Where it ends: the last one that was looked at
WITH candidates AS MATERIALIZED (
    SELECT f.event_id FROM unnest($4::text[]) AS s (status)
    CROSS JOIN LATERAL (
        SELECT event_id FROM notifications.deliveries
        WHERE merchant_id = $1 AND livemode = $2 AND endpoint_id = $3 AND status = s.status
            AND (endpoint_id, status, event_id) > ($3, s.status, $5) AND (endpoint_id, status, event_id) < ($3, s.status, $6)
        ORDER BY event_id LIMIT $7
    ) f
    ORDER BY f.event_id LIMIT $7
), compared AS MATERIALIZED (
    SELECT c.event_id, e.matches, count(*) FILTER (WHERE e.matches) OVER (ORDER BY c.event_id) AS matched
    FROM candidates c
    CROSS JOIN LATERAL (
        SELECT created >= $9 AND created <= $10 AND ($11::text[] IS NULL OR type = ANY ($11)) AS matches FROM payments.events
        WHERE merchant_id = $1 AND livemode = $2 AND id = c.event_id LIMIT 1
    ) e
), looked_at AS MATERIALIZED (
    SELECT event_id, matches FROM compared WHERE matched < $8 OR (matched = $8 AND matches)
), begun AS (
    UPDATE notifications.deliveries d SET status = 'pending', {again}
    FROM looked_at l
    WHERE l.matches AND d.merchant_id = $1 AND d.livemode = $2 AND d.event_id = l.event_id AND d.endpoint_id = $3 AND d.status = ANY ($4)
    RETURNING 1
)
SELECT (SELECT max(event_id) FROM looked_at) AS reached, (SELECT count(*) FROM looked_at) AS looked_at, (SELECT count(*) FROM begun) AS replayed,
    (SELECT count(*) FROM candidates) < $7 AND (SELECT count(*) FROM looked_at) = (SELECT count(*) FROM candidates) AS done;
