-- get: one object
SELECT document FROM {table} WHERE merchant_id = $1 AND livemode = $2 AND id = $3;

-- get_each: the object of each key, in their order
SELECT o.document
FROM ROWS FROM (json_to_recordset($1::json) AS (merchant_id bigint, livemode boolean, id text)) WITH ORDINALITY AS n (merchant_id, livemode, id, place)
LEFT JOIN LATERAL (
    SELECT document FROM {table} WHERE merchant_id = n.merchant_id AND livemode = n.livemode AND id = n.id
) o ON true
ORDER BY n.place;

-- get_many: several objects, in no order
SELECT id, document FROM {table} WHERE merchant_id = $1 AND livemode = $2 AND id = ANY($3);

-- newest_of: the newest objects for each of several values, from one index range a value
SELECT v.value, o.document FROM unnest($3::text[]) AS v (value)
CROSS JOIN LATERAL (
    SELECT id, document FROM {table} WHERE merchant_id = $1 AND livemode = $2 AND {column} = v.value AND ({column}, id) > (v.value, '')
    ORDER BY id DESC LIMIT $4
) o
ORDER BY v.value, o.id DESC;

-- page: from a cursor on, in the order of ids, which is the order of creation; of the candidates those that match, and the last one, if that is where the looking ends
SELECT document, matches FROM (
    SELECT id, document, {matches} AS matches, row_number() OVER (ORDER BY id {order}) AS place FROM ({candidates}) AS candidates
) AS looked_at
WHERE matches OR place = $8
ORDER BY id {order} LIMIT $7;

-- candidates: what an index range holds, in its order, compared as its columns are, so that no other can be taken instead; `created` is compared only within the few minutes by which ids may differ from it
SELECT {place} AS id, document{compared} FROM {table}
WHERE merchant_id = $1 AND livemode = $2 AND ({columns}{place}) > ({values}$3) AND ({columns}{place}) < ({values}$4)
    AND created >= $5 AND created <= $6 {conditions}
ORDER BY {place} {order} LIMIT $8;

-- candidates_of_values: the same of several values, each in its own range of an index that is in the order of ids only within a value
SELECT o.* FROM unnest({arrays}) AS v ({names})
CROSS JOIN LATERAL (
    SELECT {place} AS id, document{compared} FROM {table}
    WHERE merchant_id = $1 AND livemode = $2 AND ({columns}{place}) > ({values}$3) AND ({columns}{place}) < ({values}$4)
        AND created >= $5 AND created <= $6 {conditions}
    ORDER BY {place} {order} LIMIT $8
) o
ORDER BY id {order} LIMIT $8;

-- insert: a new object, with what SQL knows of it
INSERT INTO {table} (merchant_id, livemode, id, created, version, document{columns}) VALUES ($1, $2, $3, $4, $5, $6{values});

-- update: only from the version that was read, and not waiting for who has it in hand
UPDATE {table} SET version = $5, document = $6{changes}
WHERE merchant_id = $1 AND livemode = $2 AND id = (
    SELECT id FROM {table} WHERE merchant_id = $1 AND livemode = $2 AND id = $3 AND version = $4{unmoved} FOR NO KEY UPDATE SKIP LOCKED)
RETURNING true;
