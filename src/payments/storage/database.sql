-- time: the database's own, unix seconds, at the moment that it is asked
SELECT extract(epoch FROM clock_timestamp())::double precision;

-- is_writable: neither a standby, as the old writer is after a failover, nor told to refuse writes
SELECT NOT (pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean);
