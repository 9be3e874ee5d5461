-- record: one row per reference, with what will be told of it later; a reference that comes again gets the first answer, and whether it would have been approved again is counted
WITH given AS MATERIALIZED (
    SELECT * FROM json_to_recordset($1::json) AS n(
        reference text, kind text, amount bigint, currency text, approvals integer, answer json, fails_at bigint, notice json)
), announced AS (
    INSERT INTO simulator.notices (reference, due_at, document)
    SELECT notice ->> 'reference', (notice ->> 'due_at')::bigint, notice -> 'document' FROM given WHERE notice IS NOT NULL
    ON CONFLICT DO NOTHING
)
INSERT INTO simulator.journal AS j (reference, kind, amount, currency, approvals, answer, fails_at)
SELECT reference, kind, amount, currency, approvals, answer, fails_at FROM given
ON CONFLICT (reference) DO UPDATE SET repetitions = j.repetitions + 1
RETURNING reference, answer;

-- find: the entries of references
SELECT reference, answer FROM simulator.journal WHERE reference = ANY ($1::text[]);

-- failed: refunds that were approved and failed after all
SELECT answer FROM simulator.journal WHERE fails_at <= $1 ORDER BY fails_at LIMIT 100;

-- acknowledge: a failure that was booked
UPDATE simulator.journal SET fails_at = NULL WHERE reference = $1;

-- announce: what will be told later, once
INSERT INTO simulator.notices (reference, due_at, document)
SELECT reference, due_at, document FROM json_to_record($1::json) AS n(reference text, due_at bigint, document json)
ON CONFLICT DO NOTHING;

-- due_notices: what is told by now, until somebody has stored it
SELECT document FROM simulator.notices WHERE due_at <= $1 AND NOT heard ORDER BY due_at, reference LIMIT 100;

-- acknowledge_notice: somebody has stored it
UPDATE simulator.notices SET heard = true WHERE reference = $1;
