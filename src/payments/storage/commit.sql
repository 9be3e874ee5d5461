-- begin: commit 1 - what merchants ask for, before anything leaves the house; a unit whose key is taken, or of which something moved on, writes nothing
WITH units AS MATERIALIZED (
    SELECT * FROM {units}
), locked AS MATERIALIZED (
    {locked}
), moved AS MATERIALIZED (
    SELECT ARRAY(SELECT unit FROM units u WHERE compares <> (SELECT count(*) FROM locked l WHERE l.unit = u.unit)) AS units
), claimed AS (
    {claimed}
), lost AS MATERIALIZED (
    SELECT ARRAY(
        SELECT unit FROM units WHERE unit = ANY ((SELECT units FROM moved)::text[]) OR (key IS NOT NULL AND unit <> ALL (ARRAY(SELECT unit FROM claimed)))
    ) AS units
){parts}
SELECT u.unit, CASE
    WHEN u.unit <> ALL ((SELECT units FROM lost)::text[]) THEN 'won'
    WHEN u.unit <> ALL ((SELECT units FROM moved)::text[]) OR EXISTS (
        SELECT FROM payments.idempotency_claims c WHERE c.merchant_id = u.merchant_id AND c.livemode = u.livemode AND c.key = u.key) THEN 'key_taken'
    ELSE 'locked' END AS result
FROM units u;

-- settle: commit 2 - outcome, intent, charge, ledger and events at once; a unit that advances an intent does so only while it is on its attempt, so whoever comes
-- second writes nothing; one that advances none has locked its attempt before
WITH units AS MATERIALIZED (
    SELECT n.id AS unit, n.* FROM {units}
), locked AS MATERIALIZED (
    {locked}
), moved AS MATERIALIZED (
    SELECT ARRAY(SELECT unit FROM units u WHERE compares <> (SELECT count(*) FROM locked l WHERE l.unit = u.unit)) AS units
), advanced AS (
    {advanced}
), lost AS MATERIALIZED (
    SELECT ARRAY(
        SELECT unit FROM units WHERE unit = ANY ((SELECT units FROM moved)::text[]) OR (advances AND unit <> ALL (ARRAY(SELECT unit FROM advanced)))
    ) AS units
), closed AS (
    UPDATE payments.attempts AS a SET answered = true, closed_at = CASE WHEN u.closes THEN now() END, outcome = u.outcome
    FROM units u
    WHERE u.unit <> ALL ((SELECT units FROM lost)::text[]) AND a.merchant_id = u.merchant_id AND a.livemode = u.livemode AND a.id = u.id
){parts}
SELECT unit FROM units WHERE unit <> ALL ((SELECT units FROM lost)::text[]);

-- alone: parts of it, outside of a unit
WITH lost AS (SELECT ARRAY[]::text[] AS units){parts}
SELECT;

-- selected: rows that a query finds, in place of those that are handed in
(SELECT found.*, '' AS unit FROM ({source}) AS found) AS n;

-- nothing: in place of rows that a batch has none of
SELECT NULL::text AS unit WHERE false;

-- claims: the keys that are free, or will be when who is writing one doesn't; in one order, so that two batches with the same keys wait for each other in one direction
INSERT INTO payments.idempotency_claims AS c (merchant_id, livemode, key, request_id, path, fingerprint, created, api_version, response_event)
SELECT merchant_id, livemode, key, unit, path, fingerprint, created, api_version, response_event FROM {rows}
WHERE unit <> ALL ((SELECT units FROM moved)::text[])
ORDER BY merchant_id, livemode, key
ON CONFLICT DO NOTHING
RETURNING c.request_id::text AS unit;

-- advanced: intents that are on the attempt of their unit, one version on
UPDATE payments.payment_intents AS i
SET version = n.version, status = n.status, open_attempt = n.open_attempt, amount = n.amount, amount_capturable = n.amount_capturable,
    amount_received = n.amount_received, capture_before = n.capture_before, document = n.document
