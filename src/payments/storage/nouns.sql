-- get: one object
SELECT document FROM {table} WHERE merchant_id = $1 AND livemode = $2 AND id = $3;

-- get_many: several objects, in no order
SELECT id, document FROM {table} WHERE merchant_id = $1 AND livemode = $2 AND id = ANY($3);

-- page_older: newest first, from a cursor down; the order of ids is the order of creation
SELECT document FROM {table}
WHERE merchant_id = $1 AND livemode = $2 AND ($3::text IS NULL OR id < $3) AND created >= $4 AND created <= $5 {filters}
ORDER BY id DESC LIMIT $6;

-- page_newer: oldest first, from a cursor up
SELECT document FROM {table}
WHERE merchant_id = $1 AND livemode = $2 AND id > $3 AND created >= $4 AND created <= $5 {filters}
ORDER BY id LIMIT $6;
