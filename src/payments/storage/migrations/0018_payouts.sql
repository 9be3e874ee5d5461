-- Payouts, and the bank accounts that they go to.

CREATE TABLE payments.bank_accounts (
    merchant_id          bigint NOT NULL,
    livemode             boolean NOT NULL,
    id                   payments.object_id NOT NULL,
    created              bigint NOT NULL,
    version              integer NOT NULL,
    currency             text NOT NULL,
    default_for_currency boolean NOT NULL,
    deleted              boolean NOT NULL CHECK (NOT (deleted AND default_for_currency)),
    sealed_number        text NOT NULL,
    document             json NOT NULL,
    PRIMARY KEY (merchant_id, livemode, id)
);
CREATE UNIQUE INDEX bank_accounts_default ON payments.bank_accounts (merchant_id, livemode, currency) WHERE default_for_currency;
COMMENT ON COLUMN payments.bank_accounts.sealed_number IS 'AES-256-GCM under the envelope key, base64; only transaction-processor can read it';

CREATE TABLE payments.payouts (
    merchant_id  bigint NOT NULL,
    livemode     boolean NOT NULL,
    id           payments.object_id NOT NULL,
    created      bigint NOT NULL,
    version      integer NOT NULL,
    status       text NOT NULL CHECK (status IN ('pending', 'in_transit', 'paid', 'failed', 'canceled')),
    amount       bigint NOT NULL CHECK (amount <> 0),
    currency     text NOT NULL,
    destination  payments.object_id NOT NULL,
    arrival_date bigint NOT NULL,
    send_at      bigint,
    document     json NOT NULL,
    PRIMARY KEY (merchant_id, livemode, id),
    FOREIGN KEY (merchant_id, livemode, destination) REFERENCES payments.bank_accounts
);
CREATE INDEX payouts_destination ON payments.payouts (merchant_id, livemode, destination, id);
CREATE INDEX payouts_status ON payments.payouts (merchant_id, livemode, status, id);
CREATE INDEX payouts_send_at ON payments.payouts (send_at) WHERE send_at IS NOT NULL AND status IN ('pending', 'in_transit');
COMMENT ON COLUMN payments.payouts.send_at IS 'when it is handed to the bank, again if need be; null when that is done';

-- Nobody is paid what they don't have: whoever pays out holds the balance until the end of the transaction, when this is asked.
CREATE FUNCTION payments.check_payout() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM ledger.accounts a JOIN ledger.balances b ON b.account_id = a.id
        WHERE a.holder = 'merchant:' || NEW.merchant_id AND a.livemode = NEW.livemode AND a.kind = 'available' AND a.currency = NEW.currency
            AND b.credits_posted < b.debits_posted
    ) THEN
        RAISE EXCEPTION 'payout % is of more than is available', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER paid_out_is_available AFTER INSERT ON payments.payouts DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.amount > 0) EXECUTE FUNCTION payments.check_payout();

CREATE FUNCTION payments.keep_payout_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'payout % has ended', OLD.id USING ERRCODE = 'check_violation';
END
$$;
CREATE TRIGGER ended BEFORE UPDATE ON payments.payouts FOR EACH ROW
    WHEN (NEW.status <> OLD.status AND (OLD.status IN ('failed', 'canceled') OR (OLD.status = 'paid' AND NEW.status <> 'failed')))
    EXECUTE FUNCTION payments.keep_payout_ended();

GRANT SELECT (merchant_id, livemode, id, created, version, currency, default_for_currency, deleted, document) ON payments.bank_accounts TO tap_payment_api;
GRANT INSERT, UPDATE (version, currency, default_for_currency, deleted, document) ON payments.bank_accounts TO tap_payment_api;
GRANT SELECT, UPDATE (version, currency, default_for_currency, deleted, document) ON payments.bank_accounts TO tap_transaction_processor;
GRANT SELECT ON payments.payouts TO tap_payment_api;
GRANT SELECT, INSERT, UPDATE (version, status, send_at, document) ON payments.payouts TO tap_transaction_processor;

-- When a merchant is paid out without asking. The table is small.
ALTER TABLE payments.merchants
    ADD COLUMN payout_interval text NOT NULL DEFAULT 'manual' CHECK (payout_interval IN ('manual', 'daily', 'weekly', 'monthly')),
    ADD COLUMN payout_weekly_anchor text
        CHECK (payout_weekly_anchor IN ('monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday')),
    ADD COLUMN payout_monthly_anchor integer CHECK (payout_monthly_anchor BETWEEN 1 AND 31),
    ADD COLUMN payout_delay_days integer NOT NULL DEFAULT 2 CHECK (payout_delay_days BETWEEN 0 AND 30),
    ADD CONSTRAINT payout_anchor CHECK ((payout_weekly_anchor IS NOT NULL) = (payout_interval = 'weekly')
        AND (payout_monthly_anchor IS NOT NULL) = (payout_interval = 'monthly'));

-- The days on which that was done, each once.
CREATE TABLE payments.paydays (
    merchant_id bigint NOT NULL,
    livemode    boolean NOT NULL,
    currency    text NOT NULL,
    day         date NOT NULL,
    payout      payments.object_id NOT NULL,
    PRIMARY KEY (merchant_id, livemode, currency, day)
);
GRANT SELECT, INSERT ON payments.paydays TO tap_transaction_processor;
