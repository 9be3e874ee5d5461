-- Payments, their ledger and the outbox.
-- Every key leads with the merchant and the mode, so that one merchant's rows can move to a partition or a server of their own.
-- `document` is the object in its compact stored form; the columns beside it are those that SQL decides by.

CREATE SCHEMA payments;
CREATE SCHEMA ledger;
CREATE SCHEMA notifications;
CREATE SCHEMA simulator;

-- Ids sort by time only when they are compared byte by byte, whatever the database's locale.
CREATE DOMAIN payments.object_id AS text COLLATE "C";

CREATE TABLE payments.merchants (
    id                    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name                  text NOT NULL,
    fee_basis_points      integer NOT NULL DEFAULT 290 CHECK (fee_basis_points BETWEEN 0 AND 10000),
    fee_fixed_minor_units integer NOT NULL DEFAULT 30 CHECK (fee_fixed_minor_units >= 0),
    created_at            timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE payments.api_keys (
    id          payments.object_id PRIMARY KEY,
    merchant_id bigint NOT NULL REFERENCES payments.merchants,
    livemode    boolean NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('secret', 'publishable')),
    key_hash    bytea NOT NULL UNIQUE,
    last4       text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    revoked_at  timestamptz
);

CREATE TABLE payments.customers (
    merchant_id bigint NOT NULL,
    livemode    boolean NOT NULL,
    id          payments.object_id NOT NULL,
    created     bigint NOT NULL,
    version     integer NOT NULL,
    email       text,
    deleted     boolean NOT NULL,
    document    json NOT NULL,
    PRIMARY KEY (merchant_id, livemode, id)
);
CREATE INDEX customers_email ON payments.customers (merchant_id, livemode, email, id) WHERE email IS NOT NULL;

CREATE TABLE payments.payment_methods (
    merchant_id   bigint NOT NULL,
    livemode      boolean NOT NULL,
    id            payments.object_id NOT NULL,
    created       bigint NOT NULL,
    version       integer NOT NULL,
    customer      payments.object_id,
    sealed_number text NOT NULL,
    document      json NOT NULL,
    PRIMARY KEY (merchant_id, livemode, id)
);
CREATE INDEX payment_methods_customer ON payments.payment_methods (merchant_id, livemode, customer, id) WHERE customer IS NOT NULL;
COMMENT ON COLUMN payments.payment_methods.sealed_number IS 'AES-256-GCM under the envelope key, base64; only transaction-processor can read it';

CREATE TABLE payments.payment_intents (
    merchant_id       bigint NOT NULL,
    livemode          boolean NOT NULL,
    id                payments.object_id NOT NULL,
    created           bigint NOT NULL,
    version           integer NOT NULL,
    status            text NOT NULL CHECK (status IN ('requires_payment_method', 'requires_confirmation', 'requires_action',
                                                      'processing', 'requires_capture', 'succeeded', 'canceled')),
    open_attempt      payments.object_id,
    amount            bigint NOT NULL CHECK (amount > 0),
    amount_capturable bigint NOT NULL CHECK (amount_capturable >= 0),
    amount_received   bigint NOT NULL CHECK (amount_received >= 0 AND amount_received + amount_capturable <= amount),
    currency          text NOT NULL,
    customer          payments.object_id,
    capture_before    bigint,
    document          json NOT NULL,
    PRIMARY KEY (merchant_id, livemode, id)
) WITH (fillfactor = 60);
CREATE INDEX payment_intents_customer ON payments.payment_intents (merchant_id, livemode, customer, id) WHERE customer IS NOT NULL;
-- Holds that may expire. Not by status: an index on what every payment changes would forbid in-page updates.
CREATE INDEX payment_intents_holds ON payments.payment_intents (capture_before) WHERE capture_before IS NOT NULL;
COMMENT ON COLUMN payments.payment_intents.open_attempt IS 'the attempt that is with the acquirer: while it is set, nobody else moves the money';

