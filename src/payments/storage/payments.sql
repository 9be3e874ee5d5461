-- begin: commit 1 - what merchants ask for, before anything leaves the house; a unit whose key is taken, or of which something moved on, writes nothing
WITH units AS (
    SELECT *, unit = ANY ($8::text[]) AS moved FROM json_to_recordset($1::json) AS u(
        unit text, merchant_id bigint, livemode boolean, key text, path text, fingerprint text, created bigint, api_version text,
        response_event text)
), claimed AS (
    INSERT INTO payments.idempotency_claims AS c (merchant_id, livemode, key, request_id, path, fingerprint, created, api_version, response_event)
    SELECT merchant_id, livemode, key, unit, path, fingerprint, created, api_version, response_event FROM units WHERE key IS NOT NULL AND NOT moved
    ON CONFLICT DO NOTHING
    RETURNING c.request_id AS unit
), won AS (
    SELECT unit FROM units WHERE NOT moved AND (key IS NULL OR unit IN (SELECT unit FROM claimed))
), created_intents AS (
    INSERT INTO payments.payment_intents (merchant_id, livemode, id, created, version, status, open_attempt, amount, amount_capturable,
        amount_received, currency, customer, capture_before, document)
    SELECT merchant_id, livemode, id, created, version, status, open_attempt, amount, amount_capturable, amount_received, currency, customer,
        capture_before, document
    FROM json_to_recordset($2::json) AS n(
        unit text, merchant_id bigint, livemode boolean, id text, created bigint, version integer, status text, open_attempt text, amount bigint,
        amount_capturable bigint, amount_received bigint, currency text, customer text, capture_before bigint, document json)
    WHERE unit IN (SELECT unit FROM won)
), created_payment_methods AS (
    INSERT INTO payments.payment_methods (merchant_id, livemode, id, created, version, customer, sealed_number, document)
    SELECT merchant_id, livemode, id, created, version, customer, sealed_number, document
    FROM json_to_recordset($3::json) AS n(
        unit text, merchant_id bigint, livemode boolean, id text, created bigint, version integer, customer text, sealed_number text, document json)
    WHERE unit IN (SELECT unit FROM won)
), created_refunds AS (
    INSERT INTO payments.refunds (merchant_id, livemode, id, created, version, status, charge, payment_intent, amount, currency, document)
    SELECT merchant_id, livemode, id, created, version, status, charge, payment_intent, amount, currency, document
    FROM json_to_recordset($4::json) AS n(
        unit text, merchant_id bigint, livemode boolean, id text, created bigint, version integer, status text, charge text, payment_intent text,
        amount bigint, currency text, document json)
    WHERE unit IN (SELECT unit FROM won)
), created_attempts AS (
    INSERT INTO payments.attempts (merchant_id, livemode, id, payment_intent, created, lease_until, document)
    SELECT merchant_id, livemode, id, payment_intent, created, now() + $7::double precision * interval '1 second', document
    FROM json_to_recordset($5::json) AS n(
        unit text, merchant_id bigint, livemode boolean, id text, payment_intent text, created bigint, document json)
    WHERE unit IN (SELECT unit FROM won)
), created_events AS (
    INSERT INTO payments.events AS e (merchant_id, livemode, id, created, type, object_type, object_id, object_version, snapshot,
        previous_attributes, request_id, idempotency_key)
    SELECT merchant_id, livemode, id, created, type, object_type, object_id, object_version, snapshot, previous_attributes, request_id, idempotency_key
    FROM json_to_recordset($6::json) AS n(
        unit text, merchant_id bigint, livemode boolean, id text, created bigint, type text, object_type text, object_id text,
        object_version integer, snapshot json, previous_attributes json, request_id text, idempotency_key text)
    WHERE unit IN (SELECT unit FROM won)
    RETURNING e.merchant_id, e.livemode, e.id, e.type
), outbox AS (
    INSERT INTO notifications.outbox (merchant_id, livemode, event_id, type) SELECT merchant_id, livemode, id, type FROM created_events
)
SELECT u.unit, CASE
    WHEN u.unit IN (SELECT unit FROM won) THEN 'won'
    WHEN NOT u.moved OR EXISTS (
        SELECT FROM payments.idempotency_claims c WHERE c.merchant_id = u.merchant_id AND c.livemode = u.livemode AND c.key = u.key) THEN 'key_taken'
    ELSE 'locked' END AS result
