-- lock: the rows that still are as they were read, kept like that until this commit; what another commit has in hand counts as moved on, so nobody waits here and nothing can deadlock
SELECT n.unit FROM {rows}
CROSS JOIN LATERAL (
    SELECT FROM {table} o
    WHERE o.merchant_id = n.merchant_id AND o.livemode = n.livemode AND o.id = n.id AND {unmoved}
    FOR {strength} SKIP LOCKED
) unmoved;
