-- insert_items: the lines of one owner at once
INSERT INTO payments.checkout_items (merchant_id, livemode, id, created, version, owner, document)
SELECT merchant_id, livemode, id, created, version, owner, document FROM {rows};

-- of_visit: the session that a visit opened
SELECT document FROM payments.checkout_sessions WHERE merchant_id = $1 AND livemode = $2 AND visit = $3;

-- take_due: open sessions that have to be looked at; nobody else looks at them for a while, the longer the longer ago the payment was begun that they wait for
WITH due AS MATERIALIZED (
    SELECT merchant_id, livemode, id FROM payments.checkout_sessions WHERE due_at <= $1 ORDER BY due_at LIMIT $4 FOR UPDATE SKIP LOCKED
)
UPDATE payments.checkout_sessions AS s
SET due_at = $1 + least(greatest($2, ($1 - (s.document ->> 'trying_since')::bigint) / 4), $3)
FROM due
WHERE s.merchant_id = due.merchant_id AND s.livemode = due.livemode AND s.id = due.id
RETURNING s.document;
