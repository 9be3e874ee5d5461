-- give: the numbers of references, a new one for those that have none and were begun since they are counted; whoever counts for an acquirer holds its counter until it
-- has committed, so two copies give none twice. After 999999 comes 1
WITH asked AS MATERIALIZED (
    SELECT a.acquirer, a.reference, a.created, k.number
    FROM json_to_recordset($1::json) AS a (acquirer text, reference text, created bigint)
    LEFT JOIN payments.trace_numbers k ON k.acquirer = a.acquirer AND k.reference = a.reference
), new AS MATERIALIZED (
    SELECT acquirer, reference, row_number() OVER (PARTITION BY acquirer ORDER BY reference) AS position FROM asked
    WHERE number IS NULL AND to_timestamp(created) >= (SELECT begins_at FROM payments.trace_beginning)
), counted AS (
    INSERT INTO payments.trace_counters AS c (acquirer, last) SELECT acquirer, count(*) FROM new GROUP BY acquirer ORDER BY acquirer
    ON CONFLICT (acquirer) DO UPDATE SET last = (c.last + excluded.last - 1) % 999999 + 1
    RETURNING acquirer, last
), given AS (
    INSERT INTO payments.trace_numbers (acquirer, reference, number)
    SELECT n.acquirer, n.reference, (c.last - (SELECT count(*) FROM new s WHERE s.acquirer = n.acquirer) + n.position + 999998) % 999999 + 1
    FROM new n JOIN counted c ON c.acquirer = n.acquirer ORDER BY n.acquirer, n.reference
    ON CONFLICT DO NOTHING
    RETURNING acquirer, reference, number
)
SELECT acquirer, reference, number FROM asked WHERE number IS NOT NULL
UNION ALL SELECT acquirer, reference, number FROM given;

-- kept: the numbers that somebody else gave at the same moment
SELECT k.acquirer, k.reference, k.number FROM json_to_recordset($1::json) AS a (acquirer text, reference text)
JOIN payments.trace_numbers k ON k.acquirer = a.acquirer AND k.reference = a.reference;

-- forget: numbers of what is neither repeated nor claimed any more; some at once
DELETE FROM payments.trace_numbers WHERE (acquirer, reference) IN (
    SELECT acquirer, reference FROM payments.trace_numbers WHERE given_at < now() - interval '45 days' ORDER BY given_at LIMIT $1);
