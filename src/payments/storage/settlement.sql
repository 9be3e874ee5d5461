-- modes: in which modes something is booked with an acquirer
SELECT DISTINCT livemode FROM ledger.accounts WHERE holder = 'acquirer:' || $1::text AND kind = 'receivable' ORDER BY 1;

-- receivables: the currencies in which something is booked with an acquirer, and their accounts
SELECT currency, id FROM ledger.accounts WHERE holder = 'acquirer:' || $1::text AND livemode = $2 AND kind = 'receivable';

-- lock: of two who reconcile with one acquirer, one waits
SELECT pg_advisory_lock(hashtextextended('settlement of ' || $1::text, 0));

-- begin: what one run works with, for as long as its connection lives
SET work_mem = '64MB';
CREATE TEMP TABLE staged (
    number integer NOT NULL, kind text COLLATE "C" NOT NULL, acquirer_reference text COLLATE "C" NOT NULL, reference text COLLATE "C" NOT NULL,
    amount bigint NOT NULL, fee bigint NOT NULL, currency text NOT NULL, value_date date NOT NULL
);
CREATE TEMP TABLE booked (
    reference text COLLATE "C", kind text COLLATE "C" NOT NULL, posting text COLLATE "C" NOT NULL, merchant_id bigint NOT NULL, amount bigint NOT NULL,
    currency text NOT NULL, occurred_at bigint NOT NULL
);
CREATE TEMP TABLE classified (
    number integer NOT NULL, kind text COLLATE "C" NOT NULL, acquirer_reference text COLLATE "C" NOT NULL, reference text COLLATE "C" NOT NULL,
    amount bigint NOT NULL, fee bigint NOT NULL, currency text NOT NULL, value_date date NOT NULL, class text NOT NULL, repeats boolean NOT NULL,
    done boolean NOT NULL, merchant_id bigint, posting text COLLATE "C", here bigint, here_currency text
);
CREATE TEMP TABLE expected (
    position bigint GENERATED ALWAYS AS IDENTITY, reference text COLLATE "C" NOT NULL, kind text COLLATE "C" NOT NULL, posting text COLLATE "C" NOT NULL,
    merchant_id bigint NOT NULL, amount bigint NOT NULL, currency text NOT NULL
);
CREATE TEMP TABLE reported (
    position bigint GENERATED ALWAYS AS IDENTITY, number integer, id bigint, class text NOT NULL, kind text NOT NULL, reference text NOT NULL,
    acquirer_reference text, there bigint, there_currency text, here bigint, here_currency text, state text NOT NULL
);

-- known_file: a file that was read before, in this or an earlier edition
SELECT id FROM settlement.files WHERE acquirer = $1 AND livemode = $2 AND reference = $3;

-- open_file: a file that is about to be booked
INSERT INTO settlement.files AS f (acquirer, livemode, reference, first_day, last_day, digest) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (acquirer, livemode, reference) DO UPDATE SET first_day = EXCLUDED.first_day, last_day = EXCLUDED.last_day, digest = EXCLUDED.digest,
    completed_at = CASE WHEN f.digest = EXCLUDED.digest THEN f.completed_at END
RETURNING id;

-- complete_file: all of it is booked
UPDATE settlement.files SET completed_at = now() WHERE id = $1 AND completed_at IS NULL;

-- oldest_reference: the oldest of our references in the file, and among what was missing here
SELECT min(reference) FROM (
    SELECT reference FROM staged
    UNION ALL
    SELECT reference FROM settlement.differences WHERE acquirer = $1 AND livemode = $2 AND class = 'missing_here' AND resolution IS NULL
) given WHERE reference >= 'att_0' AND reference < 'att_{';

-- gather: what was booked with the acquirer from a time on, by the references under which it knows it
INSERT INTO booked
SELECT b.document ->> 'attempt', t.kind, t.posting, b.merchant_id, CASE t.kind WHEN 'capture' THEN t.amount ELSE -t.amount END, t.currency, t.occurred_at
FROM ledger.transfers t
JOIN ledger.accounts m ON m.id = CASE t.kind WHEN 'capture' THEN t.credit_account ELSE t.debit_account END
JOIN payments.balance_transactions b
    ON b.merchant_id = CASE WHEN m.holder LIKE 'merchant:%' THEN substr(m.holder, 10)::bigint END AND b.livemode = m.livemode AND b.id = t.posting
WHERE t.posting >= $1::text AND t.posting < 'txn`'
    AND ((t.kind = 'capture' AND t.debit_account = ANY ($2::bigint[])) OR (t.kind = 'refund' AND t.credit_account = ANY ($2::bigint[])));

-- settle_statistics: so that what follows is planned for as many as there are
ANALYZE staged, booked;

