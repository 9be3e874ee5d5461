-- record: one row per reference; a reference that comes again gets the first answer, and whether it would have been approved again is counted
INSERT INTO simulator.journal AS j (reference, kind, amount, currency, approvals, answer)
SELECT reference, kind, amount, currency, approvals, answer FROM json_to_recordset($1::json) AS n(
    reference text, kind text, amount bigint, currency text, approvals integer, answer json)
ON CONFLICT (reference) DO UPDATE SET repetitions = j.repetitions + 1
RETURNING reference, answer;

-- find: the entry of a reference
SELECT answer FROM simulator.journal WHERE reference = $1;
