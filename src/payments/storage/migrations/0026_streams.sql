-- What those who listen to `GET /v1/events/stream` are sent, in an order in which nothing comes later that belongs before.

CREATE TABLE notifications.streams (
    merchant_id    bigint NOT NULL,
    livemode       boolean NOT NULL,
    position       bigint NOT NULL DEFAULT 0,
    begun_after    bigint NOT NULL DEFAULT 0,
    recorded_until timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, livemode)
) WITH (fillfactor = 50);
COMMENT ON TABLE notifications.streams IS 'merchants somebody listens to, or did within a day; of others nothing is recorded';
COMMENT ON COLUMN notifications.streams.position IS 'of the last event: counted under a lock on the row that is held until the commit, so a greater one is committed later';
COMMENT ON COLUMN notifications.streams.begun_after IS 'from here on nothing is missing, and nothing was taken away again';

CREATE TABLE notifications.streamed (
    merchant_id bigint NOT NULL,
    livemode    boolean NOT NULL,
    position    bigint NOT NULL,
    event_id    payments.object_id NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (merchant_id, livemode, position)
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 10000);
CREATE INDEX streamed_event ON notifications.streamed (merchant_id, livemode, event_id, position);

GRANT SELECT, INSERT, UPDATE ON notifications.streams TO tap_notification_service;
GRANT SELECT, INSERT, DELETE ON notifications.streamed TO tap_notification_service;
