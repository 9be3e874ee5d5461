-- load: an open attempt with everything that its acquirer and its settlement need, as it is now
SELECT a.document AS attempt, a.answered, i.document AS intent, m.document AS payment_method, m.sealed_number, c.document AS charge, r.document AS refund,
    EXISTS (SELECT FROM payments.customers k WHERE k.merchant_id = i.merchant_id AND k.livemode = i.livemode AND k.id = i.customer AND k.deleted) AS customer_gone
FROM payments.attempts a
JOIN payments.payment_intents i ON i.merchant_id = a.merchant_id AND i.livemode = a.livemode AND i.id = a.payment_intent
JOIN payments.payment_methods m ON m.merchant_id = a.merchant_id AND m.livemode = a.livemode AND m.id = a.document ->> 'payment_method'
LEFT JOIN payments.charges c ON c.merchant_id = a.merchant_id AND c.livemode = a.livemode AND c.id = a.document ->> 'charge'
LEFT JOIN payments.refunds r ON r.merchant_id = a.merchant_id AND r.livemode = a.livemode AND r.id = a.document ->> 'refund'
WHERE a.merchant_id = $1 AND a.livemode = $2 AND a.id = $3 AND a.closed_at IS NULL;

-- sealed_number: the number of a card on file
SELECT sealed_number FROM payments.payment_methods WHERE merchant_id = $1 AND livemode = $2 AND id = $3;

-- take_over: lease open attempts whose lease ran out, of each acquirer that has none in hand so many at most; the lease grows with the inquiries made, so that a
-- silent acquirer is asked ever less often. One that is known to be silent is asked about a few, and of the others it is taken that it would say nothing either: so
-- they make room for what others are to be asked about
WITH due AS MATERIALIZED (
    SELECT a.merchant_id, a.livemode, a.id, a.lease_until, coalesce(
        (SELECT c.document ->> 'acquirer' FROM payments.charges c
            WHERE c.merchant_id = a.merchant_id AND c.livemode = a.livemode AND c.id = a.document ->> 'charge'),
        a.document ->> 'acquirer', 'simulator') AS acquirer
    FROM payments.attempts a WHERE closed_at IS NULL AND lease_until < now()
    ORDER BY lease_until LIMIT $2 FOR UPDATE OF a SKIP LOCKED
), placed AS (
    SELECT d.*, row_number() OVER (PARTITION BY acquirer ORDER BY lease_until, id) AS place FROM due d
), taken AS (
    SELECT p.*, acquirer <> ALL ($4::text[]) AND place <= CASE WHEN acquirer = ANY ($5::text[]) THEN $6::integer ELSE $3::integer END AS is_asked
    FROM placed p
)
UPDATE payments.attempts a
SET lease_until = now() + least($1::double precision * power(2, least(inquiries, 8)), 3600) * interval '1 second', inquiries = inquiries + 1
FROM taken t
WHERE a.merchant_id = t.merchant_id AND a.livemode = t.livemode AND a.id = t.id AND (t.is_asked OR t.acquirer = ANY ($5::text[]))
RETURNING a.id, a.document, t.acquirer, t.is_asked;

-- ask_again: attempts that an acquirer left open are due when the lease of whoever took them over ends, however rarely they were being asked about; what somebody
-- has in hand at this moment is left to them
WITH open AS MATERIALIZED (
    SELECT merchant_id, livemode, id FROM payments.attempts a
    WHERE closed_at IS NULL AND lease_until > now() AND inquiries > 1 AND coalesce(
        (SELECT c.document ->> 'acquirer' FROM payments.charges c
            WHERE c.merchant_id = a.merchant_id AND c.livemode = a.livemode AND c.id = a.document ->> 'charge'),
        a.document ->> 'acquirer', 'simulator') = $1
    ORDER BY lease_until LIMIT $3 FOR UPDATE SKIP LOCKED
)
UPDATE payments.attempts a SET inquiries = 1, lease_until = lease_until - interval '1 second'
    * (least($2::double precision * power(2, least(inquiries - 1, 8)), 3600) - least($2::double precision, 3600))
FROM open o WHERE a.merchant_id = o.merchant_id AND a.livemode = o.livemode AND a.id = o.id
RETURNING a.id;

-- redirect: change whom an attempt is meant for before anything is sent there, which only who began it does, while its lease lasts and nobody has taken it over
UPDATE payments.attempts SET document = $5, lease_until = now() + $6::double precision * interval '1 second'
WHERE merchant_id = $1 AND livemode = $2 AND id = $3 AND closed_at IS NULL AND inquiries = 0 AND lease_until > now()
    AND coalesce(document ->> 'acquirer', 'simulator') = $4
