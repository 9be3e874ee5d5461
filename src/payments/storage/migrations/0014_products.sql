-- What merchants sell, and what it costs.

-- Merchants may choose a product's id, so lists go by another column.
CREATE TABLE payments.products (
    merchant_id bigint NOT NULL,
    livemode    boolean NOT NULL,
    id          payments.object_id NOT NULL,
    place       payments.object_id NOT NULL,
    created     bigint NOT NULL,
    version     integer NOT NULL,
    active      boolean NOT NULL,
    deleted     boolean NOT NULL,
    document    json NOT NULL,
    PRIMARY KEY (merchant_id, livemode, id)
);
CREATE INDEX products_place ON payments.products (merchant_id, livemode, place) WHERE NOT deleted;
CREATE INDEX products_active ON payments.products (merchant_id, livemode, active, place) WHERE NOT deleted;

CREATE TABLE payments.prices (
    merchant_id bigint NOT NULL,
    livemode    boolean NOT NULL,
    id          payments.object_id NOT NULL,
    created     bigint NOT NULL,
    version     integer NOT NULL,
    active      boolean NOT NULL,
    product     payments.object_id NOT NULL,
    lookup_key  text,
    document    json NOT NULL,
    PRIMARY KEY (merchant_id, livemode, id),
    FOREIGN KEY (merchant_id, livemode, product) REFERENCES payments.products
);
CREATE INDEX prices_product ON payments.prices (merchant_id, livemode, product, id);
CREATE INDEX prices_active ON payments.prices (merchant_id, livemode, active, id);
CREATE UNIQUE INDEX prices_lookup_key ON payments.prices (merchant_id, livemode, lookup_key) WHERE lookup_key IS NOT NULL;

GRANT SELECT, INSERT, UPDATE (version, active, deleted, document) ON payments.products TO tap_payment_api;
GRANT SELECT, INSERT, UPDATE (version, active, lookup_key, document) ON payments.prices TO tap_payment_api;