-- explain: what was missing here when an earlier file was read, and is booked by now
WITH found AS (
    SELECT DISTINCT ON (o.posting) o.posting, o.merchant_id, d.id
    FROM settlement.differences d JOIN booked o ON o.reference = d.reference AND o.kind = d.kind AND o.amount = d.amount AND o.currency = d.currency
    WHERE d.acquirer = $1 AND d.livemode = $2 AND d.class = 'missing_here' AND d.resolution IS NULL
        AND NOT EXISTS (SELECT FROM settlement.lines p WHERE p.balance_transaction = o.posting)
        AND NOT EXISTS (SELECT FROM settlement.differences e WHERE e.class = 'missing_there' AND e.balance_transaction = o.posting)
    ORDER BY o.posting, d.id
), explained AS (
    UPDATE settlement.differences d SET resolution = 'explained', resolved_at = now(), merchant_id = f.merchant_id, balance_transaction = f.posting
    FROM found f WHERE d.id = f.id RETURNING d.id, d.line, f.posting, f.merchant_id
), settling AS (
    UPDATE settlement.lines l SET balance_transaction = e.posting, merchant_id = e.merchant_id FROM explained e WHERE l.id = e.line
)
SELECT id FROM explained;

-- classify: how each line compares with the books and with the lines before it; of several about one order the one that fits best comes first, whatever their order
WITH compared AS (
    SELECT s.*, o.posting, o.merchant_id, o.amount AS here, o.currency AS here_currency,
        k.id IS NOT NULL AS known,
        k.id IS NOT NULL AND k.file = $3 AND (k.reference, k.amount, k.fee, k.currency, k.value_date) = (s.reference, s.amount, s.fee, s.currency, s.value_date) AS done,
        k.class AS class_before, p.id IS NOT NULL OR e.id IS NOT NULL AS settled,
        (s.amount = o.amount AND s.currency = o.currency) IS TRUE AS fits
    FROM staged s
    LEFT JOIN booked o ON o.reference = s.reference AND o.kind = s.kind
    LEFT JOIN settlement.lines k ON k.acquirer = $1 AND k.livemode = $2 AND k.kind = s.kind AND k.acquirer_reference = s.acquirer_reference
    LEFT JOIN settlement.lines p ON p.balance_transaction = o.posting
    LEFT JOIN settlement.differences e ON e.class = 'missing_there' AND e.balance_transaction = o.posting AND e.resolution IN ('paid', 'written_off')
), ranked AS (
    SELECT c.*,
        row_number() OVER (PARTITION BY kind, acquirer_reference
            ORDER BY fits DESC, (currency = here_currency) DESC NULLS LAST, amount, fee, reference, value_date, number) AS telling,
        row_number() OVER (PARTITION BY kind, reference
            ORDER BY fits DESC, (currency = here_currency) DESC NULLS LAST, amount, fee, acquirer_reference, value_date, number) AS payment
    FROM compared c
), judged AS (
    SELECT r.*, (known AND NOT done) OR telling > 1 AS repeats FROM ranked r
)
INSERT INTO classified
SELECT number, kind, acquirer_reference, reference, amount, fee, currency, value_date,
    CASE
        WHEN repeats THEN 'duplicated'
        WHEN done THEN class_before
        WHEN payment > 1 OR settled THEN 'duplicated'
        WHEN posting IS NULL THEN 'missing_here'
        WHEN currency <> here_currency THEN 'currency_differs'
        WHEN amount <> here THEN 'amount_differs'
        ELSE 'matched'
    END, repeats, done AND NOT repeats, merchant_id, posting, here, here_currency
FROM judged;

-- expect: what was booked on the days of the file, and neither it nor an earlier one has
INSERT INTO expected (reference, kind, posting, merchant_id, amount, currency)
SELECT o.reference, o.kind, o.posting, o.merchant_id, o.amount, o.currency FROM booked o
WHERE o.reference IS NOT NULL AND o.occurred_at BETWEEN $1 AND $2
    AND NOT EXISTS (SELECT FROM classified c WHERE c.posting = o.posting AND c.class IN ('matched', 'amount_differs'))
    AND NOT EXISTS (SELECT FROM settlement.lines p WHERE p.balance_transaction = o.posting)
    AND NOT EXISTS (SELECT FROM settlement.differences d WHERE d.class = 'missing_there' AND d.balance_transaction = o.posting)
ORDER BY o.posting;

-- book_statistics: it is booked batch by batch
CREATE INDEX ON classified (number);
CREATE INDEX ON expected (position);
ANALYZE classified, expected;

-- extent: up to where it goes
SELECT coalesce((SELECT max(number) FROM classified), 0) AS lines, coalesce((SELECT max(position) FROM expected), 0) AS expected,
    ARRAY(SELECT DISTINCT currency FROM classified UNION SELECT DISTINCT currency FROM expected) AS currencies;

