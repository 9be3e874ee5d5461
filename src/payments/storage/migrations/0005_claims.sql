-- A claim kept a bare SHA-256 over a request's parameters, card number and security code among them, which could be tried out. Those digests are forgotten.
-- The claims stay: a repetition is still answered as before, and not carried out again. Keyed digests begin with h1: and are shorter.
UPDATE payments.idempotency_claims SET fingerprint = '' WHERE length(fingerprint) = 64;

-- The previous version's code writes some more until it is replaced: what the sweeper looks for.
CREATE INDEX idempotency_claims_bare ON payments.idempotency_claims (merchant_id) WHERE length(fingerprint) = 64;