CREATE TABLE payments.attempts (
    merchant_id    bigint NOT NULL,
    livemode       boolean NOT NULL,
    id             payments.object_id NOT NULL,
    payment_intent payments.object_id NOT NULL,
    created        bigint NOT NULL,
    lease_until    timestamptz NOT NULL,
    inquiries      integer NOT NULL DEFAULT 0,
    answered       boolean NOT NULL DEFAULT false,
    closed_at      timestamptz,
    outcome        json,
    document       json NOT NULL,
    PRIMARY KEY (merchant_id, livemode, id)
) WITH (fillfactor = 80);
CREATE INDEX attempts_open ON payments.attempts (lease_until) WHERE closed_at IS NULL;
COMMENT ON COLUMN payments.attempts.answered IS 'the event that the idempotency claim points at exists, if only to say "processing"';
COMMENT ON TABLE payments.attempts IS 'open (closed_at is null) → closed, once; whoever holds the lease may ask the acquirer';

CREATE TABLE payments.charges (
    merchant_id     bigint NOT NULL,
    livemode        boolean NOT NULL,
    id              payments.object_id NOT NULL,
    created         bigint NOT NULL,
    version         integer NOT NULL,
    status          text NOT NULL CHECK (status IN ('succeeded', 'pending', 'failed')),
    payment_intent  payments.object_id NOT NULL,
    customer        payments.object_id,
    amount          bigint NOT NULL CHECK (amount > 0),
    amount_captured bigint NOT NULL CHECK (amount_captured BETWEEN 0 AND amount),
    amount_refunded bigint NOT NULL CHECK (amount_refunded BETWEEN 0 AND amount),
    currency        text NOT NULL,
    document        json NOT NULL,
    PRIMARY KEY (merchant_id, livemode, id)
);
CREATE INDEX charges_payment_intent ON payments.charges (merchant_id, livemode, payment_intent, id);
CREATE INDEX charges_customer ON payments.charges (merchant_id, livemode, customer, id) WHERE customer IS NOT NULL;

CREATE TABLE payments.refunds (
    merchant_id    bigint NOT NULL,
    livemode       boolean NOT NULL,
    id             payments.object_id NOT NULL,
    created        bigint NOT NULL,
    version        integer NOT NULL,
    status         text NOT NULL CHECK (status IN ('pending', 'requires_action', 'succeeded', 'failed', 'canceled')),
    charge         payments.object_id NOT NULL,
    payment_intent payments.object_id NOT NULL,
    amount         bigint NOT NULL CHECK (amount > 0),
    currency       text NOT NULL,
    document       json NOT NULL,
    PRIMARY KEY (merchant_id, livemode, id)
);
CREATE INDEX refunds_charge ON payments.refunds (merchant_id, livemode, charge, id);
CREATE INDEX refunds_payment_intent ON payments.refunds (merchant_id, livemode, payment_intent, id);

CREATE TABLE payments.balance_transactions (
    merchant_id  bigint NOT NULL,
    livemode     boolean NOT NULL,
    id           payments.object_id NOT NULL,
    created      bigint NOT NULL,
    type         text NOT NULL CHECK (type IN ('charge', 'refund', 'refund_failure')),
    source       payments.object_id NOT NULL,
    amount       bigint NOT NULL,
    fee          bigint NOT NULL CHECK (fee >= 0),
    currency     text NOT NULL,
    available_on bigint NOT NULL,
    released_at  timestamptz,
    document     json NOT NULL,
    PRIMARY KEY (merchant_id, livemode, id)
);
CREATE INDEX balance_transactions_source ON payments.balance_transactions (merchant_id, livemode, source, id);
CREATE INDEX balance_transactions_due ON payments.balance_transactions (available_on) WHERE released_at IS NULL;
COMMENT ON COLUMN payments.balance_transactions.released_at IS 'when the ledger moved the net amount from pending to available';

CREATE TABLE payments.events (
    merchant_id         bigint NOT NULL,
    livemode            boolean NOT NULL,
    id                  payments.object_id NOT NULL,
    created             bigint NOT NULL,
    type                text NOT NULL,
    object_type         text NOT NULL,
    object_id           payments.object_id NOT NULL,
    object_version      integer NOT NULL,
    snapshot            json NOT NULL,
    previous_attributes json,
    request_id          text,
    idempotency_key     text,
    PRIMARY KEY (merchant_id, livemode, id)
);

