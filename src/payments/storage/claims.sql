-- insert: whoever inserts first owns the key; a second one waits for the first one's commit and then inserts nothing
INSERT INTO payments.idempotency_claims (merchant_id, livemode, key, request_id, path, fingerprint, created, response_event, api_version)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT DO NOTHING
RETURNING true;

-- find: the claim on a key
SELECT request_id, path, fingerprint, created, api_version, response_event, status, sealed_body
FROM payments.idempotency_claims WHERE merchant_id = $1 AND livemode = $2 AND key = $3;

-- finish: store the response beside the claim, in the transaction of the effect
UPDATE payments.idempotency_claims SET status = $5, sealed_body = $6
WHERE merchant_id = $1 AND livemode = $2 AND key = $3 AND request_id = $4;

-- delete_expired: one key whose claim is older than the time it is kept
DELETE FROM payments.idempotency_claims WHERE merchant_id = $1 AND livemode = $2 AND key = $3 AND created < $4;

-- purge_expired: claims of all merchants that are older than the time they are kept, so many at once; those that somebody has in hand are next
WITH old AS MATERIALIZED (
    SELECT ctid FROM payments.idempotency_claims WHERE created < $1 LIMIT $2 FOR UPDATE SKIP LOCKED
), purged AS (
    DELETE FROM payments.idempotency_claims WHERE ctid = ANY (ARRAY(SELECT ctid FROM old)) RETURNING 1
)
SELECT count(*) FROM purged;

-- forget_bare_digests: those that the previous version's code wrote during a release, without a key
UPDATE payments.idempotency_claims SET fingerprint = '' WHERE length(fingerprint) = 64;
