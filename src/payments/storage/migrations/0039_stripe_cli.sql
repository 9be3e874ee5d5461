-- Stripe's command line: where its listeners stand, and the requests of merchants whose requests somebody watches.

CREATE TABLE notifications.cli_positions (
    merchant_id bigint NOT NULL,
    livemode    boolean NOT NULL,
    session_id  payments.object_id NOT NULL,
    position    bigint NOT NULL,
    saved_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (merchant_id, livemode, session_id)
);
COMMENT ON TABLE notifications.cli_positions IS 'up to where a session has acknowledged its stream: it goes on there, on whichever copy it comes back to';
CREATE INDEX cli_positions_saved ON notifications.cli_positions (saved_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON notifications.cli_positions TO tap_notification_service;

CREATE TABLE notifications.request_tails (
    merchant_id bigint NOT NULL,
    livemode    boolean NOT NULL,
    until       timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, livemode)
);
COMMENT ON TABLE notifications.request_tails IS 'merchants whose requests somebody watches; of others nothing is recorded';
GRANT SELECT, INSERT, UPDATE, DELETE ON notifications.request_tails TO tap_notification_service;
GRANT SELECT ON notifications.request_tails TO tap_payment_api, tap_transaction_processor;

CREATE TABLE notifications.request_log (
    merchant_id bigint NOT NULL,
    livemode    boolean NOT NULL,
    id          payments.object_id NOT NULL,
    document    json NOT NULL,
    PRIMARY KEY (merchant_id, livemode, id)
) PARTITION BY RANGE (id);
COMMENT ON TABLE notifications.request_log IS 'what the API was asked and how it answered, while somebody watched: no parameter, no body, no header';
CREATE TABLE notifications.request_log_default PARTITION OF notifications.request_log DEFAULT;
GRANT SELECT, INSERT ON notifications.request_log TO tap_notification_service;
GRANT INSERT ON notifications.request_log TO tap_payment_api, tap_transaction_processor;

INSERT INTO notifications.partitioned (of_table, id_prefix, width, ahead, kept) VALUES ('request_log', 'rql', '1 day', '2 days', '1 day');
DO $$
BEGIN
    PERFORM notifications.make_partitions(now());
END
$$;
