-- lock: until the end of the transaction, against others that would count as well, find room for one more, and add one each
SELECT pg_advisory_xact_lock(hashtextextended($1, 0));

-- count: how many a merchant has in one mode
SELECT count(*) FROM notifications.webhook_endpoints WHERE merchant_id = $1 AND livemode = $2;

-- rotate_secret: the old secret signs beside the new one for a while
UPDATE notifications.webhook_endpoints
SET sealed_previous_secret = sealed_secret, previous_secret_until = now() + $5::double precision * interval '1 second', sealed_secret = $4
WHERE merchant_id = $1 AND livemode = $2 AND id = $3;

-- disable: what a receiver that answered 410 wants
UPDATE notifications.webhook_endpoints SET enabled = false, version = version + 1, document = (document::jsonb || '{"enabled": false}' || jsonb_build_object('version', version + 1))::json
WHERE merchant_id = $1 AND livemode = $2 AND id = $3 AND enabled;

-- delete: its deliveries stay, as history
DELETE FROM notifications.webhook_endpoints WHERE merchant_id = $1 AND livemode = $2 AND id = $3;
