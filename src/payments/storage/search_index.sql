-- is_waiting: whether there is anything to be done
SELECT EXISTS (SELECT FROM search.changes) OR EXISTS (SELECT FROM search.backfill);

-- claim_changes: what changed, oldest first; rows that another copy holds are passed over, and none is looked for while there is older work, whose objects come first
DELETE FROM search.changes WHERE position IN (
    SELECT position FROM search.changes WHERE NOT EXISTS (SELECT FROM search.backfill) AND object_id <> ALL ($2::text[])
    ORDER BY position LIMIT $1 FOR UPDATE SKIP LOCKED)
RETURNING merchant_id, livemode, kind, object_id;

-- claim_backfill: a table that is not read to its end yet; one copy reads it
SELECT kind, merchant_id, livemode, place FROM search.backfill ORDER BY kind LIMIT 1 FOR UPDATE SKIP LOCKED;

-- backfill_page: the next objects of a table
SELECT merchant_id, livemode, id, {place} AS place FROM {table}
WHERE (merchant_id, livemode, {place}) > ($1, $2, $3){condition} ORDER BY merchant_id, livemode, {place} LIMIT $4;

-- move_backfill: how far a table has been read
UPDATE search.backfill SET merchant_id = $2, livemode = $3, place = $4 WHERE kind = $1;

-- end_backfill: a table that has been read to its end
DELETE FROM search.backfill WHERE kind = $1;

-- open_segment: where documents of a merchant's, mode and kind are, new ones included
INSERT INTO search.segments (merchant_id, livemode, kind) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING;

-- lock_segment: one copy adds to a segment at a time
SELECT id, documents FROM search.segments WHERE merchant_id = $1 AND livemode = $2 AND kind = $3 FOR UPDATE;

-- count_documents: numbers that were taken
UPDATE search.segments SET documents = $2 WHERE id = $1;

-- documents_of: those of some objects, as they are searched
SELECT object_id, number, version, searched FROM search.documents WHERE segment_id = $1 AND object_id = ANY ($2::text[]);

-- put_documents: new ones, and newer versions
INSERT INTO search.documents (segment_id, number, object_id, version, searched)
SELECT $1, n.number, n.object_id, n.version, n.searched
FROM unnest($2::integer[], $3::text[], $4::integer[], $5::json[]) AS n (number, object_id, version, searched)
ON CONFLICT (segment_id, number) DO UPDATE SET version = excluded.version, searched = excluded.searched;

-- postings_at: of some terms in some blocks
SELECT p.term, p.block, p.bits FROM unnest($2::bigint[], $3::integer[]) AS n (term, block)
JOIN search.postings p ON p.segment_id = $1 AND p.term = n.term AND p.block = n.block;

-- put_postings: as they are from now on
INSERT INTO search.postings (segment_id, term, block, bits)
SELECT $1, n.term, n.block, n.bits FROM unnest($2::bigint[], $3::integer[], $4::bytea[]) AS n (term, block, bits)
ON CONFLICT (segment_id, term, block) DO UPDATE SET bits = excluded.bits;

-- drop_postings: of which no document is left
DELETE FROM search.postings p USING unnest($2::bigint[], $3::integer[]) AS n (term, block)
WHERE p.segment_id = $1 AND p.term = n.term AND p.block = n.block;

-- segment: where a merchant's documents of a mode and kind are
SELECT id, documents FROM search.segments WHERE merchant_id = $1 AND livemode = $2 AND kind = $3;

-- postings: of some terms, in a range of blocks
SELECT p.term, p.block, p.bits FROM unnest($2::bigint[]) AS n (term)
CROSS JOIN LATERAL (
    SELECT term, block, bits FROM search.postings WHERE segment_id = $1 AND term = n.term AND block >= $3 AND block < $4
) p;

-- searched: what is searched of some documents
SELECT number, searched FROM search.documents WHERE segment_id = $1 AND number = ANY ($2::integer[]) AND searched IS NOT NULL;

-- object_ids: which objects some documents are of
SELECT number, object_id FROM search.documents WHERE segment_id = $1 AND number = ANY ($2::integer[]) AND searched IS NOT NULL;

-- oldest_waiting_seconds: for how long the oldest change that isn't searchable yet waits
SELECT coalesce(extract(epoch FROM now() - min(changed_at)), 0)::double precision FROM search.changes;
