-- The log of deliveries: what was sent and heard in each attempt. And what is purged by age in whole partitions, of which this is the first.

CREATE TABLE notifications.partitioned (
    of_table      text PRIMARY KEY,
    id_prefix     text NOT NULL,
    width         interval NOT NULL,
    ahead         interval NOT NULL,
    kept          interval NOT NULL,
    outstanding   text NOT NULL DEFAULT 'false',
    settings      text NOT NULL DEFAULT ''
);
COMMENT ON TABLE notifications.partitioned IS 'tables whose partitions are ranges of ids, which are ranges of time';
COMMENT ON COLUMN notifications.partitioned.ahead IS 'for so long partitions are made in advance';
COMMENT ON COLUMN notifications.partitioned.kept IS 'a partition is dropped when its end is so long ago';
COMMENT ON COLUMN notifications.partitioned.outstanding IS 'a condition on its rows: a partition with such a row stays, however old it is';

CREATE TABLE notifications.partitions (
    of_table text NOT NULL REFERENCES notifications.partitioned,
    name     text NOT NULL,
    ends_at  timestamptz NOT NULL,
    PRIMARY KEY (of_table, name)
);

-- The start of the ids that are made from a time on, as `runtime/ids.py` has it: every earlier id sorts before it.
CREATE FUNCTION notifications.first_id_from(prefix text, at timestamptz) RETURNS text LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    digits text := '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
    left_over bigint := floor(extract(epoch FROM at) * 1000);
    written text := '';
BEGIN
    FOR position IN 1..8 LOOP
        written := substr(digits, (left_over % 62)::integer + 1, 1) || written;
        left_over := left_over / 62;
    END LOOP;
    RETURN prefix || '_' || written;
END
$$;

-- Partitions are made for what comes, and attached: that keeps nobody waiting who writes to the others. What came before its partition was there lies in the
-- default one, which is nearly always empty, and is moved.
CREATE FUNCTION notifications.make_partitions(at timestamptz) RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    rule notifications.partitioned;
    begins timestamptz;
    column_name text;
    child text;
    made integer := 0;
BEGIN
    FOR rule IN SELECT * FROM notifications.partitioned ORDER BY of_table LOOP
        column_name := CASE WHEN rule.id_prefix = 'evt' THEN 'event_id' ELSE 'id' END;
        LOOP
            SELECT coalesce(max(p.ends_at), date_trunc('day', at, 'UTC')) INTO begins FROM notifications.partitions p WHERE p.of_table = rule.of_table;
            EXIT WHEN begins >= at + rule.ahead;
            child := rule.of_table || '_' || to_char(begins AT TIME ZONE 'UTC', 'YYYYMMDD');
            EXECUTE format('CREATE TABLE notifications.%I (LIKE notifications.%I INCLUDING ALL)', child, rule.of_table);
            IF rule.settings <> '' THEN
                EXECUTE format('ALTER TABLE notifications.%I SET (%s)', child, rule.settings);
            END IF;
            EXECUTE format('WITH moved AS (DELETE FROM notifications.%I WHERE %I >= %L AND %I < %L RETURNING *) INSERT INTO notifications.%I SELECT * FROM moved',
                rule.of_table || '_default', column_name, notifications.first_id_from(rule.id_prefix, begins),
                column_name, notifications.first_id_from(rule.id_prefix, begins + rule.width), child);
            EXECUTE format('ALTER TABLE notifications.%I ATTACH PARTITION notifications.%I FOR VALUES FROM (%L) TO (%L)', rule.of_table, child,
                notifications.first_id_from(rule.id_prefix, begins), notifications.first_id_from(rule.id_prefix, begins + rule.width));
            INSERT INTO notifications.partitions (of_table, name, ends_at) VALUES (rule.of_table, child, begins + rule.width);
            made := made + 1;
        END LOOP;
    END LOOP;
    RETURN made;
END
$$;

-- A partition is dropped whole, unless something in it is outstanding. That is looked for when nobody can write any more, so that nothing becomes so meanwhile.
-- Of the default partition so many old rows are deleted. Where others are in the way it is left for the next time.
CREATE FUNCTION notifications.drop_partitions(at timestamptz) RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    rule notifications.partitioned;
    old notifications.partitions;
    column_name text;
    stays boolean;
    dropped integer := 0;
