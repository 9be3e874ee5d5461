-- transactional: false
-- Reads both tables beside writers.
ALTER TABLE notifications.deliveries VALIDATE CONSTRAINT before_partitions;
ALTER TABLE notifications.delivery_attempts VALIDATE CONSTRAINT before_partitions;
