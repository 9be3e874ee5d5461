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