BEGIN
    FOR rule IN SELECT * FROM notifications.partitioned ORDER BY of_table LOOP
        column_name := CASE WHEN rule.id_prefix = 'evt' THEN 'event_id' ELSE 'id' END;
        BEGIN
            EXECUTE format('DELETE FROM notifications.%I WHERE ctid = ANY (ARRAY(SELECT ctid FROM notifications.%I WHERE %I < %L AND NOT (%s) LIMIT 1000))',
                rule.of_table || '_default', rule.of_table || '_default', column_name, notifications.first_id_from(rule.id_prefix, at - rule.kept),
                rule.outstanding);
            FOR old IN SELECT * FROM notifications.partitions p WHERE p.of_table = rule.of_table AND p.ends_at <= at - rule.kept ORDER BY p.ends_at LOOP
                EXECUTE format('SELECT EXISTS (SELECT FROM notifications.%I WHERE %s)', old.name, rule.outstanding) INTO stays;
                CONTINUE WHEN stays;
                EXECUTE format('LOCK TABLE ONLY notifications.%I IN ACCESS EXCLUSIVE MODE', rule.of_table);
                EXECUTE format('SELECT EXISTS (SELECT FROM notifications.%I WHERE %s)', old.name, rule.outstanding) INTO stays;
                CONTINUE WHEN stays;
                EXECUTE format('DROP TABLE notifications.%I', old.name);
                DELETE FROM notifications.partitions p WHERE p.of_table = old.of_table AND p.name = old.name;
                dropped := dropped + 1;
            END LOOP;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            NULL; -- it is as old in an hour
        END;
    END LOOP;
    RETURN dropped;
END
$$;

-- What the service may have done: by the database's own time, so that nobody can have dropped what isn't old. One copy at a time; the others have nothing to do.
-- Whoever waits for the table's lock holds up those who come after, for half a second at most.
CREATE FUNCTION notifications.keep_partitions() RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '500ms' AS $$
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('notifications.partitions', 0)) THEN
        RETURN 0;
    END IF;
    RETURN notifications.make_partitions(now()) + notifications.drop_partitions(now());
END
$$;
REVOKE EXECUTE ON FUNCTION notifications.make_partitions, notifications.drop_partitions, notifications.keep_partitions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION notifications.keep_partitions TO tap_notification_service;

CREATE TABLE notifications.delivery_log (
    merchant_id  bigint NOT NULL,
    livemode     boolean NOT NULL,
    id           payments.object_id NOT NULL,
    event_id     payments.object_id NOT NULL,
    endpoint_id  payments.object_id NOT NULL,
    attempt      integer NOT NULL,
    attempted_at timestamptz NOT NULL,
    duration_ms  integer NOT NULL,
    status_code  smallint,
    error        text,
    status       text NOT NULL,
    exchange     json NOT NULL,
    PRIMARY KEY (merchant_id, livemode, id)
) PARTITION BY RANGE (id);
COMMENT ON TABLE notifications.delivery_log IS 'what was sent and heard in each attempt, kept for thirty days; secrets and card numbers are masked before they get here';
COMMENT ON COLUMN notifications.delivery_log.status IS 'of the delivery, after this attempt';
CREATE INDEX delivery_log_of_endpoint ON notifications.delivery_log (merchant_id, livemode, endpoint_id, id);
CREATE INDEX delivery_log_of_event ON notifications.delivery_log (merchant_id, livemode, event_id, id);
CREATE TABLE notifications.delivery_log_default PARTITION OF notifications.delivery_log DEFAULT;
GRANT SELECT, INSERT ON notifications.delivery_log TO tap_notification_service;

INSERT INTO notifications.partitioned (of_table, id_prefix, width, ahead, kept) VALUES ('delivery_log', 'wha', '1 day', '3 days', '30 days');
DO $$
BEGIN
    PERFORM notifications.make_partitions(now());
END
$$;
