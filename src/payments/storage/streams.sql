-- follow: have what happens to a merchant recorded, for a day from now on. What wasn't recorded meanwhile is a gap, which takes a position of its own, so that
-- nobody resumes before it. The minute is longer than a dispatch can take that found nothing to record.
INSERT INTO notifications.streams AS s (merchant_id, livemode, recorded_until) VALUES ($1, $2, now() + interval '1 day')
ON CONFLICT (merchant_id, livemode) DO UPDATE
SET (position, begun_after) = (
        SELECT s.position + gap, CASE gap WHEN 0 THEN s.begun_after ELSE s.position + gap END
        FROM (SELECT CASE WHEN s.recorded_until > now() + interval '1 minute' THEN 0 ELSE 1 END AS gap) AS found),
    recorded_until = EXCLUDED.recorded_until
RETURNING position, begun_after;

-- renew: the same for those that are listened to all the while; in their order, as dispatchers lock them
UPDATE notifications.streams s SET recorded_until = now() + interval '1 day'
FROM (
    SELECT r.merchant_id, r.livemode FROM unnest($1::bigint[], $2::boolean[]) AS f (merchant_id, livemode)
    JOIN notifications.streams r ON r.merchant_id = f.merchant_id AND r.livemode = f.livemode
    ORDER BY r.merchant_id, r.livemode FOR UPDATE OF r
) locked
WHERE s.merchant_id = locked.merchant_id AND s.livemode = locked.livemode;

-- extent: how far a stream goes
SELECT position, begun_after FROM notifications.streams WHERE merchant_id = $1 AND livemode = $2;

-- position_of: where an event is in its stream; the first time, if it was sent again
SELECT min(position) FROM notifications.streamed WHERE merchant_id = $1 AND livemode = $2 AND event_id = $3;

-- news: what came after the positions that streams were read to, so much of each at most
SELECT f.merchant_id, f.livemode, s.position,
    e.id, e.created, e.type, e.object_type, e.object_id, e.object_version, e.snapshot, e.previous_attributes, e.request_id, e.idempotency_key,
    (SELECT count(*) FILTER (WHERE d.status = 'pending') FROM notifications.deliveries d
     WHERE d.merchant_id = f.merchant_id AND d.livemode = f.livemode AND d.event_id = s.event_id) AS pending
FROM unnest($1::bigint[], $2::boolean[], $3::bigint[]) AS f (merchant_id, livemode, after)
CROSS JOIN LATERAL (
    SELECT position, event_id FROM notifications.streamed
    WHERE merchant_id = f.merchant_id AND livemode = f.livemode AND position > f.after ORDER BY position LIMIT $4
) s
JOIN payments.events e ON e.merchant_id = f.merchant_id AND e.livemode = f.livemode AND e.id = s.event_id
ORDER BY f.merchant_id, f.livemode, s.position;

-- revoked_keys: those of them that may not be used any more
SELECT id FROM payments.api_keys WHERE id = ANY ($1) AND revoked_at IS NOT NULL;

-- prune: take away the beginning of each stream that is older than a day, and say so where the stream begins
WITH old AS MATERIALIZED (
    SELECT s.merchant_id, s.livemode, o.position
    FROM notifications.streams s
    CROSS JOIN LATERAL (
        SELECT max(b.position) FILTER (WHERE b.recorded_at < now() - interval '1 day') AS position
        FROM (
            SELECT position, recorded_at FROM notifications.streamed
            WHERE merchant_id = s.merchant_id AND livemode = s.livemode ORDER BY position LIMIT $1
        ) b
    ) o
    WHERE o.position IS NOT NULL
    ORDER BY s.merchant_id, s.livemode FOR UPDATE OF s
), begun AS (
    UPDATE notifications.streams s SET begun_after = greatest(s.begun_after, o.position)
    FROM old o WHERE s.merchant_id = o.merchant_id AND s.livemode = o.livemode
), taken_away AS (
    DELETE FROM notifications.streamed d USING old o
    WHERE d.merchant_id = o.merchant_id AND d.livemode = o.livemode AND d.position <= o.position
    RETURNING 1
)
SELECT count(*) FROM taken_away;
