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
RETURNING document;

-- sent: the bank has it
UPDATE payments.payouts SET send_at = NULL WHERE merchant_id = $1 AND livemode = $2 AND id = $3;

-- on_schedule: what merchants who are paid out by schedule have, where it goes to, and wasn't paid out today; of accounts that failed nothing. In test mode: there
-- is no other bank than the sandbox's
SELECT m.id AS merchant_id, m.payout_interval, m.payout_weekly_anchor, m.payout_monthly_anchor, m.payout_delay_days, a.livemode, a.currency,
    b.credits_posted - b.debits_posted AS amount, k.document AS destination
FROM payments.merchants m
JOIN ledger.accounts a ON a.holder = 'merchant:' || m.id AND a.kind = 'available'
JOIN ledger.balances b ON b.account_id = a.id
JOIN payments.bank_accounts k ON k.merchant_id = m.id AND k.livemode = a.livemode AND k.currency = a.currency AND k.default_for_currency
WHERE m.payout_interval <> 'manual' AND NOT a.livemode AND b.credits_posted > b.debits_posted AND NOT coalesce((k.document ->> 'errored')::boolean, false)
    AND NOT EXISTS (SELECT FROM payments.paydays d WHERE d.merchant_id = m.id AND d.livemode = a.livemode AND d.currency = a.currency AND d.day = $1)
ORDER BY m.id, a.livemode, a.currency;

-- take_payday: returns nothing when somebody else did
INSERT INTO payments.paydays (merchant_id, livemode, currency, day, payout) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING true;
