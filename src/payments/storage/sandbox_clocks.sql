-- ahead: how far a sandbox's deadlines are ahead of the real time
SELECT test_ahead_seconds FROM payments.merchants WHERE id = $1;

-- hold_ahead: the same, held until the end of the transaction, since who advances a clock decides by it
SELECT test_ahead_seconds FROM payments.merchants WHERE id = $1 FOR NO KEY UPDATE;

-- advance: a sandbox's time; it never goes back
UPDATE payments.merchants SET test_ahead_seconds = greatest(test_ahead_seconds, $2) WHERE id = $1;

-- has_clock: whether a sandbox has one
SELECT EXISTS (SELECT FROM payments.test_clocks WHERE merchant_id = $1 AND NOT deleted);

-- caught_up: clocks that were advanced before $1, and by which nothing is due any more
SELECT c.id, c.document FROM payments.test_clocks c JOIN payments.merchants m ON m.id = c.merchant_id
WHERE c.status = 'advancing' AND NOT c.deleted AND (c.document ->> 'advanced_at')::bigint < $1
    AND NOT EXISTS (
        SELECT FROM payments.payment_intents i
        WHERE i.merchant_id = m.id AND NOT i.livemode AND i.capture_before < $2 + m.test_ahead_seconds)
    AND NOT EXISTS (
        SELECT FROM payments.balance_transactions b
        WHERE b.merchant_id = m.id AND NOT b.livemode AND b.released_at IS NULL AND b.available_on <= $2 + m.test_ahead_seconds)
    AND NOT EXISTS (
        SELECT FROM payments.disputes d WHERE d.merchant_id = m.id AND NOT d.livemode AND d.answer_by <= $2 + m.test_ahead_seconds)
    AND NOT EXISTS (
        SELECT FROM payments.checkout_sessions s
        WHERE s.merchant_id = m.id AND NOT s.livemode AND s.due_at <= $2 + m.test_ahead_seconds AND s.payment_intent IS NULL)
    AND (m.payout_interval = 'manual' OR m.payouts_looked_on >= (to_timestamp($2 + m.test_ahead_seconds) AT TIME ZONE 'UTC')::date)
ORDER BY c.merchant_id LIMIT $3;

-- expired: clocks that were made before $1
SELECT id, document FROM payments.test_clocks WHERE NOT deleted AND created < $1 ORDER BY merchant_id LIMIT $2;
