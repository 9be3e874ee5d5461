-- modes: in which modes a merchant's buyers get receipts
SELECT livemode FROM notifications.webhook_endpoints WHERE merchant_id = $1 AND receipts AND enabled;

-- forget: what waits for it is buried when its turn comes, as for any endpoint that is gone
DELETE FROM notifications.webhook_endpoints WHERE merchant_id = $1 AND livemode = $2 AND receipts;

-- keep: the destination, unless there is one that is enabled; one that was disabled is enabled
WITH disabled AS (
    UPDATE notifications.webhook_endpoints SET enabled = true, version = version + 1,
        document = jsonb_set(document::jsonb - 'enabled', '{version}', to_jsonb(version + 1))::json
    WHERE merchant_id = $1 AND livemode = $2 AND receipts AND NOT enabled
)
INSERT INTO notifications.webhook_endpoints (merchant_id, livemode, id, created, version, enabled, enabled_events, receipts, document)
VALUES ($1, $2, $3, $4, $5, true, $6, true, $7) ON CONFLICT (merchant_id, livemode) WHERE receipts DO NOTHING;
