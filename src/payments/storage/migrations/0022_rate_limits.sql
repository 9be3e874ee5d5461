-- How fast each API key may write.

-- What keys have left of it, as the copies of the services told each other. Not logged: after a crash everybody begins anew, and no commit waits for it.
CREATE UNLOGGED TABLE payments.write_limits (
    key_id            payments.object_id PRIMARY KEY,
    writes_per_second double precision NOT NULL,
    saved_max         double precision NOT NULL,
    saved             double precision NOT NULL,
    wanted            bigint NOT NULL,
    told_at           timestamptz NOT NULL
) WITH (fillfactor = 50);
GRANT SELECT, INSERT, UPDATE ON payments.write_limits TO tap_payment_api, tap_transaction_processor, tap_notification_service;

-- Null: as fast as the deployment says. The table is small, and a column without a default is added at once.
ALTER TABLE payments.api_keys ADD COLUMN writes_per_second integer CHECK (writes_per_second BETWEEN 1 AND 1000000);
