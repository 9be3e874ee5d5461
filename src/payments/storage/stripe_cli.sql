-- position_of: where a session stands
SELECT position FROM notifications.cli_positions WHERE merchant_id = $1 AND livemode = $2 AND session_id = $3;

-- save_position: a session that is open twice stands where the one that is behind stands, so that nothing is missed
INSERT INTO notifications.cli_positions (merchant_id, livemode, session_id, position) VALUES ($1, $2, $3, $4)
ON CONFLICT (merchant_id, livemode, session_id) DO UPDATE SET position = EXCLUDED.position, saved_at = now();

-- forget_positions: those that nobody can come back to, so many at once
DELETE FROM notifications.cli_positions WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM notifications.cli_positions WHERE saved_at < now() - interval '2 days' LIMIT 1000))
RETURNING true;

-- watch: have the requests of merchants recorded for so many seconds from now on
INSERT INTO notifications.request_tails (merchant_id, livemode, until)
SELECT merchant_id, livemode, now() + $3::double precision * interval '1 second'
FROM unnest($1::bigint[], $2::boolean[]) AS t (merchant_id, livemode) ORDER BY merchant_id, livemode
ON CONFLICT (merchant_id, livemode) DO UPDATE SET until = greatest(request_tails.until, EXCLUDED.until);

-- watched: whose requests are to be recorded, and for how many seconds
SELECT merchant_id, livemode, extract(epoch FROM until - now())::double precision AS seconds FROM notifications.request_tails WHERE until > now();

-- forget_tails: those that nobody watches any more
DELETE FROM notifications.request_tails WHERE until < now() - interval '1 day';

-- record: requests, as they were answered
INSERT INTO notifications.request_log (merchant_id, livemode, id, document)
SELECT * FROM unnest($1::bigint[], $2::boolean[], $3::text[], $4::json[]) ON CONFLICT DO NOTHING;

-- requests: those that were recorded from an id on, the oldest first. One may be committed later than a younger one: whoever reads begins some seconds earlier each time
SELECT l.merchant_id, l.livemode, l.id, l.document
FROM unnest($1::bigint[], $2::boolean[]) AS t (merchant_id, livemode)
CROSS JOIN LATERAL (
    SELECT * FROM notifications.request_log
    WHERE merchant_id = t.merchant_id AND livemode = t.livemode AND id > $3 ORDER BY id LIMIT $4
) l
ORDER BY l.id;
