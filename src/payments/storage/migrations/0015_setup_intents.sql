-- Cards that are kept for later payments, without one now.

CREATE TABLE payments.setup_intents (
    merchant_id    bigint NOT NULL,
    livemode       boolean NOT NULL,
    id             payments.object_id NOT NULL,
    created        bigint NOT NULL,
    version        integer NOT NULL,
    customer       payments.object_id,
    payment_method payments.object_id,
    document       json NOT NULL,
    PRIMARY KEY (merchant_id, livemode, id)
) WITH (fillfactor = 80);
CREATE INDEX setup_intents_payment_method ON payments.setup_intents (merchant_id, livemode, payment_method, id) WHERE payment_method IS NOT NULL;
CREATE INDEX setup_intents_customer ON payments.setup_intents (merchant_id, livemode, customer, id) WHERE customer IS NOT NULL;

CREATE TABLE payments.setup_attempts (
    merchant_id  bigint NOT NULL,
    livemode     boolean NOT NULL,
    id           payments.object_id NOT NULL,
    created      bigint NOT NULL,
    version      integer NOT NULL,
    setup_intent payments.object_id NOT NULL,
    document     json NOT NULL,
    PRIMARY KEY (merchant_id, livemode, id)
);
CREATE INDEX setup_attempts_setup_intent ON payments.setup_attempts (merchant_id, livemode, setup_intent, id);

CREATE TABLE payments.mandates (
    merchant_id bigint NOT NULL,
    livemode    boolean NOT NULL,
    id          payments.object_id NOT NULL,
    created     bigint NOT NULL,
    version     integer NOT NULL,
    document    json NOT NULL,
    PRIMARY KEY (merchant_id, livemode, id)
);
COMMENT ON TABLE payments.mandates IS 'what customers agreed to; never changed but to say that it ended';

GRANT SELECT, INSERT, UPDATE ON payments.setup_intents, payments.setup_attempts, payments.mandates TO tap_payment_api;
