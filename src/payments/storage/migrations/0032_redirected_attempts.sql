-- A payment that its acquirer can't be sent goes on to the next one: its attempt says so before it does. So it may after some declines.

GRANT UPDATE (document) ON payments.attempts TO tap_transaction_processor;

CREATE TABLE payments.resubmissions (
    merchant_id    bigint NOT NULL,
    livemode       boolean NOT NULL,
    fingerprint    text COLLATE "C" NOT NULL,
    resubmitted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempt        payments.object_id NOT NULL,
    PRIMARY KEY (merchant_id, livemode, fingerprint, resubmitted_at, attempt)
);
CREATE INDEX resubmissions_resubmitted_at ON payments.resubmissions (resubmitted_at);
COMMENT ON TABLE payments.resubmissions IS 'payments that went to another acquirer after a decline, by card: schemes bound how often that may be; for 30 days';

GRANT SELECT, INSERT, DELETE ON payments.resubmissions TO tap_transaction_processor;
