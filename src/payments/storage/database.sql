-- time: the database's own, unix seconds, at the moment that it is asked
SELECT extract(epoch FROM clock_timestamp())::double precision;

-- look: its time, and whether it takes writes, at once: this is asked every second by everybody who has nothing to do
SELECT extract(epoch FROM clock_timestamp())::double precision AS time,
    NOT (pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean) AS is_writable;

-- is_writable: neither a standby, as the old writer is after a failover, nor told to refuse writes
SELECT NOT (pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean);
