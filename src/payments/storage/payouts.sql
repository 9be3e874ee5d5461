-- lock_balances: the balances of accounts, locked in the order in which everybody locks them; credits minus debits
SELECT account_id, credits_posted - debits_posted AS amount FROM ledger.balances WHERE account_id = ANY ($1::bigint[]) ORDER BY account_id FOR UPDATE;

-- default_account: the bank account that a currency is paid out to
SELECT document FROM payments.bank_accounts WHERE merchant_id = $1 AND livemode = $2 AND currency = $3 AND default_for_currency;

-- sealed_number: the number of a bank account
SELECT sealed_number FROM payments.bank_accounts WHERE merchant_id = $1 AND livemode = $2 AND id = $3;

-- take_to_send: payouts that are to be handed to the bank, each to one taker; and again after a while, unless it says that it was
UPDATE payments.payouts SET send_at = $1 + $2 WHERE (merchant_id, livemode, id) IN (
    SELECT merchant_id, livemode, id FROM payments.payouts WHERE send_at <= $1 AND status IN ('pending', 'in_transit')
    ORDER BY send_at LIMIT $3 FOR UPDATE SKIP LOCKED)
RETURNING id, document;

-- sent: the bank has it
UPDATE payments.payouts SET send_at = NULL WHERE merchant_id = $1 AND livemode = $2 AND id = $3;

-- on_schedule: merchants who are paid out by schedule, each with the day that it is for them, which in a sandbox that is ahead is its own; and, a row for each
-- currency, what they have, where it goes to, and wasn't paid out that day; of accounts that failed nothing. In test mode: there is no other bank than the
-- sandbox's. Not before what is available by then is: a clock that was advanced makes both due at once
SELECT m.id AS merchant_id, m.payout_interval, m.payout_weekly_anchor, m.payout_monthly_anchor, m.payout_delay_days, m.payouts_looked_on,
    m.test_ahead_seconds, t.day, p.amount, p.destination
FROM payments.merchants m
CROSS JOIN LATERAL (SELECT (to_timestamp($1 + m.test_ahead_seconds) AT TIME ZONE 'UTC')::date AS day) t
LEFT JOIN LATERAL (
    SELECT a.currency, b.credits_posted - b.debits_posted AS amount, k.document AS destination
    FROM ledger.accounts a
    JOIN ledger.balances b ON b.account_id = a.id
    JOIN payments.bank_accounts k ON k.merchant_id = m.id AND k.livemode = a.livemode AND k.currency = a.currency AND k.default_for_currency
    WHERE a.holder = 'merchant:' || m.id AND a.kind = 'available' AND NOT a.livemode AND b.credits_posted > b.debits_posted
        AND NOT coalesce((k.document ->> 'errored')::boolean, false)
        AND NOT EXISTS (
            SELECT FROM payments.paydays d WHERE d.merchant_id = m.id AND NOT d.livemode AND d.currency = a.currency AND d.day = t.day AND d.made)
) p ON true
WHERE m.payout_interval <> 'manual' AND (p.currency IS NOT NULL OR m.payouts_looked_on IS DISTINCT FROM t.day)
    AND NOT EXISTS (
        SELECT FROM payments.balance_transactions w
        WHERE m.test_ahead_seconds > 0 AND w.merchant_id = m.id AND NOT w.livemode AND w.released_at IS NULL
            AND w.available_on <= $1 + m.test_ahead_seconds)
ORDER BY m.id, p.currency;

-- looked: up to which day was seen whether one is a payday
UPDATE payments.merchants m SET payouts_looked_on = l.day FROM unnest($1::bigint[], $2::date[]) AS l (merchant_id, day)
WHERE m.id = l.merchant_id AND m.payouts_looked_on IS DISTINCT FROM l.day;

-- move_payday: the payday that was opened on an earlier day and wasn't made: what was gathered for it is paid on this one
UPDATE payments.paydays p SET day = $4 WHERE merchant_id = $1 AND livemode = $2 AND currency = $3 AND NOT made AND day < $4
    AND NOT EXISTS (
        SELECT FROM payments.paydays d WHERE d.merchant_id = $1 AND d.livemode = $2 AND d.currency = $3 AND d.day = $4);

-- open_payday: the payout of a day, whoever thought of it first; nothing when it is made already
INSERT INTO payments.paydays AS p (merchant_id, livemode, currency, day, payout, made) VALUES ($1, $2, $3, $4, $5, false)
ON CONFLICT (merchant_id, livemode, currency, day) DO UPDATE SET payout = p.payout WHERE NOT p.made
RETURNING payout;

-- take_payday: returns nothing when somebody else did
UPDATE payments.paydays SET made = true WHERE merchant_id = $1 AND livemode = $2 AND currency = $3 AND day = $4 AND payout = $5 AND NOT made RETURNING true;

-- gather: some of what is available and was in no payout yet goes into one; what somebody else has in hand is left to them
WITH gathered AS (
    UPDATE payments.balance_transactions SET payout = $3 WHERE (merchant_id, livemode, id) IN (
        SELECT merchant_id, livemode, id FROM payments.balance_transactions
        WHERE merchant_id = $1 AND NOT livemode AND currency = $2 AND payout IS NULL AND released_at IS NOT NULL LIMIT $4 FOR UPDATE SKIP LOCKED)
    RETURNING true
)
SELECT count(*) FROM gathered;

-- gather_rest: the same of all that is left, for whoever holds the balance that it is all of
UPDATE payments.balance_transactions SET payout = $3
WHERE merchant_id = $1 AND NOT livemode AND currency = $2 AND payout IS NULL AND released_at IS NOT NULL;

-- available: what a merchant's test mode has in a currency
SELECT b.credits_posted - b.debits_posted FROM ledger.accounts a JOIN ledger.balances b ON b.account_id = a.id
WHERE a.holder = 'merchant:' || $1::bigint AND a.kind = 'available' AND NOT a.livemode AND a.currency = $2;
