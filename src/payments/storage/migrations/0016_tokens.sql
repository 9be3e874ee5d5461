-- Tokens: names for cards that browsers and apps give, each to be used once. The card is a payment method from the beginning, which says whether it was used.

CREATE TABLE payments.tokens (
    merchant_id bigint NOT NULL,
    livemode    boolean NOT NULL,
    id          payments.object_id NOT NULL,
    created     bigint NOT NULL,
    version     integer NOT NULL,
    document    json NOT NULL,
    PRIMARY KEY (merchant_id, livemode, id)
);
COMMENT ON TABLE payments.tokens IS 'never changed; the card that a token stands for says whether it was used';

GRANT SELECT, INSERT ON payments.tokens TO tap_payment_api;