RETURNING true;

-- resubmit: the same after a decline; counted for the card, and not more often than schemes let it be tried
WITH changed AS (
    UPDATE payments.attempts SET document = $5, lease_until = now() + $6::double precision * interval '1 second'
    WHERE merchant_id = $1 AND livemode = $2 AND id = $3 AND closed_at IS NULL AND inquiries = 0 AND lease_until > now()
        AND coalesce(document ->> 'acquirer', 'simulator') = $4
        AND (SELECT count(*) < $9 AND count(*) FILTER (WHERE r.resubmitted_at > now() - interval '1 day') < $8 FROM payments.resubmissions r
            WHERE r.merchant_id = $1 AND r.livemode = $2 AND r.fingerprint = $7 AND r.resubmitted_at > now() - interval '30 days')
    RETURNING merchant_id, livemode, id
)
INSERT INTO payments.resubmissions (merchant_id, livemode, fingerprint, attempt) SELECT merchant_id, livemode, $7, id FROM changed
RETURNING true;

-- forget_resubmissions: those that count no more
DELETE FROM payments.resubmissions WHERE resubmitted_at < now() - interval '30 days';

-- hand_back: give up leases at once, so that another copy goes on without waiting for them to run out
UPDATE payments.attempts SET lease_until = now() WHERE closed_at IS NULL AND (merchant_id, livemode, id) IN (
    SELECT merchant_id, livemode, id FROM json_to_recordset($1::json) AS r(merchant_id bigint, livemode boolean, id text));

-- attempts_of: the attempts on a payment, whosever it is, as they were begun, and what became of each; for people who look into it
SELECT a.document, a.outcome
FROM payments.merchants m CROSS JOIN (VALUES (true), (false)) AS mode (livemode)
JOIN payments.payment_intents i ON i.merchant_id = m.id AND i.livemode = mode.livemode AND i.id = $1
JOIN payments.attempts a ON a.merchant_id = i.merchant_id AND a.livemode = i.livemode AND a.payment_intent = i.id
ORDER BY a.id LIMIT 100;

-- unknown: how many attempts were taken over at least once and have no outcome yet, and how many seconds ago the oldest was begun
SELECT count(*) AS attempts, coalesce(extract(epoch FROM now())::bigint - min(created), 0) AS seconds
FROM payments.attempts WHERE closed_at IS NULL AND inquiries > 0;

-- expired_holds: intents whose authorization ran out uncaptured; and those in sandboxes that are ahead of the real time, by theirs
(SELECT id, document FROM payments.payment_intents WHERE capture_before < $1 AND open_attempt IS NULL ORDER BY capture_before LIMIT $2)
UNION ALL
(SELECT i.id, i.document FROM payments.merchants m CROSS JOIN LATERAL (
    SELECT id, document FROM payments.payment_intents
    WHERE merchant_id = m.id AND NOT livemode AND capture_before >= $1 AND capture_before < $1 + m.test_ahead_seconds AND open_attempt IS NULL
    ORDER BY capture_before LIMIT $2
) i WHERE m.test_ahead_seconds > 0 LIMIT $2);

-- refund_of: the refund of an attempt, with its intent
SELECT r.document AS refund, i.document AS intent
FROM payments.attempts a
JOIN payments.payment_intents i ON i.merchant_id = a.merchant_id AND i.livemode = a.livemode AND i.id = a.payment_intent
JOIN payments.refunds r ON r.merchant_id = a.merchant_id AND r.livemode = a.livemode AND r.id = a.document ->> 'refund'
WHERE a.merchant_id = $1 AND a.livemode = $2 AND a.id = $3;

-- open_follow_up: start what nobody asked for, the release of an expired hold, unless the intent moved on
WITH changed AS (
    UPDATE payments.payment_intents SET version = $5, open_attempt = $6, document = $7
    WHERE merchant_id = $1 AND livemode = $2 AND id = $3 AND version = $4 AND open_attempt IS NULL
    RETURNING merchant_id, livemode
)
INSERT INTO payments.attempts (merchant_id, livemode, id, payment_intent, created, lease_until, document)
SELECT merchant_id, livemode, $6, $3, $8, now() + $9::double precision * interval '1 second', $10 FROM changed
RETURNING true;

-- open_refund_failure: start to book that a refund failed after all, once: its id follows from the refund's
INSERT INTO payments.attempts (merchant_id, livemode, id, payment_intent, created, lease_until, document)
VALUES ($1, $2, $3, $4, $5, now() + $6::double precision * interval '1 second', $7)
ON CONFLICT DO NOTHING
RETURNING true;
