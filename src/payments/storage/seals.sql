-- only_one: whether no other copy is sealing; until the transaction ends
SELECT pg_try_advisory_xact_lock(8386096205783329129);

-- last_seal: the newest, with what the database's transactions have come to
SELECT s.*, ledger.finished_below() AS finished_below FROM (SELECT) AS always LEFT JOIN LATERAL (
    SELECT number, transfers, total, recorded_in, posting, kind, head, fingerprints, signature FROM ledger.seals ORDER BY number DESC LIMIT 1
) s ON true;

-- number_behind: the highest number of a transfer, where the next transaction wouldn't get a higher one
SELECT max(recorded_in) FROM ledger.transfers WHERE recorded_in > 0
HAVING max(recorded_in) >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint + ledger.transaction_number() - pg_current_xact_id()::text::bigint;

-- hold_still: until the transaction ends no transfer is added
LOCK TABLE ledger.transfers IN SHARE MODE;

-- count_on: a transaction's number, and below which number all are over, from a number on
CREATE OR REPLACE FUNCTION ledger.transaction_number() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT pg_current_xact_id()::text::bigint + {last}';
CREATE OR REPLACE FUNCTION ledger.finished_below() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint + {last}';

-- rest_of_history: transfers from before there were seals that come after one in the order of their keys
SELECT 0::bigint AS recorded_in, t.posting, t.kind, {digest} AS digest FROM (
    SELECT * FROM ledger.transfers WHERE recorded_in <= 0 AND (posting, kind) > ($1, $2) ORDER BY posting, kind LIMIT $3
) t LEFT JOIN ledger.accounts d ON d.id = t.debit_account LEFT JOIN ledger.accounts c ON c.id = t.credit_account
ORDER BY t.posting, t.kind;

-- unsealed: transfers that come after one in the order of their transactions, of transactions that are over: none can come in between any more
SELECT t.recorded_in, t.posting, t.kind, {digest} AS digest FROM (
    SELECT * FROM ledger.transfers
    WHERE recorded_in > 0 AND recorded_in >= $1 AND recorded_in < ledger.finished_below() AND (recorded_in, posting, kind) > ($1, $2, $3)
    ORDER BY recorded_in, posting, kind LIMIT $4
) t LEFT JOIN ledger.accounts d ON d.id = t.debit_account LEFT JOIN ledger.accounts c ON c.id = t.credit_account
ORDER BY t.recorded_in, t.posting, t.kind;

-- unsealed_age: since when the oldest transfer has been waiting for its seal, in seconds
SELECT coalesce(greatest(extract(epoch FROM now()) - min(occurred_at), 0), 0)::double precision AS seconds FROM (
    SELECT occurred_at FROM ledger.transfers WHERE recorded_in > 0 AND recorded_in > $1 ORDER BY recorded_in LIMIT 100
) waiting;

-- add_seal: the next one
INSERT INTO ledger.seals (number, transfers, total, recorded_in, posting, kind, head, fingerprints, signature)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- digest: of one transfer, as lines of text; no name in it has a line break, so that no two differ and are the same text
sha256(convert_to(concat_ws(E'\n', t.recorded_in, t.posting, t.kind, t.phase, t.amount, t.currency, t.occurred_at,
    d.holder, d.kind, d.currency, d.livemode, c.holder, c.kind, c.currency, c.livemode), 'UTF8'));

-- sealed: of each of the seals after a number, what it says and what it is over by now; one row more than it says is enough to tell that there are too many
SELECT s.*, found.digests
FROM (
    SELECT number, transfers, total, recorded_in, posting, kind, head, fingerprints, signature,
        coalesce(lag(recorded_in) OVER inorder, before.after_in) AS after_in, coalesce(lag(posting) OVER inorder, before.after_posting) AS after_posting,
        coalesce(lag(kind) OVER inorder, before.after_kind) AS after_kind
    FROM (SELECT * FROM ledger.seals WHERE number > $1 ORDER BY number LIMIT $2) AS run
    CROSS JOIN (SELECT $3::bigint AS after_in, $4::text AS after_posting, $5::text AS after_kind) AS before
    WINDOW inorder AS (ORDER BY number)
) s CROSS JOIN LATERAL (
    SELECT coalesce(string_agg({digest}, ''::bytea ORDER BY t.recorded_in > 0, t.recorded_in, t.posting, t.kind), ''::bytea) AS digests FROM ({of_seal}) t
    LEFT JOIN ledger.accounts d ON d.id = t.debit_account LEFT JOIN ledger.accounts c ON c.id = t.credit_account
) found
ORDER BY s.number;

-- of_seal: what lies between where the seal before ends and where this one does: in history, from history to what came after it, and after it; each is a range of an index
(
    SELECT * FROM ledger.transfers h
    WHERE h.recorded_in <= 0 AND s.after_in = 0 AND s.recorded_in <= 0
        AND (h.posting, h.kind) > (s.after_posting, s.after_kind) AND (h.posting, h.kind) <= (s.posting, s.kind)
    ORDER BY h.posting, h.kind LIMIT least(greatest(s.transfers, 0), 100000) + 1
) UNION ALL (
    SELECT * FROM ledger.transfers h
    WHERE h.recorded_in <= 0 AND s.after_in = 0 AND s.recorded_in > 0 AND (h.posting, h.kind) > (s.after_posting, s.after_kind)
    ORDER BY h.posting, h.kind LIMIT least(greatest(s.transfers, 0), 100000) + 1
) UNION ALL (
    SELECT * FROM ledger.transfers n
    WHERE n.recorded_in > 0 AND n.recorded_in >= s.after_in AND n.recorded_in <= s.recorded_in
        AND (n.recorded_in, n.posting, n.kind) > (s.after_in, s.after_posting, s.after_kind)
        AND (n.recorded_in, n.posting, n.kind) <= (s.recorded_in, s.posting, s.kind)
    ORDER BY n.recorded_in, n.posting, n.kind LIMIT least(greatest(s.transfers, 0), 100000) + 1
);

-- in_seal: the transfers that lie in one seal, with the digest of each
SELECT t.posting, t.kind, {digest} AS digest
FROM (SELECT $1::bigint AS after_in, $2::text AS after_posting, $3::text AS after_kind, $4::bigint AS recorded_in, $5::text AS posting, $6::text AS kind,
    $7::bigint AS transfers) s
CROSS JOIN LATERAL ({of_seal}) t
LEFT JOIN ledger.accounts d ON d.id = t.debit_account LEFT JOIN ledger.accounts c ON c.id = t.credit_account
ORDER BY t.recorded_in > 0, t.recorded_in, t.posting, t.kind;

-- seal_before: where the seal before a number ends
SELECT number, transfers, total, recorded_in, posting, kind, head, fingerprints, signature FROM ledger.seals WHERE number = $1;

-- newest_seals: the newest, the newest first
SELECT number, sealed_at, transfers, total, recorded_in, posting, kind, head, fingerprints, signature FROM ledger.seals ORDER BY number DESC LIMIT $1;

-- reach: how many transfers there are, and how many of them are sealed; counted
SELECT (SELECT count(*) FROM ledger.transfers) AS transfers, coalesce((SELECT total FROM ledger.seals ORDER BY number DESC LIMIT 1), 0) AS sealed;
