-- How a merchant wants our pages to look (the table is small), and what is confirmed with from pages of their own.
ALTER TABLE payments.merchants
    ADD COLUMN IF NOT EXISTS brand_colour text CHECK (brand_colour ~ '^#[0-9a-f]{6}$'),
    ADD COLUMN IF NOT EXISTS brand_logo bytea CHECK (octet_length(brand_logo) <= 5000);

-- Confirmation tokens: names for cards that browsers gave for a payment, with what else was said there, each to be used once.
CREATE TABLE IF NOT EXISTS payments.confirmation_tokens (
    merchant_id bigint NOT NULL,
    livemode    boolean NOT NULL,
    id          payments.object_id NOT NULL,
    created     bigint NOT NULL,
    version     integer NOT NULL,
    document    json NOT NULL,
    PRIMARY KEY (merchant_id, livemode, id)
);
COMMENT ON TABLE payments.confirmation_tokens IS 'never changed; the card says whether it was used, and for what';

GRANT SELECT, INSERT ON payments.confirmation_tokens TO tap_payment_api;

-- Customer sessions: what a customer's browser may see and do of their cards, for half an hour.
CREATE TABLE IF NOT EXISTS payments.customer_sessions (
    merchant_id bigint NOT NULL,
    livemode    boolean NOT NULL,
    id          payments.object_id NOT NULL,
    created     bigint NOT NULL,
    version     integer NOT NULL,
    document    json NOT NULL,
    PRIMARY KEY (merchant_id, livemode, id)
);
COMMENT ON TABLE payments.customer_sessions IS 'never changed';

GRANT SELECT, INSERT ON payments.customer_sessions TO tap_payment_api;
