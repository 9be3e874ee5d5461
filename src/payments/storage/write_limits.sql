-- tell: what this copy let keys write since it told last; returns what each key has saved up now, below zero what it owes, and how much was ever wanted with it.
-- In the order of the keys, as every copy does. The clock is read when a key's row is locked: who waited for it mustn't count the time twice.
INSERT INTO payments.write_limits AS l (key_id, writes_per_second, saved_max, saved, wanted, told_at)
SELECT key_id, writes_per_second, saved_max, saved_max - written, wanted, clock_timestamp()
FROM unnest($1::text[], $2::double precision[], $3::double precision[], $4::bigint[], $5::bigint[])
    AS n (key_id, writes_per_second, saved_max, written, wanted)
ORDER BY key_id
ON CONFLICT (key_id) DO UPDATE SET
    writes_per_second = excluded.writes_per_second,
    saved_max = excluded.saved_max,
    saved = excluded.saved - excluded.saved_max
        + least(excluded.saved_max, l.saved + excluded.writes_per_second * greatest(extract(epoch FROM clock_timestamp() - l.told_at), 0)),
    wanted = l.wanted + excluded.wanted,
    told_at = greatest(l.told_at, clock_timestamp())
RETURNING l.key_id, l.saved, l.wanted;