-- last_ids: after which what is about to be written comes
SELECT coalesce((SELECT max(id) FROM settlement.lines), 0) AS line, coalesce((SELECT max(id) FROM settlement.differences), 0) AS difference;

-- book_lines: some lines, each once
INSERT INTO settlement.lines (file, number, acquirer, livemode, kind, acquirer_reference, reference, amount, fee, currency, value_date, class,
    merchant_id, balance_transaction, ours)
SELECT $1, number, $2, $3, kind, acquirer_reference, reference, amount, fee, currency, value_date, class,
    CASE WHEN settles THEN merchant_id END, CASE WHEN settles THEN posting END, CASE WHEN settles THEN here END
FROM (SELECT c.*, class IN ('matched', 'amount_differs') AS settles FROM classified c) c
WHERE NOT done AND NOT repeats AND number BETWEEN $4 AND $5
ORDER BY number;

-- open_differences: what of these lines isn't as it is booked
INSERT INTO settlement.differences (file, line, acquirer, livemode, class, kind, reference, merchant_id, balance_transaction, amount, currency)
SELECT file, id, acquirer, livemode, class, kind, reference, merchant_id, balance_transaction,
    amount - coalesce(ours, 0), currency
FROM settlement.lines WHERE file = $1 AND id > $2 AND class <> 'matched' ORDER BY id;

-- bring: what was missing in an earlier file, and these lines have
UPDATE settlement.differences d SET resolution = 'explained', resolved_at = now(), resolved_by = l.id
FROM settlement.lines l
WHERE l.file = $1 AND l.id > $2 AND d.class = 'missing_there' AND d.balance_transaction = l.balance_transaction AND d.resolution IS NULL
RETURNING d.id;

-- open_missing: some of what the file hasn't
INSERT INTO settlement.differences (file, acquirer, livemode, class, kind, reference, merchant_id, balance_transaction, amount, currency)
SELECT $1, $2, $3, 'missing_there', kind, reference, merchant_id, posting, -amount, currency FROM expected WHERE position BETWEEN $4 AND $5 ORDER BY position;

-- transfers: what lines and differences post that were just written, their fees in one sum, and differences that were just resolved; accounts by currency
WITH accounts AS MATERIALIZED (
    SELECT * FROM json_to_recordset($1::json) AS a (currency text, settled bigint, receivable bigint, costs bigint, suspense bigint, losses bigint)
), written AS (
    SELECT 'stl_' || l.id AS posting, 'settlement' AS kind, a.settled AS gains, a.receivable AS gives, l.ours AS amount, l.currency
    FROM settlement.lines l JOIN accounts a USING (currency) WHERE l.file = $2 AND l.id > $3 AND l.ours IS NOT NULL
    UNION ALL
    SELECT 'sfe_' || min(l.id), 'acquirer_fee', a.costs, a.settled, sum(l.fee)::bigint, l.currency
    FROM settlement.lines l JOIN accounts a USING (currency) WHERE l.file = $2 AND l.id > $3
    GROUP BY l.currency, a.costs, a.settled HAVING sum(l.fee) <> 0
    UNION ALL
    SELECT 'sdf_' || d.id, 'suspense', CASE WHEN d.class = 'missing_there' THEN a.receivable ELSE a.settled END, a.suspense, d.amount, d.currency
    FROM settlement.differences d JOIN accounts a USING (currency) WHERE d.file = $2 AND d.id > $4
    UNION ALL
    SELECT 'sdf_' || d.id, 'suspense_release', a.suspense,
        CASE d.resolution WHEN 'explained' THEN a.receivable WHEN 'paid' THEN a.settled ELSE a.losses END, d.amount, d.currency
    FROM settlement.differences d JOIN accounts a USING (currency) WHERE d.id = ANY ($5::bigint[])
)
SELECT posting, kind, 'posted' AS phase, CASE WHEN amount > 0 THEN gains ELSE gives END AS debit_account,
    CASE WHEN amount > 0 THEN gives ELSE gains END AS credit_account, abs(amount) AS amount, currency, $6::bigint AS occurred_at
FROM written;

-- report: all that isn't matched, in the order of the file, and then what it hasn't
INSERT INTO reported (number, id, class, kind, reference, acquirer_reference, there, there_currency, here, here_currency, state)
SELECT c.number, d.id, c.class, c.kind, c.reference, c.acquirer_reference, c.amount, c.currency, c.here, c.here_currency,
    CASE WHEN c.repeats THEN 'not booked again' WHEN d.id IS NOT NULL THEN coalesce(d.resolution, 'open') ELSE 'not booked' END
FROM classified c
LEFT JOIN settlement.lines l ON NOT c.repeats AND l.acquirer = $1 AND l.livemode = $2 AND l.kind = c.kind AND l.acquirer_reference = c.acquirer_reference
LEFT JOIN settlement.differences d ON d.line = l.id
WHERE c.class <> 'matched' ORDER BY c.number;