FROM {rows}
WHERE n.unit <> ALL ((SELECT units FROM moved)::text[])
    AND i.merchant_id = n.merchant_id AND i.livemode = n.livemode AND i.id = n.id AND i.version = n.version - 1 AND i.open_attempt = n.unit
RETURNING n.unit;

-- created_intents: new ones
created_intents AS (
    INSERT INTO payments.payment_intents (merchant_id, livemode, id, created, version, status, open_attempt, amount, amount_capturable,
        amount_received, currency, customer, capture_before, document)
    SELECT merchant_id, livemode, id, created, version, status, open_attempt, amount, amount_capturable, amount_received, currency, customer,
        capture_before, document
    FROM {rows} WHERE unit <> ALL ((SELECT units FROM lost)::text[])
);

-- changed_intents: those that are locked as they were read
changed_intents AS (
    UPDATE payments.payment_intents AS i
    SET version = n.version, status = n.status, open_attempt = n.open_attempt, amount = n.amount, amount_capturable = n.amount_capturable,
        amount_received = n.amount_received, currency = n.currency, customer = n.customer, capture_before = n.capture_before, document = n.document
    FROM {rows}
    WHERE n.unit <> ALL ((SELECT units FROM lost)::text[]) AND i.merchant_id = n.merchant_id AND i.livemode = n.livemode AND i.id = n.id
);

-- created_payment_methods: new ones
created_payment_methods AS (
    INSERT INTO payments.payment_methods (merchant_id, livemode, id, created, version, customer, sealed_number, document)
    SELECT merchant_id, livemode, id, created, version, customer, sealed_number, document
    FROM {rows} WHERE unit <> ALL ((SELECT units FROM lost)::text[])
);

-- changed_payment_methods: those that are locked as they were read
changed_payment_methods AS (
    UPDATE payments.payment_methods AS m SET version = n.version, customer = n.customer, document = n.document
    FROM {rows}
    WHERE n.unit <> ALL ((SELECT units FROM lost)::text[]) AND m.merchant_id = n.merchant_id AND m.livemode = n.livemode AND m.id = n.id
);

-- created_refunds: new ones
created_refunds AS (
    INSERT INTO payments.refunds (merchant_id, livemode, id, created, version, status, charge, payment_intent, amount, currency, document)
    SELECT merchant_id, livemode, id, created, version, status, charge, payment_intent, amount, currency, document
    FROM {rows} WHERE unit <> ALL ((SELECT units FROM lost)::text[])
);

-- changed_refunds: those that are locked as they were read
changed_refunds AS (
    UPDATE payments.refunds AS r SET version = n.version, status = n.status, document = n.document
    FROM {rows}
    WHERE n.unit <> ALL ((SELECT units FROM lost)::text[]) AND r.merchant_id = n.merchant_id AND r.livemode = n.livemode AND r.id = n.id
);

-- created_charges: new ones
created_charges AS (
    INSERT INTO payments.charges (merchant_id, livemode, id, created, version, status, payment_intent, customer, amount, amount_captured,
        amount_refunded, currency, document)
    SELECT merchant_id, livemode, id, created, version, status, payment_intent, customer, amount, amount_captured, amount_refunded, currency, document
    FROM {rows} WHERE unit <> ALL ((SELECT units FROM lost)::text[])
);

-- changed_charges: those that are locked as they were read
changed_charges AS (
    UPDATE payments.charges AS c
    SET version = n.version, status = n.status, amount = n.amount, amount_captured = n.amount_captured, amount_refunded = n.amount_refunded, document = n.document
    FROM {rows}
    WHERE n.unit <> ALL ((SELECT units FROM lost)::text[]) AND c.merchant_id = n.merchant_id AND c.livemode = n.livemode AND c.id = n.id
);

