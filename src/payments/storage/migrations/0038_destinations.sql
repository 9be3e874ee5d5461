-- transactional: false
-- Events by queue and by mail: an endpoint that is no URL has no signing secret; receipts go to buyers who want them.

-- Statement by statement, each of which can be run again. The code before this one fails an attempt to such an endpoint, and tries it again later.
ALTER TABLE notifications.webhook_endpoints
    ADD COLUMN IF NOT EXISTS receipts boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS told_failed_at timestamptz,
    ALTER COLUMN sealed_secret DROP NOT NULL;
COMMENT ON COLUMN notifications.webhook_endpoints.receipts IS 'it stands for the mailboxes of the buyers: what is about a payment without an address is not fanned out to it';
COMMENT ON COLUMN notifications.webhook_endpoints.told_failed_at IS 'when an event last told that a delivery to it was given up';

DROP INDEX CONCURRENTLY IF EXISTS notifications.receipts_once;
CREATE UNIQUE INDEX CONCURRENTLY receipts_once ON notifications.webhook_endpoints (merchant_id, livemode) WHERE receipts;

CREATE TABLE IF NOT EXISTS notifications.unsubscribed (
    merchant_id bigint NOT NULL,
    livemode    boolean NOT NULL,
    address     bytea NOT NULL CHECK (octet_length(address) = 32),
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (merchant_id, livemode, address)
);
COMMENT ON TABLE notifications.unsubscribed IS 'buyers who want no mail of a merchant; of their address only its SHA-256';
GRANT INSERT ON notifications.unsubscribed TO tap_payment_api;
GRANT SELECT ON notifications.unsubscribed TO tap_notification_service;

-- What an endpoint is, its id says. Of no other kind may notification-service write an event: it says which endpoint, and what is told is what is stored.
CREATE OR REPLACE FUNCTION notifications.tell_disabled(of_merchant bigint, of_livemode boolean, endpoint text, event text, at bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH told AS (
        INSERT INTO payments.events (merchant_id, livemode, id, created, type, object_type, object_id, object_version, snapshot)
        SELECT w.merchant_id, w.livemode, event, at, k.kind || '.disabled', k.kind, w.id, w.version, w.document
        FROM notifications.webhook_endpoints w
        CROSS JOIN LATERAL (SELECT CASE WHEN w.id LIKE 'ed\_%' THEN 'notification.destination' ELSE 'webhook_endpoint' END) k (kind)
        WHERE w.merchant_id = of_merchant AND w.livemode = of_livemode AND w.id = endpoint AND NOT w.enabled
        RETURNING merchant_id, livemode, id, type
    )
    INSERT INTO notifications.outbox (merchant_id, livemode, event_id, type) SELECT merchant_id, livemode, id, type FROM told
$$;

-- That a delivery was given up is told once a day for each endpoint, however many there were.
CREATE OR REPLACE FUNCTION notifications.tell_failed(of_merchant bigint, of_livemode boolean, endpoint text, event text, at bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH due AS (
        UPDATE notifications.webhook_endpoints w SET told_failed_at = now()
        WHERE w.merchant_id = of_merchant AND w.livemode = of_livemode AND w.id = endpoint AND w.enabled AND NOT w.receipts
            AND coalesce(w.told_failed_at < now() - interval '1 day', true)
        RETURNING w.merchant_id, w.livemode, w.id, w.version, w.document
    ), told AS (
        INSERT INTO payments.events (merchant_id, livemode, id, created, type, object_type, object_id, object_version, snapshot)
        SELECT d.merchant_id, d.livemode, event, at, k.kind || '.delivery_failed', k.kind, d.id, d.version, d.document
        FROM due d
        CROSS JOIN LATERAL (SELECT CASE WHEN d.id LIKE 'ed\_%' THEN 'notification.destination' ELSE 'webhook_endpoint' END) k (kind)
        RETURNING merchant_id, livemode, id, type
    )
    INSERT INTO notifications.outbox (merchant_id, livemode, event_id, type) SELECT merchant_id, livemode, id, type FROM told
$$;
REVOKE EXECUTE ON FUNCTION notifications.tell_failed FROM PUBLIC;
GRANT EXECUTE ON FUNCTION notifications.tell_failed TO tap_notification_service;

-- The language of a buyer, and nothing else of them: that of the page that they paid on, or the first that their customer prefers.
CREATE OR REPLACE FUNCTION notifications.language_of(of_merchant bigint, of_livemode boolean, intent text, customer text) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(
        (SELECT nullif(s.document ->> 'locale', 'auto') FROM payments.checkout_sessions s
         WHERE s.merchant_id = of_merchant AND s.livemode = of_livemode AND s.payment_intent = intent ORDER BY s.id DESC LIMIT 1),
        (SELECT c.document -> 'preferred_locales' ->> 0 FROM payments.customers c
         WHERE c.merchant_id = of_merchant AND c.livemode = of_livemode AND c.id = customer))
$$;
REVOKE EXECUTE ON FUNCTION notifications.language_of FROM PUBLIC;
GRANT EXECUTE ON FUNCTION notifications.language_of TO tap_notification_service;