FROM units u;

-- change_intents: those that a commit has locked as they were read
UPDATE payments.payment_intents AS i
SET version = n.version, status = n.status, open_attempt = n.open_attempt, amount = n.amount, amount_capturable = n.amount_capturable,
    amount_received = n.amount_received, currency = n.currency, customer = n.customer, capture_before = n.capture_before, document = n.document
FROM json_to_recordset($1::json) AS n(
    merchant_id bigint, livemode boolean, id text, version integer, status text, open_attempt text, amount bigint, amount_capturable bigint,
    amount_received bigint, currency text, customer text, capture_before bigint, document json)
WHERE i.merchant_id = n.merchant_id AND i.livemode = n.livemode AND i.id = n.id;

-- change_charges: those that a commit has locked as they were read
UPDATE payments.charges AS c
SET version = n.version, status = n.status, amount_captured = n.amount_captured, amount_refunded = n.amount_refunded, document = n.document
FROM json_to_recordset($1::json) AS n(
    merchant_id bigint, livemode boolean, id text, version integer, status text, amount_captured bigint, amount_refunded bigint, document json)
WHERE c.merchant_id = n.merchant_id AND c.livemode = n.livemode AND c.id = n.id;

-- count_refunds: what payment-api may change of a charge that it has locked: how much of it is on its way back
UPDATE payments.charges AS c
SET version = n.version, amount_refunded = n.amount_refunded, document = n.document
FROM json_to_recordset($1::json) AS n(merchant_id bigint, livemode boolean, id text, version integer, amount_refunded bigint, document json)
WHERE c.merchant_id = n.merchant_id AND c.livemode = n.livemode AND c.id = n.id;

-- change_refunds: those that a commit has locked as they were read
UPDATE payments.refunds AS r SET version = n.version, status = n.status, document = n.document
FROM json_to_recordset($1::json) AS n(merchant_id bigint, livemode boolean, id text, version integer, status text, document json)
WHERE r.merchant_id = n.merchant_id AND r.livemode = n.livemode AND r.id = n.id;

-- change_payment_methods: those that a commit has locked as they were read
UPDATE payments.payment_methods AS m SET version = n.version, customer = n.customer, document = n.document
FROM json_to_recordset($1::json) AS n(merchant_id bigint, livemode boolean, id text, version integer, customer text, document json)
WHERE m.merchant_id = n.merchant_id AND m.livemode = n.livemode AND m.id = n.id;

