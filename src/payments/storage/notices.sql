-- record: a notice, once
INSERT INTO payments.notices (source, reference, received, look_at, document) VALUES ($1, $2, $3, $3, $4) ON CONFLICT DO NOTHING;

-- waiting: the notices that are to be looked at, the longest waiting first
SELECT source, reference, document FROM payments.notices WHERE look_at <= $1 ORDER BY look_at LIMIT $2;

-- finish: a notice is done with; returns nothing when somebody else did it
UPDATE payments.notices SET look_at = NULL, result = $3 WHERE source = $1 AND reference = $2 AND look_at IS NOT NULL RETURNING true;

-- put_off: look at it again later, each time after twice as long, an hour at most
UPDATE payments.notices SET look_at = $3 + least(power(2, least(tries, 12))::bigint, 3600), tries = tries + 1
WHERE source = $1 AND reference = $2 AND look_at IS NOT NULL;

-- anything_due: whether there is a notice to be looked at, or anything to be sent to whoever sends notices; one look for all that is rarely there
SELECT EXISTS (SELECT FROM payments.notices WHERE look_at <= $1)
    OR EXISTS (SELECT FROM payments.disputes WHERE send_at <= $1)
    OR EXISTS (SELECT FROM payments.payouts WHERE send_at <= $1 AND status IN ('pending', 'in_transit'));
