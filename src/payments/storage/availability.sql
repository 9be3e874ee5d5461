-- take_due: captures whose funds become available, each taken once
UPDATE payments.balance_transactions SET released_at = now()
WHERE (merchant_id, livemode, id) IN (
    SELECT merchant_id, livemode, id FROM payments.balance_transactions WHERE released_at IS NULL AND available_on <= $1
    ORDER BY available_on LIMIT $2 FOR UPDATE SKIP LOCKED
)
RETURNING document;

-- post: transfers and balances, accounts locked in the order of their ids
WITH transfers AS (
    INSERT INTO ledger.transfers AS t (posting, kind, phase, debit_account, credit_account, amount, currency, occurred_at)
    SELECT posting, kind, phase, debit_account, credit_account, amount, currency, occurred_at FROM json_to_recordset($1::json) AS n(
        posting text, kind text, phase text, debit_account bigint, credit_account bigint, amount bigint, currency text, occurred_at bigint)
    RETURNING t.debit_account, t.credit_account, t.amount
), deltas AS (
    SELECT account_id, sum(debit) AS debits, sum(credit) AS credits FROM (
        SELECT debit_account AS account_id, amount AS debit, 0 AS credit FROM transfers
        UNION ALL
        SELECT credit_account, 0, amount FROM transfers
    ) entries GROUP BY account_id
), locked AS MATERIALIZED (
    SELECT account_id FROM ledger.balances WHERE account_id IN (SELECT account_id FROM deltas) ORDER BY account_id FOR UPDATE
)
UPDATE ledger.balances AS b SET debits_posted = b.debits_posted + d.debits, credits_posted = b.credits_posted + d.credits
FROM deltas d JOIN locked USING (account_id) WHERE b.account_id = d.account_id;
