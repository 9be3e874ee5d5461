-- take_due: captures whose funds become available, each taken once; in sandboxes that are ahead of the real time, by theirs
WITH due AS MATERIALIZED (
    SELECT merchant_id, livemode, id FROM payments.balance_transactions WHERE released_at IS NULL AND available_on <= $1 AND id <> ALL ($3::text[])
    ORDER BY available_on LIMIT $2 FOR UPDATE SKIP LOCKED
), due_ahead AS MATERIALIZED (
    SELECT b.merchant_id, b.livemode, b.id FROM payments.merchants m CROSS JOIN LATERAL (
        SELECT merchant_id, livemode, id FROM payments.balance_transactions
        WHERE merchant_id = m.id AND NOT livemode AND released_at IS NULL AND available_on > $1 AND available_on <= $1 + m.test_ahead_seconds AND id <> ALL ($3::text[])
        ORDER BY available_on LIMIT $2 FOR UPDATE SKIP LOCKED
    ) b WHERE m.test_ahead_seconds > 0 LIMIT $2
)
UPDATE payments.balance_transactions SET released_at = now()
WHERE (merchant_id, livemode, id) IN (SELECT * FROM due UNION ALL SELECT * FROM due_ahead)
RETURNING id, document;
