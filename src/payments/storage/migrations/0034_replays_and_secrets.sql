-- Deliveries that are sent again by the thousand; secrets that were replaced before those before them had run out; how many endpoints a merchant may have.

CREATE TABLE notifications.replays (
    merchant_id      bigint NOT NULL,
    livemode         boolean NOT NULL,
    id               payments.object_id NOT NULL,
    created          bigint NOT NULL,
    version          integer NOT NULL,
    webhook_endpoint payments.object_id NOT NULL,
    status           text NOT NULL,
    next_step_at     timestamptz NOT NULL DEFAULT now(),
    document         json NOT NULL,
    PRIMARY KEY (merchant_id, livemode, id)
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX replays_one_at_a_time ON notifications.replays (merchant_id, livemode, webhook_endpoint) WHERE status = 'running';
CREATE INDEX replays_running ON notifications.replays (next_step_at) WHERE status = 'running';

GRANT SELECT, INSERT, UPDATE (version, status, next_step_at, document) ON notifications.replays TO tap_notification_service;

CREATE TABLE notifications.earlier_secrets (
    merchant_id bigint NOT NULL,
    livemode    boolean NOT NULL,
    id          payments.object_id NOT NULL,
    endpoint_id payments.object_id NOT NULL,
    sealed      bytea NOT NULL,
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, livemode, id),
    FOREIGN KEY (merchant_id, livemode, endpoint_id) REFERENCES notifications.webhook_endpoints ON DELETE CASCADE
);
CREATE INDEX earlier_secrets_endpoint ON notifications.earlier_secrets (merchant_id, livemode, endpoint_id);
COMMENT ON TABLE notifications.earlier_secrets IS 'those before sealed_previous_secret; they sign as well until they expire';

GRANT SELECT, INSERT, DELETE ON notifications.earlier_secrets TO tap_notification_service;

-- Last, since payments read it. The table is small.
ALTER TABLE payments.merchants ADD COLUMN webhook_endpoints_max integer NOT NULL DEFAULT 16 CHECK (webhook_endpoints_max BETWEEN 1 AND 256);