-- report_missing: what it hasn't, as it was found now or when it was read before
INSERT INTO reported (id, class, kind, reference, here, here_currency, state)
SELECT d.id, d.class, d.kind, d.reference, -d.amount, d.currency, coalesce(d.resolution, 'open')
FROM settlement.differences d WHERE d.file = $1 AND d.class = 'missing_there' ORDER BY d.id;

-- report_expected: the same where nothing is booked
INSERT INTO reported (class, kind, reference, here, here_currency, state)
SELECT 'missing_there', kind, reference, amount, currency, 'not booked' FROM expected ORDER BY position;

-- classes: how many there are of each class and what they come to, as the acquirer says, and for what it hasn't as we do
SELECT class, currency, count(*) AS count, sum(amount)::bigint AS amount, sum(fee)::bigint AS fee FROM classified GROUP BY 1, 2
UNION ALL
SELECT class, here_currency, count(*), sum(here)::bigint, 0 FROM reported WHERE class = 'missing_there' GROUP BY 1, 2
ORDER BY 1, 2;

-- reported: a page of what isn't matched
SELECT * FROM reported WHERE position > $1 ORDER BY position LIMIT $2;

-- take_settled: captures whose funds wait for their settlement, among some lines and among differences that were resolved; each taken once
UPDATE payments.balance_transactions b
SET released_at = now(), available_on = $4, document = (b.document::jsonb || jsonb_build_object('available_on', $4::bigint))::json
WHERE (b.merchant_id, b.livemode, b.id) IN (
    SELECT w.merchant_id, w.livemode, w.id
    FROM (
        SELECT l.merchant_id, l.balance_transaction FROM settlement.lines l
        WHERE l.acquirer = $1 AND l.livemode = $2 AND (l.id BETWEEN $5 AND $6 OR l.id IN (SELECT line FROM settlement.differences WHERE id = ANY ($7::bigint[])))
            AND NOT EXISTS (SELECT FROM settlement.differences d WHERE d.line = l.id AND d.resolution IS NULL)
        UNION ALL
        SELECT merchant_id, balance_transaction FROM settlement.differences
        WHERE id = ANY ($7::bigint[]) AND class = 'missing_there' AND resolution IN ('paid', 'written_off')
    ) s
    JOIN payments.balance_transactions w ON w.merchant_id = s.merchant_id AND w.livemode = $2 AND w.id = s.balance_transaction
    WHERE w.type = 'charge' AND w.released_at IS NULL AND w.available_on = $3
    ORDER BY w.merchant_id, w.id FOR UPDATE OF w)
RETURNING b.id, b.document;

-- waiting: whether anything waits for its settlement
SELECT EXISTS (SELECT FROM payments.balance_transactions WHERE released_at IS NULL AND available_on = $1);

-- lines_of: from which line to which a file goes
SELECT coalesce(min(id), 1) AS first, coalesce(max(id), 0) AS last FROM settlement.lines WHERE file = $1;

-- files: what was read, newest first
SELECT f.id, f.acquirer, f.livemode, f.reference, f.first_day, f.last_day, f.received_at, f.completed_at,
    (SELECT count(*) FROM settlement.differences d WHERE d.file = f.id) AS differences,
    (SELECT count(*) FROM settlement.differences d WHERE d.file = f.id AND d.resolution IS NULL) AS open
FROM settlement.files f ORDER BY f.id DESC LIMIT $1;

-- open: what isn't explained, oldest first
SELECT d.id, d.acquirer, f.reference AS file, l.number, d.class, d.kind, d.reference, d.amount, d.currency, d.opened_at
FROM settlement.differences d JOIN settlement.files f ON f.id = d.file LEFT JOIN settlement.lines l ON l.id = d.line
WHERE d.resolution IS NULL AND ($1::text IS NULL OR d.acquirer = $1) AND d.id > $2 ORDER BY d.id LIMIT $3;

-- shown: one difference, whatever became of it
SELECT d.id, d.acquirer, d.livemode, f.reference AS file, l.number, d.class, d.kind, d.reference, l.acquirer_reference, d.balance_transaction, d.amount, d.currency,
    d.opened_at, d.resolution, d.resolved_at, r.reference AS resolved_by, d.note
FROM settlement.differences d JOIN settlement.files f ON f.id = d.file LEFT JOIN settlement.lines l ON l.id = d.line
LEFT JOIN settlement.lines b ON b.id = d.resolved_by LEFT JOIN settlement.files r ON r.id = b.file
WHERE d.id = $1;

-- resolve: an open difference, once
UPDATE settlement.differences SET resolution = $2, note = $3, resolved_at = now() WHERE id = $1 AND resolution IS NULL
RETURNING acquirer, livemode, line, currency;
