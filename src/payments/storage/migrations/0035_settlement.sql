-- What acquirers say that they paid us, line by line, and what of it isn't explained. Whoever reconciles is the database's owner: no service has any of it.

CREATE SCHEMA settlement;

CREATE TABLE settlement.files (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    acquirer     text COLLATE "C" NOT NULL,
    livemode     boolean NOT NULL,
    reference    text COLLATE "C" NOT NULL,
    first_day    date NOT NULL,
    last_day     date NOT NULL CHECK (last_day >= first_day),
    digest       bytea NOT NULL,
    received_at  timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz,
    UNIQUE (acquirer, livemode, reference)
);
COMMENT ON COLUMN settlement.files.reference IS 'the acquirer''s own name of the file: a corrected one has the same';
COMMENT ON COLUMN settlement.files.completed_at IS 'when all of it was booked; null: it was interrupted, and goes on when the file is read again';

CREATE TABLE settlement.lines (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    file                bigint NOT NULL,
    number              integer NOT NULL,
    acquirer            text COLLATE "C" NOT NULL,
    livemode            boolean NOT NULL,
    kind                text COLLATE "C" NOT NULL CHECK (kind IN ('capture', 'refund', 'chargeback', 'chargeback_reversal')),
    acquirer_reference  text COLLATE "C" NOT NULL,
    reference           text COLLATE "C" NOT NULL,
    amount              bigint NOT NULL CHECK (amount <> 0),
    fee                 bigint NOT NULL,
    currency            text NOT NULL,
    value_date          date NOT NULL,
    class               text NOT NULL CHECK (class IN ('matched', 'missing_here', 'amount_differs', 'currency_differs', 'duplicated')),
    merchant_id         bigint,
    balance_transaction payments.object_id,
    ours                bigint,
    CHECK ((ours IS NOT NULL) = (class IN ('matched', 'amount_differs'))),
    CHECK ((balance_transaction IS NULL) = (merchant_id IS NULL)),
    UNIQUE (acquirer, livemode, kind, acquirer_reference)
);
-- What was captured or returned is settled once.
CREATE UNIQUE INDEX lines_settles ON settlement.lines (balance_transaction) WHERE balance_transaction IS NOT NULL;
CREATE INDEX lines_file ON settlement.lines USING brin (file) WITH (pages_per_range = 16, autosummarize = on);
COMMENT ON COLUMN settlement.lines.amount IS 'what the acquirer says, before its fee: positive when it pays us, negative when we pay it; minor units';
COMMENT ON COLUMN settlement.lines.fee IS 'what it keeps; negative when it gives some back';
COMMENT ON COLUMN settlement.lines.balance_transaction IS 'what it settles of ours: at once, or once that was known here';
COMMENT ON COLUMN settlement.lines.ours IS 'what that is in our books, and was settled by this line, whatever it says itself';

CREATE TABLE settlement.differences (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    file                bigint NOT NULL,
    line                bigint UNIQUE,
    acquirer            text COLLATE "C" NOT NULL,
    livemode            boolean NOT NULL,
    class               text NOT NULL CHECK (class IN ('missing_here', 'missing_there', 'amount_differs', 'currency_differs', 'duplicated')),
    kind                text COLLATE "C" NOT NULL,
    reference           text COLLATE "C" NOT NULL,
    merchant_id         bigint,
    balance_transaction payments.object_id,
    amount              bigint NOT NULL CHECK (amount <> 0),
    currency            text NOT NULL,
    opened_at           timestamptz NOT NULL DEFAULT now(),
    resolution          text CHECK (resolution IN ('explained', 'paid', 'written_off')),
    resolved_at         timestamptz,
    resolved_by         bigint,
    note                text,
    CHECK ((line IS NULL) = (class = 'missing_there')),
    CHECK ((resolution IS NULL) = (resolved_at IS NULL))
);
CREATE UNIQUE INDEX differences_missing_there ON settlement.differences (balance_transaction) WHERE class = 'missing_there';
CREATE INDEX differences_open ON settlement.differences (acquirer, livemode, id) WHERE resolution IS NULL;
CREATE INDEX differences_file ON settlement.differences (file);
COMMENT ON COLUMN settlement.differences.amount IS 'what the acquirer says less what our books say: as long as it is open, so much of the suspense account';
COMMENT ON COLUMN settlement.differences.resolved_by IS 'the line that brought what was missing there';