-- counted_refunds: what payment-api may change of a charge that is locked as it was read: how much of it is on its way back
counted_refunds AS (
    UPDATE payments.charges AS c SET version = n.version, amount_refunded = n.amount_refunded, document = n.document
    FROM {rows}
    WHERE n.unit <> ALL ((SELECT units FROM lost)::text[]) AND c.merchant_id = n.merchant_id AND c.livemode = n.livemode AND c.id = n.id
);

-- created_customers: new ones, of whoever pays on a page of ours
created_customers AS (
    INSERT INTO payments.customers (merchant_id, livemode, id, created, version, email, deleted, document)
    SELECT merchant_id, livemode, id, created, version, email, deleted, document
    FROM {rows} WHERE unit <> ALL ((SELECT units FROM lost)::text[])
);

-- changed_sessions: those that are locked as they were read
changed_sessions AS (
    UPDATE payments.checkout_sessions AS s
    SET version = n.version, email = n.email, payment_intent = n.payment_intent, due_at = n.due_at, document = n.document
    FROM {rows}
    WHERE n.unit <> ALL ((SELECT units FROM lost)::text[]) AND s.merchant_id = n.merchant_id AND s.livemode = n.livemode AND s.id = n.id
);

-- changed_links: those that are locked as they were read
changed_links AS (
    UPDATE payments.payment_links AS l SET version = n.version, document = n.document
    FROM {rows}
    WHERE n.unit <> ALL ((SELECT units FROM lost)::text[]) AND l.merchant_id = n.merchant_id AND l.livemode = n.livemode AND l.id = n.id
);

-- attempts: new ones, each leased to whoever began it
attempts AS (
    INSERT INTO payments.attempts (merchant_id, livemode, id, payment_intent, created, lease_until, document)
    SELECT merchant_id, livemode, id, payment_intent, created, now() + lease_seconds * interval '1 second', document
    FROM {rows} WHERE unit <> ALL ((SELECT units FROM lost)::text[])
);

-- balance_transactions: new ones
balance_transactions AS (
    INSERT INTO payments.balance_transactions (merchant_id, livemode, id, created, type, source, amount, fee, currency, available_on, released_at, document)
    SELECT merchant_id, livemode, id, created, type, source, amount, fee, currency, available_on, CASE WHEN released THEN now() END, document
    FROM {rows} WHERE unit <> ALL ((SELECT units FROM lost)::text[])
);

-- transfers: new ones, and the balances of their accounts, which are locked in the order of their ids
transfers AS (
    INSERT INTO ledger.transfers AS t (posting, kind, phase, debit_account, credit_account, amount, currency, occurred_at)
    SELECT posting, kind, phase, debit_account, credit_account, amount, currency, occurred_at
    FROM {rows} WHERE unit <> ALL ((SELECT units FROM lost)::text[])
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
), accounts AS MATERIALIZED (
    SELECT account_id FROM ledger.balances WHERE account_id = ANY (ARRAY(SELECT account_id FROM deltas)) ORDER BY account_id FOR UPDATE
), balances AS (
    UPDATE ledger.balances AS b
    SET debits_posted = b.debits_posted + d.debits_posted, credits_posted = b.credits_posted + d.credits_posted,
        debits_held = b.debits_held + d.debits_held, credits_held = b.credits_held + d.credits_held
    FROM deltas d JOIN accounts USING (account_id)
    WHERE b.account_id = d.account_id
);

-- events: new ones, and the outbox rows that get them delivered
events AS (
    INSERT INTO payments.events AS e (merchant_id, livemode, id, created, type, object_type, object_id, object_version, snapshot,
        previous_attributes, request_id, idempotency_key)
    SELECT merchant_id, livemode, id, created, type, object_type, object_id, object_version, snapshot, previous_attributes, request_id, idempotency_key
    FROM {rows} WHERE unit <> ALL ((SELECT units FROM lost)::text[])
    RETURNING e.merchant_id, e.livemode, e.id, e.type
), outbox AS (
    INSERT INTO notifications.outbox (merchant_id, livemode, event_id, type) SELECT merchant_id, livemode, id, type FROM events
);
