-- insert_items: the lines of one owner at once
INSERT INTO payments.checkout_items (merchant_id, livemode, id, created, version, owner, document)
SELECT merchant_id, livemode, id, created, version, owner, document FROM {rows};

-- of_visit: the session that a visit opened
SELECT document FROM payments.checkout_sessions WHERE merchant_id = $1 AND livemode = $2 AND visit = $3;

-- take_due: open sessions that have to be looked at, those of sandboxes that are ahead of the real time by theirs; nobody else looks at them for a while, the
-- longer the longer ago the payment was begun that they wait for
WITH now AS MATERIALIZED (
    SELECT merchant_id, livemode, id FROM payments.checkout_sessions WHERE due_at <= $1 ORDER BY due_at LIMIT $4 FOR UPDATE SKIP LOCKED
), ahead AS MATERIALIZED (
    SELECT s.merchant_id, s.livemode, s.id FROM payments.merchants m CROSS JOIN LATERAL (
        SELECT merchant_id, livemode, id FROM payments.checkout_sessions
        WHERE merchant_id = m.id AND NOT livemode AND due_at > $1 AND due_at <= $1 + m.test_ahead_seconds
        ORDER BY due_at LIMIT $4 FOR UPDATE SKIP LOCKED
    ) s WHERE m.test_ahead_seconds > 0 LIMIT $4
), due AS (
    SELECT * FROM now UNION ALL SELECT * FROM ahead
)
UPDATE payments.checkout_sessions AS s
SET due_at = $1 + least(greatest($2, ($1 - (s.document ->> 'trying_since')::bigint) / 4), $3)
FROM due
WHERE s.merchant_id = due.merchant_id AND s.livemode = due.livemode AND s.id = due.id
RETURNING s.id, s.document;
