-- Keys that a merchant's app has for one customer, for an hour. Whoever answers API calls authenticates them, as all keys.

CREATE TABLE payments.ephemeral_keys (
    merchant_id bigint NOT NULL,
    livemode    boolean NOT NULL,
    id          payments.object_id NOT NULL,
    created     bigint NOT NULL,
    version     integer NOT NULL,
    customer    payments.object_id NOT NULL,
    expires     bigint NOT NULL,
    key_hash    bytea NOT NULL UNIQUE,
    document    json NOT NULL,
    PRIMARY KEY (merchant_id, livemode, id)
);
CREATE INDEX ephemeral_keys_customer ON payments.ephemeral_keys (merchant_id, livemode, customer, expires);

GRANT SELECT ON payments.ephemeral_keys TO tap_payment_api, tap_transaction_processor, tap_notification_service;
GRANT INSERT, DELETE ON payments.ephemeral_keys TO tap_payment_api;
