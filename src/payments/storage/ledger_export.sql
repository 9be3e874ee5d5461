-- accounts: all of a mode, with their balances; debits positive
SELECT a.id, a.holder, a.kind, a.currency, a.normal_side, b.debits_posted - b.credits_posted AS posted, b.debits_held - b.credits_held AS held
FROM ledger.accounts a JOIN ledger.balances b ON b.account_id = a.id
WHERE a.livemode = $1 ORDER BY a.holder, a.kind, a.currency;

-- sums_before: what the accounts had before a time; debits positive
SELECT account_id, phase = 'posted' AS is_posted, sum(CASE WHEN (side = 'debit') = (phase <> 'released') THEN amount ELSE -amount END)::bigint AS amount
FROM ledger.entries WHERE account_id = ANY ($1::bigint[]) AND occurred_at < $2
GROUP BY 1, 2;

-- transfers: those that touch the accounts between two times, the second excluded, as they happened
SELECT posting, kind, phase, debit_account, credit_account, amount, currency, occurred_at FROM ledger.transfers
WHERE (debit_account = ANY ($1::bigint[]) OR credit_account = ANY ($1::bigint[])) AND occurred_at >= $2 AND occurred_at < $3
ORDER BY occurred_at, posting, kind;
