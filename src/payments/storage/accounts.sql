-- open_account: the account's id, making the account with empty balances if it is new
WITH made AS (
    INSERT INTO ledger.accounts (holder, livemode, kind, currency, normal_side) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT DO NOTHING
    RETURNING id
), balance AS (
    INSERT INTO ledger.balances (account_id) SELECT id FROM made
)
SELECT id FROM made
UNION ALL
SELECT id FROM ledger.accounts WHERE holder = $1 AND livemode = $2 AND kind = $3 AND currency = $4;

-- imbalance: what debits and credits differ by, over all currencies and modes, and how many rows the verification of the books found wrong; 0 when all is well
SELECT coalesce(sum(abs(difference)), 0)::double precision
    + coalesce((SELECT (place ->> 'found')::integer FROM payments.jobs WHERE service = 'transaction-processor' AND name = 'verify books'), 0)
FROM (
    SELECT sum(b.debits_posted - b.credits_posted) + sum(b.debits_held - b.credits_held) AS difference
    FROM ledger.balances b JOIN ledger.accounts a ON a.id = b.account_id GROUP BY a.livemode, a.currency
) currencies;

-- merchant_balances: what a merchant has, per kind and currency; credits minus debits, posted only
SELECT a.kind, a.currency, b.credits_posted - b.debits_posted AS amount
FROM ledger.accounts a JOIN ledger.balances b ON b.account_id = a.id
WHERE a.holder = $1 AND a.livemode = $2 AND a.kind IN ('pending', 'available')
ORDER BY a.currency;
