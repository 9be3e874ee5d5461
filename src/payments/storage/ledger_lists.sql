-- accounts: those of a holder in a mode, with what was entered in them until a time: what is there now, without what was entered since, read from the index of each side
SELECT a.id, a.kind, a.currency, b.debits_posted - coalesce(d.posted, 0) AS debits, b.credits_posted - coalesce(c.posted, 0) AS credits,
    b.debits_held - coalesce(d.held, 0) AS held_debits, b.credits_held - coalesce(c.held, 0) AS held_credits
FROM ledger.accounts a JOIN ledger.balances b ON b.account_id = a.id
LEFT JOIN LATERAL (
    SELECT sum(amount) FILTER (WHERE phase = 'posted')::bigint AS posted,
        sum(CASE phase WHEN 'held' THEN amount WHEN 'released' THEN -amount END)::bigint AS held
    FROM ledger.transfers WHERE debit_account = a.id AND occurred_at > $3
) d ON $3 IS NOT NULL
LEFT JOIN LATERAL (
    SELECT sum(amount) FILTER (WHERE phase = 'posted')::bigint AS posted,
        sum(CASE phase WHEN 'held' THEN amount WHEN 'released' THEN -amount END)::bigint AS held
    FROM ledger.transfers WHERE credit_account = a.id AND occurred_at > $3
) c ON $3 IS NOT NULL
WHERE a.holder = $1 AND a.livemode = $2
ORDER BY a.currency, a.kind;

-- page: transfers that touched any of the accounts, from a cursor on, in the order in which they happened; each account's two sides are ranges of an index
SELECT DISTINCT f.occurred_at, f.posting, f.kind, f.phase, f.debit_account, f.credit_account, f.amount, f.currency
FROM unnest($1::bigint[]) AS a (id) CROSS JOIN LATERAL (
    (
        SELECT * FROM ledger.transfers
        WHERE debit_account = a.id AND occurred_at BETWEEN $2 AND $3 AND (occurred_at, posting, kind) {beyond} ($4::bigint, $5::text, $6::text)
        ORDER BY occurred_at {order}, posting {order}, kind {order} LIMIT $7
    ) UNION ALL (
        SELECT * FROM ledger.transfers
        WHERE credit_account = a.id AND occurred_at BETWEEN $2 AND $3 AND (occurred_at, posting, kind) {beyond} ($4::bigint, $5::text, $6::text)
        ORDER BY occurred_at {order}, posting {order}, kind {order} LIMIT $7
    )
) f
ORDER BY f.occurred_at {order}, f.posting {order}, f.kind {order} LIMIT $7;

-- of_postings: the transfers of some postings that touched any of the accounts, newest first
SELECT occurred_at, posting, kind, phase, debit_account, credit_account, amount, currency FROM ledger.transfers
WHERE posting = ANY ($1::text[]) AND (debit_account = ANY ($2::bigint[]) OR credit_account = ANY ($2::bigint[]))
ORDER BY occurred_at DESC, posting DESC, kind DESC;

-- postings_of_source: the balance transactions of what they are about, the newest
SELECT id FROM payments.balance_transactions WHERE merchant_id = $1 AND livemode = $2 AND source = $3 AND (source, id) > ($3, '') ORDER BY id DESC LIMIT $4;
