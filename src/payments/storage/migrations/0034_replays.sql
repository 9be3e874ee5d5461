-- Deliveries that are sent again by the thousand.

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
