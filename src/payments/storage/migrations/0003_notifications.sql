-- Webhook endpoints, and the deliveries to them.

CREATE TABLE notifications.webhook_endpoints (
    merchant_id            bigint NOT NULL,
    livemode               boolean NOT NULL,
    id                     payments.object_id NOT NULL,
    created                bigint NOT NULL,
    version                integer NOT NULL,
    enabled                boolean NOT NULL,
    enabled_events         text[] NOT NULL,
    sealed_secret          bytea NOT NULL,
    sealed_previous_secret bytea,
    previous_secret_until  timestamptz,
    document               json NOT NULL,
    PRIMARY KEY (merchant_id, livemode, id)
);
COMMENT ON COLUMN notifications.webhook_endpoints.sealed_previous_secret IS 'while a secret is rotated, deliveries are signed with both';

CREATE TABLE notifications.deliveries (
    merchant_id     bigint NOT NULL,
    livemode        boolean NOT NULL,
    event_id        payments.object_id NOT NULL,
    endpoint_id     payments.object_id NOT NULL,
    status          text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'dead')),
    attempts        integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (merchant_id, livemode, event_id, endpoint_id)
) WITH (fillfactor = 80);
CREATE INDEX deliveries_due ON notifications.deliveries (merchant_id, livemode, endpoint_id, next_attempt_at) WHERE status = 'pending';
CREATE INDEX deliveries_dead ON notifications.deliveries (merchant_id, livemode, event_id) WHERE status = 'dead';
COMMENT ON TABLE notifications.deliveries IS 'pending → delivered, or → dead when the schedule is exhausted; a dead one can be made pending again';
COMMENT ON COLUMN notifications.deliveries.next_attempt_at IS 'when to try next; while an attempt is under way, when its lease runs out';

CREATE TABLE notifications.delivery_attempts (
    merchant_id  bigint NOT NULL,
    livemode     boolean NOT NULL,
    event_id     payments.object_id NOT NULL,
    endpoint_id  payments.object_id NOT NULL,
    attempt      integer NOT NULL,
    attempted_at timestamptz NOT NULL,
    duration_ms  integer NOT NULL,
    status_code  smallint,
    error        text,
    PRIMARY KEY (merchant_id, livemode, event_id, endpoint_id, attempt)
);
COMMENT ON TABLE notifications.delivery_attempts IS 'append-only; what receivers answer is not kept, since it may hold anything';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON notifications.delivery_attempts
    FOR EACH STATEMENT EXECUTE FUNCTION payments.refuse_change();

GRANT SELECT, INSERT, UPDATE, DELETE ON notifications.webhook_endpoints TO tap_notification_service;
GRANT SELECT, INSERT, UPDATE ON notifications.deliveries TO tap_notification_service;
GRANT SELECT, INSERT ON notifications.delivery_attempts TO tap_notification_service;