-- settle: commit 2 - outcome, intent, new charge, ledger and events at once; a unit that advances an intent does so only while it is on its attempt, so whoever comes second
-- writes nothing; one that advances none has locked its attempt before
WITH units AS (
    SELECT * FROM json_to_recordset($1::json) AS u(
        unit text, outcome json, closes boolean, merchant_id bigint, livemode boolean, id text, version integer, status text, open_attempt text,
        amount_capturable bigint, amount_received bigint, capture_before bigint, document json)
), advanced AS (
    UPDATE payments.payment_intents AS i
    SET version = u.version, status = u.status, open_attempt = u.open_attempt, amount_capturable = u.amount_capturable,
        amount_received = u.amount_received, capture_before = u.capture_before, document = u.document
    FROM units u
    WHERE i.merchant_id = u.merchant_id AND i.livemode = u.livemode AND i.id = u.id AND i.version = u.version - 1 AND i.open_attempt = u.unit
    RETURNING u.unit
), won AS (
    SELECT unit FROM advanced
    UNION ALL
    SELECT unit FROM units WHERE id IS NULL
), closed AS (
    UPDATE payments.attempts AS a SET answered = true, closed_at = CASE WHEN u.closes THEN now() END, outcome = u.outcome
    FROM units u
    WHERE u.unit IN (SELECT unit FROM won)
        AND a.merchant_id = u.merchant_id AND a.livemode = u.livemode AND a.id = u.unit
), charged AS (
    INSERT INTO payments.charges (merchant_id, livemode, id, created, version, status, payment_intent, customer, amount, amount_captured,
        amount_refunded, currency, document)
    SELECT merchant_id, livemode, id, created, version, status, payment_intent, customer, amount, amount_captured, amount_refunded, currency, document
    FROM json_to_recordset($2::json) AS n(
        unit text, merchant_id bigint, livemode boolean, id text, created bigint, version integer, status text, payment_intent text, customer text,
        amount bigint, amount_captured bigint, amount_refunded bigint, currency text, document json)
    WHERE unit IN (SELECT unit FROM won)
), balance_transactions AS (
    INSERT INTO payments.balance_transactions (merchant_id, livemode, id, created, type, source, amount, fee, currency, available_on, released_at, document)
    SELECT merchant_id, livemode, id, created, type, source, amount, fee, currency, available_on, CASE WHEN released THEN now() END, document
    FROM json_to_recordset($3::json) AS n(
        unit text, merchant_id bigint, livemode boolean, id text, created bigint, type text, source text, amount bigint, fee bigint, currency text,
        available_on bigint, released boolean, document json)
    WHERE unit IN (SELECT unit FROM won)
), transfers AS (
    INSERT INTO ledger.transfers AS t (posting, kind, phase, debit_account, credit_account, amount, currency, occurred_at)
    SELECT posting, kind, phase, debit_account, credit_account, amount, currency, occurred_at
    FROM json_to_recordset($4::json) AS n(
        unit text, posting text, kind text, phase text, debit_account bigint, credit_account bigint, amount bigint, currency text, occurred_at bigint)
    WHERE unit IN (SELECT unit FROM won)
    RETURNING t.phase, t.debit_account, t.credit_account, t.amount
), entries AS (
    SELECT debit_account AS account_id, phase, amount AS debit, 0 AS credit FROM transfers
    UNION ALL
    SELECT credit_account, phase, 0, amount FROM transfers
), deltas AS (
    SELECT account_id,
        coalesce(sum(debit) FILTER (WHERE phase = 'posted'), 0) AS debits_posted,
        coalesce(sum(credit) FILTER (WHERE phase = 'posted'), 0) AS credits_posted,
        coalesce(sum(CASE phase WHEN 'held' THEN debit WHEN 'released' THEN -debit END), 0) AS debits_held,
        coalesce(sum(CASE phase WHEN 'held' THEN credit WHEN 'released' THEN -credit END), 0) AS credits_held
    FROM entries GROUP BY account_id
), locked AS MATERIALIZED (
    SELECT account_id FROM ledger.balances WHERE account_id IN (SELECT account_id FROM deltas) ORDER BY account_id FOR UPDATE
), balances AS (
    UPDATE ledger.balances AS b
    SET debits_posted = b.debits_posted + d.debits_posted, credits_posted = b.credits_posted + d.credits_posted,
        debits_held = b.debits_held + d.debits_held, credits_held = b.credits_held + d.credits_held
    FROM deltas d JOIN locked USING (account_id)
    WHERE b.account_id = d.account_id
), events AS (
    INSERT INTO payments.events AS e (merchant_id, livemode, id, created, type, object_type, object_id, object_version, snapshot,
        previous_attributes, request_id, idempotency_key)
    SELECT merchant_id, livemode, id, created, type, object_type, object_id, object_version, snapshot, previous_attributes, request_id, idempotency_key
    FROM json_to_recordset($5::json) AS n(
        unit text, merchant_id bigint, livemode boolean, id text, created bigint, type text, object_type text, object_id text,
        object_version integer, snapshot json, previous_attributes json, request_id text, idempotency_key text)
    WHERE unit IN (SELECT unit FROM won)
    RETURNING e.merchant_id, e.livemode, e.id, e.type
), outbox AS (
    INSERT INTO notifications.outbox (merchant_id, livemode, event_id, type) SELECT merchant_id, livemode, id, type FROM events
)
SELECT unit FROM won;