CREATE TABLE payments.idempotency_claims (
    merchant_id    bigint NOT NULL,
    livemode       boolean NOT NULL,
    key            text COLLATE "C" NOT NULL,
    request_id     payments.object_id NOT NULL,
    path           text NOT NULL,
    fingerprint    text NOT NULL,
    created        bigint NOT NULL,
    response_event payments.object_id,
    status         smallint,
    sealed_body    bytea,
    PRIMARY KEY (merchant_id, livemode, key)
);
CREATE INDEX idempotency_claims_created ON payments.idempotency_claims USING brin (created);
COMMENT ON TABLE payments.idempotency_claims IS
    'the answer to a repeated request: the snapshot of response_event where the mutation writes an event, else the stored body';

-- The outbox: one row per event that has not been fanned out yet.
CREATE TABLE notifications.outbox (
    position    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    merchant_id bigint NOT NULL,
    livemode    boolean NOT NULL,
    event_id    payments.object_id NOT NULL,
    type        text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

-- The books.
CREATE TABLE ledger.accounts (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    holder      text NOT NULL,
    livemode    boolean NOT NULL,
    kind        text NOT NULL,
    currency    text NOT NULL,
    normal_side text NOT NULL CHECK (normal_side IN ('debit', 'credit')),
    UNIQUE (holder, livemode, kind, currency)
);
COMMENT ON COLUMN ledger.accounts.holder IS 'merchant:ID, acquirer:NAME or platform';

CREATE TABLE ledger.balances (
    account_id     bigint PRIMARY KEY REFERENCES ledger.accounts,
    debits_posted  bigint NOT NULL DEFAULT 0 CHECK (debits_posted >= 0),
    credits_posted bigint NOT NULL DEFAULT 0 CHECK (credits_posted >= 0),
    debits_held    bigint NOT NULL DEFAULT 0 CHECK (debits_held >= 0),
    credits_held   bigint NOT NULL DEFAULT 0 CHECK (credits_held >= 0)
) WITH (fillfactor = 20);

CREATE TABLE ledger.transfers (
    posting        payments.object_id NOT NULL,
    kind           text COLLATE "C" NOT NULL,
    phase          text NOT NULL CHECK (phase IN ('posted', 'held', 'released')),
    debit_account  bigint NOT NULL,
    credit_account bigint NOT NULL CHECK (credit_account <> debit_account),
    amount         bigint NOT NULL CHECK (amount > 0),
    currency       text NOT NULL,
    occurred_at    bigint NOT NULL,
    PRIMARY KEY (posting, kind)
);
COMMENT ON TABLE ledger.transfers IS 'immutable: a mistake is corrected by another transfer; one row is one debit and one credit of the same amount';
COMMENT ON COLUMN ledger.transfers.posting IS 'what caused it: an attempt (holds) or a balance transaction; the key makes a second posting impossible';

CREATE VIEW ledger.entries AS
    SELECT debit_account AS account_id, 'debit' AS side, posting, kind, phase, amount, currency, occurred_at FROM ledger.transfers
    UNION ALL
    SELECT credit_account, 'credit', posting, kind, phase, amount, currency, occurred_at FROM ledger.transfers;

-- The sandbox acquirer's own books, as a bank would keep them. Not ours: the payment path never reads it.
CREATE TABLE simulator.journal (
    reference   payments.object_id PRIMARY KEY,
    kind        text NOT NULL,
    amount      bigint NOT NULL,
    currency    text NOT NULL,
    approvals   integer NOT NULL,
    repetitions integer NOT NULL DEFAULT 0,
    answer      json NOT NULL,
    fails_at    bigint
);
CREATE INDEX journal_fails_at ON simulator.journal (fails_at) WHERE fails_at IS NOT NULL;
COMMENT ON COLUMN simulator.journal.fails_at IS 'when a refund that was approved fails after all; null again when that was acknowledged';
COMMENT ON COLUMN simulator.journal.repetitions IS 'how often the order was sent again after it had been answered: a careless acquirer would have carried it out again';

-- History can't be changed, by nobody.
CREATE FUNCTION payments.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%.% is append-only', TG_TABLE_SCHEMA, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.transfers FOR EACH STATEMENT EXECUTE FUNCTION payments.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payments.events FOR EACH STATEMENT EXECUTE FUNCTION payments.refuse_change();
