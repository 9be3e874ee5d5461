-- record: one row per reference; a reference that comes again gets the first answer, and whether it would have been approved again is counted
INSERT INTO simulator.journal AS j (reference, kind, amount, currency, approvals, answer, fails_at)
SELECT reference, kind, amount, currency, approvals, answer, fails_at FROM json_to_recordset($1::json) AS n(
    reference text, kind text, amount bigint, currency text, approvals integer, answer json, fails_at bigint)
ON CONFLICT (reference) DO UPDATE SET repetitions = j.repetitions + 1
RETURNING reference, answer;

-- find: the entries of references
SELECT reference, answer FROM simulator.journal WHERE reference = ANY ($1::text[]);

-- failed: refunds that were approved and failed after all
SELECT answer FROM simulator.journal WHERE fails_at <= $1 ORDER BY fails_at LIMIT 100;

-- acknowledge: a failure that was booked
UPDATE simulator.journal SET fails_at = NULL WHERE reference = $1;
