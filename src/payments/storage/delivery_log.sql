-- columns: of an entry as a list shows it
id, event_id, endpoint_id, attempt, attempted_at, duration_ms, status_code, error, status, exchange;

-- page: entries in a range of ids, which is one of time, so that only its partitions are looked into
SELECT {columns}, true AS matches FROM notifications.delivery_log
WHERE merchant_id = $1 AND livemode = $2 AND id > $3 AND id < $4 {filters}
ORDER BY id {order} LIMIT $5;

-- find: one entry
SELECT {columns} FROM notifications.delivery_log WHERE merchant_id = $1 AND livemode = $2 AND id = $3;

-- keep_partitions: make those that will be needed soon, and drop those whose time is over; returns how many that were
SELECT notifications.keep_partitions();
