-- create: what the bank was asked, each order once; root: the authorization that it is about
CREATE TABLE IF NOT EXISTS orders (
    reference TEXT PRIMARY KEY,
    root TEXT NOT NULL,
    kind TEXT NOT NULL,
    original TEXT,
    amount INTEGER NOT NULL,
    currency TEXT NOT NULL,
    claims INTEGER NOT NULL,
    approved INTEGER NOT NULL,
    reversed INTEGER NOT NULL DEFAULT 0,
    card_digest TEXT,
    last4 TEXT,
    answer BLOB NOT NULL,
    repetitions INTEGER NOT NULL DEFAULT 0,
    recorded_at REAL NOT NULL
) STRICT;

-- index: what follows an authorization is looked up by it
CREATE INDEX IF NOT EXISTS orders_root ON orders (root);

-- find: an order
SELECT reference, root, kind, original, amount, currency, claims, approved, answer FROM orders WHERE reference = ?;

-- repeated: an order came again
UPDATE orders SET repetitions = repetitions + 1 WHERE reference = ?;

-- insert: an order, with its answer
INSERT INTO orders (reference, root, kind, original, amount, currency, claims, approved, card_digest, last4, answer, recorded_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- reverse: an order is undone, however often that is said
UPDATE orders SET reversed = reversed + 1 WHERE reference = ? AND approved;

-- standing: what an authorization holds, what was claimed of it and what was given back; and whether it was given up
SELECT coalesce(max(amount) FILTER (WHERE kind IN ('authorize', 'increment')), 0) AS held,
    coalesce(sum(amount) FILTER (WHERE claims), 0) AS claimed,
    coalesce(sum(amount) FILTER (WHERE kind = 'refund'), 0) AS refunded,
    count(*) FILTER (WHERE kind = 'void') AS voided
FROM orders WHERE root = ? AND approved AND NOT reversed;

-- totals: what was approved, by kind and currency, as a settlement file would say
SELECT kind, currency, claims, count(*) AS orders, sum(amount) AS amount FROM orders WHERE approved AND NOT reversed GROUP BY kind, currency, claims;

-- settled: what was claimed and what was returned in a time, in the order in which it was asked; by currency, since a statement is of one
SELECT rowid, reference, kind, amount, currency FROM orders
WHERE (claims OR kind = 'refund') AND approved AND NOT reversed AND recorded_at >= ? AND recorded_at < ? ORDER BY currency, rowid;
