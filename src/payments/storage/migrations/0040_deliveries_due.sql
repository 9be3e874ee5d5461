-- What is due is found in its endpoint's queue (deliveries_queued), and what an endpoint's other statements look for by deliveries_endpoint_status. Nothing has
-- read this index since there is a queue, and each delivery wrote it twice. The code before this one does without it as well.
DROP INDEX notifications.deliveries_due;
