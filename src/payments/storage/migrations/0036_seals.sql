-- Transfers are sealed after their commit, in an order that no transaction can get under. No row is written anew: those from before are of transaction 0.
CREATE FUNCTION ledger.transaction_number() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT pg_current_xact_id()::text::bigint';
CREATE FUNCTION ledger.finished_below() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint';
COMMENT ON FUNCTION ledger.transaction_number IS 'the transaction that is under way: what a transfer is recorded in';
COMMENT ON FUNCTION ledger.finished_below IS 'all transactions with lower numbers are over, so that whatever they recorded can be seen';

CREATE TABLE ledger.seals (
    number       bigint PRIMARY KEY CHECK (number > 0),
    sealed_at    timestamptz NOT NULL DEFAULT now(),
    transfers    integer NOT NULL CHECK (transfers BETWEEN 0 AND 100000),
    total        bigint NOT NULL,
    recorded_in  bigint NOT NULL,
    posting      payments.object_id NOT NULL,
    kind         text COLLATE "C" NOT NULL,
    head         bytea NOT NULL CHECK (octet_length(head) = 32),
    fingerprints bytea NOT NULL,
    signature    text NOT NULL
);
COMMENT ON TABLE ledger.seals IS 'a hash chain over all transfers; each seal goes as far as a transfer, in the order of recorded_in, posting, kind';
COMMENT ON COLUMN ledger.seals.transfers IS 'how many it adds';
COMMENT ON COLUMN ledger.seals.total IS 'how many it is over, all before it included';
COMMENT ON COLUMN ledger.seals.head IS 'of the chain: SHA-256 of the head before and the digest of a transfer, once for each';
COMMENT ON COLUMN ledger.seals.fingerprints IS 'eight bytes of the digest of each transfer, to say which of them is wrong';
COMMENT ON COLUMN ledger.seals.signature IS 'HMAC-SHA256 under a key of the ring of envelope keys: whoever has the database alone makes none';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.seals FOR EACH STATEMENT EXECUTE FUNCTION payments.refuse_change();

GRANT SELECT, INSERT ON ledger.seals TO tap_transaction_processor;

-- Last, since payments write it.
ALTER TABLE ledger.transfers ADD COLUMN recorded_in bigint NOT NULL DEFAULT 0;
ALTER TABLE ledger.transfers ALTER COLUMN recorded_in SET DEFAULT ledger.transaction_number();
COMMENT ON COLUMN ledger.transfers.recorded_in IS 'the number of its transaction; 0: from before there were seals';
