-- Pages on which buyers pay: sessions, the links that open them, and what is bought.

CREATE TABLE payments.payment_links (
    merchant_id bigint NOT NULL,
    livemode    boolean NOT NULL,
    id          payments.object_id NOT NULL,
    created     bigint NOT NULL,
    version     integer NOT NULL,
    active      boolean NOT NULL,
    document    json NOT NULL,
    PRIMARY KEY (merchant_id, livemode, id)
);
CREATE INDEX payment_links_active ON payments.payment_links (merchant_id, livemode, active, id);

CREATE TABLE payments.checkout_sessions (
    merchant_id    bigint NOT NULL,
    livemode       boolean NOT NULL,
    id             payments.object_id NOT NULL,
    created        bigint NOT NULL,
    version        integer NOT NULL,
    status         text NOT NULL CHECK (status IN ('open', 'complete', 'expired')),
    customer       payments.object_id,
    email          text,
    payment_intent payments.object_id,
    payment_link   payments.object_id,
    visit          text COLLATE "C",
    due_at         bigint CHECK ((due_at IS NULL) = (status <> 'open')),
    document       json NOT NULL,
    PRIMARY KEY (merchant_id, livemode, id)
) WITH (fillfactor = 80);
CREATE INDEX checkout_sessions_status ON payments.checkout_sessions (merchant_id, livemode, status, id);
CREATE INDEX checkout_sessions_customer ON payments.checkout_sessions (merchant_id, livemode, customer, id) WHERE customer IS NOT NULL;
CREATE INDEX checkout_sessions_email ON payments.checkout_sessions (merchant_id, livemode, email, id) WHERE email IS NOT NULL;
CREATE INDEX checkout_sessions_payment_intent ON payments.checkout_sessions (merchant_id, livemode, payment_intent, id) WHERE payment_intent IS NOT NULL;
CREATE INDEX checkout_sessions_payment_link ON payments.checkout_sessions (merchant_id, livemode, payment_link, id) WHERE payment_link IS NOT NULL;
CREATE UNIQUE INDEX checkout_sessions_visit ON payments.checkout_sessions (merchant_id, livemode, visit) WHERE visit IS NOT NULL;
CREATE INDEX checkout_sessions_due ON payments.checkout_sessions (due_at) WHERE due_at IS NOT NULL;
COMMENT ON COLUMN payments.checkout_sessions.due_at IS 'when it has to be looked at next, unix seconds: it expires, or a payment in it was begun';
COMMENT ON COLUMN payments.checkout_sessions.visit IS 'the visit of a payment link that opened it, so that no other session is opened for the same';

CREATE TABLE payments.checkout_items (
    merchant_id bigint NOT NULL,
    livemode    boolean NOT NULL,
    id          payments.object_id NOT NULL,
    created     bigint NOT NULL,
    version     integer NOT NULL,
    owner       payments.object_id NOT NULL,
    document    json NOT NULL,
    PRIMARY KEY (merchant_id, livemode, id)
);
CREATE INDEX checkout_items_owner ON payments.checkout_items (merchant_id, livemode, owner, id);
COMMENT ON TABLE payments.checkout_items IS 'lines of sessions and of payment links; never changed';

GRANT SELECT, INSERT, UPDATE (version, active, document) ON payments.payment_links TO tap_payment_api;
GRANT SELECT, INSERT, UPDATE (version, status, customer, email, payment_intent, due_at, document) ON payments.checkout_sessions TO tap_payment_api;
GRANT SELECT, INSERT ON payments.checkout_items TO tap_payment_api;
