-- take_due: captures whose funds become available, each taken once
UPDATE payments.balance_transactions SET released_at = now()
WHERE (merchant_id, livemode, id) IN (
    SELECT merchant_id, livemode, id FROM payments.balance_transactions WHERE released_at IS NULL AND available_on <= $1
    ORDER BY available_on LIMIT $2 FOR UPDATE SKIP LOCKED
)
RETURNING document;
