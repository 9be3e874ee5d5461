-- Deliveries and their attempts are about to become partitioned tables, of which the present ones are the first partition: up to a day that hasn't come yet.
-- That they end there is said first, and proven beside writers (0039_partitions_2_proof), so that nobody waits for it while the tables are exchanged.

INSERT INTO notifications.partitioned (of_table, id_prefix, width, ahead, kept, outstanding, settings) VALUES
    ('deliveries', 'evt', '14 days', '7 days', '30 days', 'status = ''pending''',
        'fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 10000'),
    ('delivery_attempts', 'evt', '14 days', '7 days', '30 days', 'false', '');
INSERT INTO notifications.partitions (of_table, name, ends_at)
SELECT of_table, of_table || '_before', date_trunc('day', now(), 'UTC') + interval '3 days' FROM notifications.partitioned WHERE id_prefix = 'evt';

DO $$
DECLARE
    bound text := notifications.first_id_from('evt', date_trunc('day', now(), 'UTC') + interval '3 days');
BEGIN
    EXECUTE format('ALTER TABLE notifications.deliveries ADD CONSTRAINT before_partitions CHECK (event_id < %L) NOT VALID', bound);
    EXECUTE format('ALTER TABLE notifications.delivery_attempts ADD CONSTRAINT before_partitions CHECK (event_id < %L) NOT VALID', bound);
END
$$;
