-- lock: until the end of the transaction, against others that would count as well, find room for one more, and add one each
SELECT pg_advisory_xact_lock(hashtextextended($1, 0));

-- count: how many a merchant has in one mode, and may have
SELECT (SELECT count(*) FROM notifications.webhook_endpoints WHERE merchant_id = $1 AND livemode = $2) AS count,
    (SELECT webhook_endpoints_max FROM payments.merchants WHERE id = $1) AS allowed;

-- has_receipts: whether there is the one destination that stands for the mailboxes of buyers
SELECT true FROM notifications.webhook_endpoints WHERE merchant_id = $1 AND livemode = $2 AND receipts;

-- secrets_in_use: how many secrets of an endpoint sign; who asks to rotate it has the endpoint until the transaction ends
SELECT 1 + coalesce(w.previous_secret_until > now(), false)::integer + (
    SELECT count(*) FROM notifications.earlier_secrets s
    WHERE s.merchant_id = w.merchant_id AND s.livemode = w.livemode AND s.endpoint_id = w.id AND s.expires_at > now())
FROM notifications.webhook_endpoints w WHERE w.merchant_id = $1 AND w.livemode = $2 AND w.id = $3 FOR NO KEY UPDATE;

-- rotate_secret: the old secret signs beside the new one for a while, and so do those before it for as long as was said of them; without a while none does
WITH kept AS (
    INSERT INTO notifications.earlier_secrets (merchant_id, livemode, id, endpoint_id, sealed, expires_at)
    SELECT merchant_id, livemode, $6, id, sealed_previous_secret, previous_secret_until FROM notifications.webhook_endpoints
    WHERE merchant_id = $1 AND livemode = $2 AND id = $3 AND previous_secret_until > now() AND $5::double precision > 0
), forgotten AS (
    DELETE FROM notifications.earlier_secrets
    WHERE merchant_id = $1 AND livemode = $2 AND endpoint_id = $3 AND (expires_at <= now() OR $5::double precision <= 0)
)
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

-- tell_failed: by an event, that a delivery was given up; once a day
SELECT notifications.tell_failed($1, $2, $3, $4, $5);

-- hopeful: what its merchant changed is given the whole time anew
UPDATE notifications.webhook_endpoints SET failing_since = NULL WHERE merchant_id = $1 AND livemode = $2 AND id = $3 AND failing_since IS NOT NULL;

-- delete: its deliveries stay, as history
DELETE FROM notifications.webhook_endpoints WHERE merchant_id = $1 AND livemode = $2 AND id = $3;
