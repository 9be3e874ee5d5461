-- Deliveries and their attempts in ranges of their events' ids, which are ranges of time. The event's id is part of either key, so a key is in one partition only,
-- and is as unique as it was. What the code before this one says goes on as it is. Nothing is read or written anew: that takes milliseconds.

ALTER TABLE notifications.deliveries RENAME TO deliveries_before;
ALTER TABLE notifications.deliveries_before RENAME CONSTRAINT deliveries_pkey TO deliveries_before_pkey;
ALTER INDEX notifications.deliveries_due RENAME TO deliveries_before_due;
ALTER INDEX notifications.deliveries_dead RENAME TO deliveries_before_dead;
ALTER INDEX notifications.deliveries_scheduled RENAME TO deliveries_before_scheduled;
ALTER INDEX notifications.deliveries_endpoint_status RENAME TO deliveries_before_endpoint_status;
ALTER INDEX notifications.deliveries_queued RENAME TO deliveries_before_queued;
ALTER INDEX notifications.deliveries_in_line RENAME TO deliveries_before_in_line;
DROP TRIGGER joined_line ON notifications.deliveries_before;
DROP TRIGGER moved_in_line ON notifications.deliveries_before;

CREATE TABLE notifications.deliveries (LIKE notifications.deliveries_before INCLUDING DEFAULTS INCLUDING COMMENTS) PARTITION BY RANGE (event_id);
ALTER TABLE notifications.deliveries
    ADD PRIMARY KEY (merchant_id, livemode, event_id, endpoint_id),
    ADD CONSTRAINT deliveries_status_check CHECK (status IN ('pending', 'delivered', 'dead'));
COMMENT ON TABLE notifications.deliveries IS 'pending → delivered, or → dead when the schedule is exhausted; a dead one can be made pending again';
CREATE INDEX deliveries_due ON notifications.deliveries (merchant_id, livemode, endpoint_id, next_attempt_at) WHERE status = 'pending';
CREATE INDEX deliveries_dead ON notifications.deliveries (merchant_id, livemode, event_id) WHERE status = 'dead';
CREATE INDEX deliveries_scheduled ON notifications.deliveries (next_attempt_at) WHERE status = 'pending' AND NOT queued;
CREATE INDEX deliveries_endpoint_status ON notifications.deliveries (merchant_id, livemode, endpoint_id, status, event_id);
CREATE INDEX deliveries_queued ON notifications.deliveries (merchant_id, livemode, endpoint_id, next_attempt_at) WHERE status = 'pending' AND queued;
CREATE INDEX deliveries_in_line
    ON notifications.deliveries ((CASE WHEN status = 'pending' THEN line END), held, object_version, place, event_id)
    WHERE CASE WHEN status = 'pending' THEN line END IS NOT NULL;

ALTER TABLE notifications.delivery_attempts RENAME TO delivery_attempts_before;
ALTER TABLE notifications.delivery_attempts_before RENAME CONSTRAINT delivery_attempts_pkey TO delivery_attempts_before_pkey;
CREATE TABLE notifications.delivery_attempts (LIKE notifications.delivery_attempts_before INCLUDING DEFAULTS INCLUDING COMMENTS)
    PARTITION BY RANGE (event_id);
ALTER TABLE notifications.delivery_attempts ADD PRIMARY KEY (merchant_id, livemode, event_id, endpoint_id, attempt);
COMMENT ON TABLE notifications.delivery_attempts IS 'append-only; what was sent and heard is in the log, for as long as that is kept';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON notifications.delivery_attempts
    FOR EACH STATEMENT EXECUTE FUNCTION payments.refuse_change();

DO $$
DECLARE
    each notifications.partitions;
BEGIN
    FOR each IN SELECT * FROM notifications.partitions WHERE name LIKE '%\_before' LOOP
        EXECUTE format('ALTER TABLE notifications.%I ATTACH PARTITION notifications.%I FOR VALUES FROM (MINVALUE) TO (%L)', each.of_table, each.name,
            notifications.first_id_from('evt', each.ends_at));
        EXECUTE format('ALTER TABLE notifications.%I DROP CONSTRAINT before_partitions', each.name);
    END LOOP;
END
$$;
CREATE TABLE notifications.deliveries_default PARTITION OF notifications.deliveries DEFAULT;
CREATE TABLE notifications.delivery_attempts_default PARTITION OF notifications.delivery_attempts DEFAULT;
CREATE TRIGGER joined_line AFTER INSERT ON notifications.deliveries
    FOR EACH ROW WHEN (NEW.line IS NOT NULL) EXECUTE FUNCTION notifications.note_turn();
CREATE TRIGGER moved_in_line AFTER UPDATE OF status ON notifications.deliveries
    FOR EACH ROW WHEN (NEW.line IS NOT NULL AND NEW.status <> OLD.status) EXECUTE FUNCTION notifications.note_turn();

GRANT SELECT, INSERT, UPDATE ON notifications.deliveries TO tap_notification_service;
GRANT SELECT, INSERT ON notifications.delivery_attempts TO tap_notification_service;
DO $$
BEGIN
    PERFORM notifications.make_partitions(now());
END
$$;
