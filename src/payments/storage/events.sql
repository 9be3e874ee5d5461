-- find: one event
SELECT id, created, type, object_type, object_id, object_version, snapshot, previous_attributes, request_id, idempotency_key
FROM payments.events WHERE merchant_id = $1 AND livemode = $2 AND id = $3;

-- page: from a cursor on, in the order of ids; of the candidates those that match, and the last one, if that is where the looking ends
SELECT e.id, e.created, e.type, e.object_type, e.object_id, e.object_version, e.snapshot, e.previous_attributes, e.request_id, e.idempotency_key,
    looked_at.matches
FROM (
    SELECT c.id, {matches} AS matches, row_number() OVER (ORDER BY c.id {order}) AS place FROM ({candidates}) AS c {joins}
) AS looked_at
JOIN payments.events e ON e.merchant_id = $1 AND e.livemode = $2 AND e.id = looked_at.id
WHERE looked_at.matches OR looked_at.place = $8
ORDER BY looked_at.id {order} LIMIT $7;

-- candidates: all events in a range of ids; `created` is compared only within the few minutes by which ids may differ from it
SELECT id FROM payments.events
WHERE merchant_id = $1 AND livemode = $2 AND id > $3 AND id < $4 AND created >= $5 AND created <= $6
ORDER BY id {order} LIMIT $8;

-- candidates_of_type: the same of one type; compared as the index's columns are, so that the primary key can't be taken instead
SELECT id FROM payments.events
WHERE merchant_id = $1 AND livemode = $2 AND type = ($9::text[])[1] AND (type, id) > (($9::text[])[1], $3) AND (type, id) < (($9::text[])[1], $4)
    AND created >= $5 AND created <= $6
ORDER BY id {order} LIMIT $8;

-- candidates_of_types: the same of several types, each in its own range of the index
SELECT o.id FROM unnest($9::text[]) AS t (type)
CROSS JOIN LATERAL (
    SELECT id FROM payments.events
    WHERE merchant_id = $1 AND livemode = $2 AND type = t.type AND (type, id) > (t.type, $3) AND (type, id) < (t.type, $4)
        AND created >= $5 AND created <= $6
    ORDER BY id {order} LIMIT $8
) o
ORDER BY o.id {order} LIMIT $8;

-- candidates_undelivered: events with a delivery that is pending or dead, by endpoint, of which a merchant has few
WITH RECURSIVE {endpoints}
SELECT DISTINCT u.event_id AS id FROM endpoints n CROSS JOIN unnest(ARRAY['pending', 'dead']) AS s (status)
CROSS JOIN LATERAL (
    SELECT event_id FROM notifications.deliveries
    WHERE merchant_id = $1 AND livemode = $2 AND endpoint_id = n.id AND status = s.status
        AND (endpoint_id, status, event_id) > (n.id, s.status, $3) AND (endpoint_id, status, event_id) < (n.id, s.status, $4)
    ORDER BY event_id {order} LIMIT $8
) u
ORDER BY id {order} LIMIT $8;

-- join_delivered: whether anything of an event isn't delivered; the limit keeps it a look-up per event, which the planner might else make a join of all
LEFT JOIN LATERAL (
    SELECT true AS is_open FROM notifications.deliveries d
    WHERE d.merchant_id = $1 AND d.livemode = $2 AND d.event_id = c.id AND d.status <> 'delivered' LIMIT 1
) o ON true;

-- join_event: the event of a delivery
CROSS JOIN LATERAL (SELECT type, created FROM payments.events WHERE merchant_id = $1 AND livemode = $2 AND id = c.id LIMIT 1) AS candidate;
