-- language_of: of the page that was paid on, or of the customer; the service that sends mail may read neither
SELECT notifications.language_of($1, $2, $3, $4);

-- is_unsubscribed: whether an address wants no mail of a merchant
SELECT true FROM notifications.unsubscribed WHERE merchant_id = $1 AND livemode = $2 AND address = $3;

-- unsubscribe: an address wants none
INSERT INTO notifications.unsubscribed (merchant_id, livemode, address) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING;
