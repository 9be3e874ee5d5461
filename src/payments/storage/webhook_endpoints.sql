-- lock: until the end of the transaction, against others that would count as well, find room for one more, and add one each
SELECT pg_advisory_xact_lock(hashtextextended($1, 0));

-- count: how many a merchant has in one mode
SELECT count(*) FROM notifications.webhook_endpoints WHERE merchant_id = $1 AND livemode = $2;

-- rotate_secret: the old secret signs beside the new one for a while
UPDATE notifications.webhook_endpoints
SET sealed_previous_secret = sealed_secret, previous_secret_until = now() + $5::double precision * interval '1 second', sealed_secret = $4
WHERE merchant_id = $1 AND livemode = $2 AND id = $3;

-- hold: an endpoint that is enabled, until the end of the transaction; with $4, only if it has been failing for so many seconds
SELECT document FROM notifications.webhook_endpoints
WHERE merchant_id = $1 AND livemode = $2 AND id = $3 AND enabled
    AND ($4::double precision IS NULL OR failing_since <= now() - $4::double precision * interval '1 second')
FOR NO KEY UPDATE;

-- tell_disabled: by an event, which the service has no right to write otherwise
SELECT notifications.tell_disabled($1, $2, $3, $4, $5);

-- hopeful: what its merchant changed is given the whole time anew
UPDATE notifications.webhook_endpoints SET failing_since = NULL WHERE merchant_id = $1 AND livemode = $2 AND id = $3 AND failing_since IS NOT NULL;

-- delete: its deliveries stay, as history
DELETE FROM notifications.webhook_endpoints WHERE merchant_id = $1 AND livemode = $2 AND id = $3;
