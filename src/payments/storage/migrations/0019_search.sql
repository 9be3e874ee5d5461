-- What is searched of each object, beside the objects: payments neither read nor write it.
CREATE SCHEMA search;

-- What changed and isn't searchable yet. As with the outbox, rows that are being committed are found when they are there, whichever number they have.
CREATE TABLE search.changes (
    position    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    merchant_id bigint NOT NULL,
    livemode    boolean NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('payment_intent', 'customer', 'product', 'price')),
    object_id   payments.object_id NOT NULL,
    changed_at  timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
COMMENT ON COLUMN search.changes.kind IS 'of a payment the intent, which stands for its charges, too';

-- What was there before this, table by table, and how far it has been read.
CREATE TABLE search.backfill (
    kind        text PRIMARY KEY,
    merchant_id bigint NOT NULL DEFAULT 0,
    livemode    boolean NOT NULL DEFAULT false,
    place       payments.object_id NOT NULL DEFAULT ''
);
INSERT INTO search.backfill (kind) VALUES ('payment_intent'), ('customer'), ('product'), ('price');

-- The documents of a merchant's, mode and kind are numbered in the order of creation, so that a set of them is a row of bits, and the newest are the last.
CREATE TABLE search.segments (
    id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    merchant_id bigint NOT NULL,
    livemode    boolean NOT NULL,
    kind        text NOT NULL,
    documents   integer NOT NULL DEFAULT 0,
    UNIQUE (merchant_id, livemode, kind)
);
COMMENT ON COLUMN search.segments.documents IS 'how many numbers are taken; who adds documents locks this row';

CREATE TABLE search.documents (
    segment_id integer NOT NULL,
    number     integer NOT NULL,
    object_id  payments.object_id NOT NULL,
    version    integer NOT NULL,
    searched   json,
    PRIMARY KEY (segment_id, number)
);
CREATE UNIQUE INDEX documents_object ON search.documents (segment_id, object_id);
COMMENT ON COLUMN search.documents.version IS 'of the object as it is searched: an older one never takes its place';
COMMENT ON COLUMN search.documents.searched IS 'field → value; null when the object was deleted';

CREATE TABLE search.postings (
    segment_id integer NOT NULL,
    term       bigint NOT NULL,
    block      integer NOT NULL,
    bits       bytea NOT NULL,
    PRIMARY KEY (segment_id, term, block)
) WITH (fillfactor = 80, toast_tuple_target = 4080, autovacuum_vacuum_scale_factor = 0.05);
-- As they are, and in their row: compressing what is read by the thousand, or looking for it elsewhere, would cost more than it saves.
ALTER TABLE search.postings ALTER COLUMN bits SET STORAGE EXTERNAL;
COMMENT ON TABLE search.postings IS 'which documents of a block have a term';

-- Where changes are learnt from. Most are told of by an event, which passes through the outbox: whoever empties it, of this version or another, notes them
-- down here, after the payment's commit and apart from it.
CREATE FUNCTION search.note_told() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO search.changes (merchant_id, livemode, kind, object_id)
    SELECT DISTINCT t.merchant_id, t.livemode, about.kind, about.object_id
    FROM told t
    CROSS JOIN LATERAL (
        SELECT CASE WHEN e.object_type IN ('customer', 'product', 'price') THEN e.object_type ELSE 'payment_intent' END AS kind,
            CASE WHEN e.object_type IN ('customer', 'product', 'price', 'payment_intent') THEN e.object_id ELSE e.snapshot ->> 'payment_intent' END AS object_id
        FROM payments.events e
        WHERE e.merchant_id = t.merchant_id AND e.livemode = t.livemode AND e.id = t.event_id
    ) about
    WHERE split_part(t.type, '.', 1) IN ('payment_intent', 'charge', 'refund', 'customer', 'product', 'price') AND about.object_id IS NOT NULL;
    RETURN NULL;
END
$$;

GRANT USAGE ON SCHEMA search TO tap_payment_api, tap_transaction_processor, tap_notification_service;
GRANT INSERT ON search.changes TO tap_transaction_processor, tap_notification_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON search.changes, search.backfill, search.segments, search.documents, search.postings TO tap_payment_api;

-- Last, since it locks what payments write.
CREATE TRIGGER searched AFTER DELETE ON notifications.outbox REFERENCING OLD TABLE AS told FOR EACH STATEMENT EXECUTE FUNCTION search.note_told();
