-- lock: the rows that still are as they were read, kept like that until this commit; what another commit has in hand counts as moved on, so nobody waits here and nothing can deadlock
SELECT c.unit FROM json_to_recordset($1::json) AS c(unit text, merchant_id bigint, livemode boolean, id text, version integer, open_attempt text, answered boolean)
CROSS JOIN LATERAL (
    SELECT FROM {table} o
    WHERE o.merchant_id = c.merchant_id AND o.livemode = c.livemode AND o.id = c.id AND {unmoved}
    FOR {strength} SKIP LOCKED
) unmoved;
