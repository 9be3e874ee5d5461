-- plan_each_batch: a plan that knows how small a batch is follows the index; one for any size may read and sort the whole table for each
SET plan_cache_mode = force_custom_plan;

-- card_numbers: the next ones, in the table's order, that aren't under the key in use, without those that somebody else has in hand just now
SELECT merchant_id, livemode, id AS key, id AS bound_to, sealed_number AS sealed FROM payments.payment_methods
WHERE (merchant_id, livemode, id) > ($1, $2, $3) AND payments.sealed_by(sealed_number) <> $4
ORDER BY merchant_id, livemode, id LIMIT $5 FOR NO KEY UPDATE SKIP LOCKED;

-- put_card_numbers: those of the batch, which are locked
UPDATE payments.payment_methods t SET sealed_number = n.sealed
FROM unnest($1::bigint[], $2::boolean[], $3::text[], $4::text[]) AS n (merchant_id, livemode, key, sealed)
WHERE t.merchant_id = n.merchant_id AND t.livemode = n.livemode AND t.id = n.key;

-- account_numbers: as card_numbers
SELECT merchant_id, livemode, id AS key, id AS bound_to, sealed_number AS sealed FROM payments.bank_accounts
WHERE (merchant_id, livemode, id) > ($1, $2, $3) AND payments.sealed_by(sealed_number) <> $4
ORDER BY merchant_id, livemode, id LIMIT $5 FOR NO KEY UPDATE SKIP LOCKED;

-- put_account_numbers: those of the batch, which are locked
UPDATE payments.bank_accounts t SET sealed_number = n.sealed
FROM unnest($1::bigint[], $2::boolean[], $3::text[], $4::text[]) AS n (merchant_id, livemode, key, sealed)
WHERE t.merchant_id = n.merchant_id AND t.livemode = n.livemode AND t.id = n.key;

-- webhook_secrets: as card_numbers
SELECT merchant_id, livemode, id AS key, id AS bound_to, sealed_secret AS sealed FROM notifications.webhook_endpoints
WHERE (merchant_id, livemode, id) > ($1, $2, $3) AND payments.sealed_by(sealed_secret) <> $4
ORDER BY merchant_id, livemode, id LIMIT $5 FOR NO KEY UPDATE SKIP LOCKED;

-- put_webhook_secrets: those of the batch, which are locked
UPDATE notifications.webhook_endpoints t SET sealed_secret = n.sealed
FROM unnest($1::bigint[], $2::boolean[], $3::text[], $4::bytea[]) AS n (merchant_id, livemode, key, sealed)
WHERE t.merchant_id = n.merchant_id AND t.livemode = n.livemode AND t.id = n.key;

-- previous_webhook_secrets: as card_numbers; those whose time is over, too, since they are still there
SELECT merchant_id, livemode, id AS key, id AS bound_to, sealed_previous_secret AS sealed FROM notifications.webhook_endpoints
WHERE (merchant_id, livemode, id) > ($1, $2, $3) AND payments.sealed_by(sealed_previous_secret) <> $4
ORDER BY merchant_id, livemode, id LIMIT $5 FOR NO KEY UPDATE SKIP LOCKED;

-- put_previous_webhook_secrets: those of the batch, which are locked
UPDATE notifications.webhook_endpoints t SET sealed_previous_secret = n.sealed
FROM unnest($1::bigint[], $2::boolean[], $3::text[], $4::bytea[]) AS n (merchant_id, livemode, key, sealed)
WHERE t.merchant_id = n.merchant_id AND t.livemode = n.livemode AND t.id = n.key;

-- earlier_webhook_secrets: as card_numbers; bound to their endpoint
SELECT merchant_id, livemode, id AS key, endpoint_id AS bound_to, sealed FROM notifications.earlier_secrets
WHERE (merchant_id, livemode, id) > ($1, $2, $3) AND payments.sealed_by(sealed) <> $4
ORDER BY merchant_id, livemode, id LIMIT $5 FOR NO KEY UPDATE SKIP LOCKED;

-- put_earlier_webhook_secrets: those of the batch, which are locked
UPDATE notifications.earlier_secrets t SET sealed = n.sealed
FROM unnest($1::bigint[], $2::boolean[], $3::text[], $4::bytea[]) AS n (merchant_id, livemode, key, sealed)
WHERE t.merchant_id = n.merchant_id AND t.livemode = n.livemode AND t.id = n.key;

-- stored_answers: as card_numbers
SELECT merchant_id, livemode, key, request_id AS bound_to, sealed_body AS sealed FROM payments.idempotency_claims
WHERE (merchant_id, livemode, key) > ($1, $2, $3) AND sealed_body IS NOT NULL AND payments.sealed_by(sealed_body) <> $4
ORDER BY merchant_id, livemode, key LIMIT $5 FOR NO KEY UPDATE SKIP LOCKED;

-- put_stored_answers: those of the batch, which are locked
UPDATE payments.idempotency_claims t SET sealed_body = n.sealed
FROM unnest($1::bigint[], $2::boolean[], $3::text[], $4::bytea[]) AS n (merchant_id, livemode, key, sealed)
WHERE t.merchant_id = n.merchant_id AND t.livemode = n.livemode AND t.key = n.key;

-- envelope_uses: how many values there are under each key; of digests, those that a repetition is still compared with
SELECT 'card numbers' AS what, payments.sealed_by(sealed_number) AS key_id, count(*) FROM payments.payment_methods GROUP BY 2
UNION ALL
SELECT 'account numbers', payments.sealed_by(sealed_number), count(*) FROM payments.bank_accounts GROUP BY 2
UNION ALL
SELECT 'webhook secrets', payments.sealed_by(sealed_secret), count(*) FROM notifications.webhook_endpoints WHERE sealed_secret IS NOT NULL GROUP BY 2
UNION ALL
SELECT 'previous webhook secrets', payments.sealed_by(sealed_previous_secret), count(*) FROM notifications.webhook_endpoints
WHERE sealed_previous_secret IS NOT NULL GROUP BY 2
UNION ALL
SELECT 'earlier webhook secrets', payments.sealed_by(sealed), count(*) FROM notifications.earlier_secrets GROUP BY 2
UNION ALL
SELECT 'stored answers', payments.sealed_by(sealed_body), count(*) FROM payments.idempotency_claims WHERE sealed_body IS NOT NULL GROUP BY 2
UNION ALL
SELECT 'request digests', substring(fingerprint FROM '^h([0-9]{1,3}):')::integer, count(*) FROM payments.idempotency_claims
WHERE fingerprint ~ '^h[0-9]{1,3}:' AND created >= extract(epoch FROM now()) - $1 GROUP BY 2
ORDER BY 1, 2;
