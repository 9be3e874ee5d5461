-- transactional: false
-- Webhooks in the order of their object's versions, where an endpoint asks for it; and since when an endpoint fails.

-- Statement by statement, each of which can be run again. The code before this one knows none of it: what it fans out is not in order, and what it records is.
ALTER TABLE notifications.webhook_endpoints
    ADD COLUMN IF NOT EXISTS ordered boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS failing_since timestamptz;
COMMENT ON COLUMN notifications.webhook_endpoints.failing_since IS 'of the first attempt that failed after the last one that succeeded; null when that was the last';

ALTER TABLE notifications.deliveries
    ADD COLUMN IF NOT EXISTS line payments.object_id,
    ADD COLUMN IF NOT EXISTS object_version integer,
    ADD COLUMN IF NOT EXISTS place bigint,
    ADD COLUMN IF NOT EXISTS held boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS leased boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN notifications.deliveries.line IS 'the endpoint and the object, of an endpoint that wants each object''s events one after the other; else null';
COMMENT ON COLUMN notifications.deliveries.place IS 'the position that its event had in the outbox: the order of events that tell of the same version';
COMMENT ON COLUMN notifications.deliveries.held IS 'pending, in a line, and not its turn: neither queued nor ever due';
COMMENT ON COLUMN notifications.deliveries.leased IS 'with queued false and next_attempt_at in the future: an attempt is under way';

-- One look finds whether something of a line may be under way (held is false, which comes first), and else what is first in it.
DROP INDEX CONCURRENTLY IF EXISTS notifications.deliveries_in_line;
CREATE INDEX CONCURRENTLY deliveries_in_line
    ON notifications.deliveries ((CASE WHEN status = 'pending' THEN line END), held, object_version, place, event_id)
    WHERE CASE WHEN status = 'pending' THEN line END IS NOT NULL;

CREATE TABLE IF NOT EXISTS notifications.turns (
    id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    line payments.object_id NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
COMMENT ON TABLE notifications.turns IS 'lines that changed, and in which it may be the turn of the next: written with the change, so that no turn is missed';

-- By a trigger, so that whatever ends a delivery, of this version or the one before, lets the next one have its turn.
CREATE OR REPLACE FUNCTION notifications.note_turn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO notifications.turns (line) VALUES (NEW.line);
    RETURN NULL;
END
$$;
GRANT SELECT, INSERT, DELETE ON notifications.turns TO tap_notification_service;
CREATE OR REPLACE TRIGGER joined_line AFTER INSERT ON notifications.deliveries
    FOR EACH ROW WHEN (NEW.line IS NOT NULL) EXECUTE FUNCTION notifications.note_turn();
CREATE OR REPLACE TRIGGER moved_in_line AFTER UPDATE OF status ON notifications.deliveries
    FOR EACH ROW WHEN (NEW.line IS NOT NULL AND NEW.status <> OLD.status) EXECUTE FUNCTION notifications.note_turn();

-- That an endpoint was disabled is an event. Of no other kind may notification-service write one: it says which endpoint, and what is told is what is stored.
CREATE OR REPLACE FUNCTION notifications.tell_disabled(of_merchant bigint, of_livemode boolean, endpoint text, event text, at bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH told AS (
        INSERT INTO payments.events (merchant_id, livemode, id, created, type, object_type, object_id, object_version, snapshot)
        SELECT w.merchant_id, w.livemode, event, at, 'webhook_endpoint.disabled', 'webhook_endpoint', w.id, w.version, w.document
        FROM notifications.webhook_endpoints w
        WHERE w.merchant_id = of_merchant AND w.livemode = of_livemode AND w.id = endpoint AND NOT w.enabled
        RETURNING merchant_id, livemode, id, type
    )
    INSERT INTO notifications.outbox (merchant_id, livemode, event_id, type) SELECT merchant_id, livemode, id, type FROM told
$$;
REVOKE EXECUTE ON FUNCTION notifications.tell_disabled FROM PUBLIC;
GRANT EXECUTE ON FUNCTION notifications.tell_disabled TO tap_notification_service;
