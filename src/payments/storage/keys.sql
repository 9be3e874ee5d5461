-- create_merchant: a merchant with the default fee schedule
INSERT INTO payments.merchants (name, account_id, api_version) VALUES ($1, $2, $3) RETURNING id;

-- merchant: name and fees
SELECT id, name, fee_basis_points, fee_fixed_minor_units, fee_dispute_usd_cents, payout_delay_days FROM payments.merchants WHERE id = $1;

-- account: what the API shows of a merchant
SELECT account_id, name, api_version, created_at, payout_interval, payout_weekly_anchor, payout_monthly_anchor, payout_delay_days,
    webhook_endpoints_max,
    brand_colour, brand_logo IS NOT NULL AS has_logo
FROM payments.merchants WHERE id = $1;

-- set_webhook_endpoints_max: how many webhook endpoints a merchant may have in each mode
UPDATE payments.merchants SET webhook_endpoints_max = $2 WHERE id = $1;

-- set_payout_schedule: when a merchant is paid out without asking
UPDATE payments.merchants SET payout_interval = $2, payout_weekly_anchor = $3, payout_monthly_anchor = $4, payout_delay_days = $5,
    payouts_looked_on = NULL WHERE id = $1;

-- set_api_version: the version of requests and events that name none; returns nothing when there is no such merchant
UPDATE payments.merchants SET api_version = $2 WHERE id = $1 RETURNING true;

-- merchant_ids: all merchants, the first one first
SELECT id FROM payments.merchants ORDER BY id;

-- create_key: only the keyed hash and the last four characters are kept
INSERT INTO payments.api_keys (id, merchant_id, livemode, kind, key_hash, last4, pepper) VALUES ($1, $2, $3, $4, $5, $6, $7);

-- provide_one_at_a_time: until the transaction's end, so that a key that is provided twice at once gets one merchant
SELECT pg_advisory_xact_lock(hashtext('payments.provide_test_key'));

-- hash_anew: store a key, revoked or not, under another hash; tells whether there is one of these hashes
WITH changed AS (UPDATE payments.api_keys SET key_hash = $2, pepper = $3 WHERE key_hash = ANY ($1) AND pepper <> $3)
SELECT EXISTS (SELECT FROM payments.api_keys WHERE key_hash = ANY ($1));

-- pepper_uses: how many keys would be lost without each pepper
SELECT pepper, count(*) FROM payments.api_keys WHERE revoked_at IS NULL GROUP BY pepper ORDER BY pepper;

-- list_keys: all keys, or those of one merchant
SELECT id, merchant_id, livemode, kind, last4, created_at, revoked_at, writes_per_second FROM payments.api_keys
WHERE $1::bigint IS NULL OR merchant_id = $1 ORDER BY created_at, id;

-- revoke_key: the first revocation counts; returns nothing when there is no such key
UPDATE payments.api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 RETURNING revoked_at;

-- limit_key: how fast a key may write; returns nothing when there is no such key
UPDATE payments.api_keys SET writes_per_second = $2 WHERE id = $1 RETURNING true;

-- find_principal: whom a key stands for, unless it is revoked
SELECT k.id, k.merchant_id, k.livemode, k.kind, k.writes_per_second, m.account_id, m.api_version, NULL::text AS customer,
    CASE WHEN k.livemode THEN 0 ELSE m.test_ahead_seconds END AS ahead_seconds
FROM payments.api_keys k JOIN payments.merchants m ON m.id = k.merchant_id
WHERE k.key_hash = ANY ($1) AND k.revoked_at IS NULL;

-- find_customer: which customer an ephemeral key stands for, unless its time is over; all keys of theirs write as fast as one may, and are known by them there
SELECT k.customer AS id, k.merchant_id, k.livemode, 'ephemeral' AS kind, NULL::integer AS writes_per_second, m.account_id, k.document ->> 'api_version' AS api_version, k.customer,
    CASE WHEN k.livemode THEN 0 ELSE m.test_ahead_seconds END AS ahead_seconds
FROM payments.ephemeral_keys k JOIN payments.merchants m ON m.id = k.merchant_id
WHERE k.key_hash = ANY ($1) AND k.expires > extract(epoch FROM now());

-- forget_ephemeral_keys: those of a customer whose time is over
DELETE FROM payments.ephemeral_keys WHERE merchant_id = $1 AND livemode = $2 AND customer = $3 AND expires <= $4;

-- delete_ephemeral_key: before its time is over
DELETE FROM payments.ephemeral_keys WHERE merchant_id = $1 AND livemode = $2 AND id = $3;
