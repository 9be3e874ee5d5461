-- Work that services do by the clock, as rows; and the numbers that ISO 8583 counts its messages by.

CREATE TABLE payments.jobs (
    service       text COLLATE "C" NOT NULL,
    name          text COLLATE "C" NOT NULL,
    every_seconds double precision NOT NULL CHECK (every_seconds > 0),
    shared        boolean NOT NULL,
    due_at        timestamptz NOT NULL DEFAULT now(),
    holder        text,
    lease_until   timestamptz,
    began_at      timestamptz,
    succeeded_at  timestamptz NOT NULL DEFAULT now(),
    seconds       double precision,
    rows_done     bigint,
    rows_put_off  bigint,
    failures      integer NOT NULL DEFAULT 0,
    failed_at     timestamptz,
    error_kind    text,
    error_place   text,
    place         json,
    PRIMARY KEY (service, name)
) WITH (fillfactor = 50);
COMMENT ON TABLE payments.jobs IS 'a job of a service, when it is due, who does it, and how it went; of a shared one several copies may do a part at once';
COMMENT ON COLUMN payments.jobs.lease_until IS 'until when nobody but the holder does it, unless it is shared';
COMMENT ON COLUMN payments.jobs.place IS 'how far a job has come that does a part at a time';

-- Each service its own: a row says when it is done next.
ALTER TABLE payments.jobs ENABLE ROW LEVEL SECURITY;
CREATE POLICY of_payment_api ON payments.jobs TO tap_payment_api USING (service = 'payment-api');
CREATE POLICY of_transaction_processor ON payments.jobs TO tap_transaction_processor USING (service = 'transaction-processor');
CREATE POLICY of_notification_service ON payments.jobs TO tap_notification_service USING (service = 'notification-service');
GRANT SELECT, INSERT, UPDATE, DELETE ON payments.jobs TO tap_payment_api, tap_transaction_processor, tap_notification_service;

CREATE TABLE payments.trace_counters (
    acquirer text COLLATE "C" PRIMARY KEY,
    last     integer NOT NULL DEFAULT 0 CHECK (last BETWEEN 0 AND 999999)
);
COMMENT ON TABLE payments.trace_counters IS 'the last system trace audit number that an acquirer was sent; after 999999 comes 1';

CREATE TABLE payments.trace_numbers (
    acquirer  text COLLATE "C" NOT NULL,
    reference text COLLATE "C" NOT NULL,
    number    integer NOT NULL CHECK (number BETWEEN 1 AND 999999),
    given_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (acquirer, reference)
);
CREATE INDEX trace_numbers_given_at ON payments.trace_numbers (given_at);
COMMENT ON TABLE payments.trace_numbers IS 'which number a message has, for as long as it may be repeated or reversed';

-- The previous version makes the numbers of our reference. While it may still repeat or reverse what this one sent, so does this one.
CREATE TABLE payments.trace_beginning AS
SELECT now() + CASE WHEN EXISTS (SELECT FROM payments.attempts) THEN interval '1 hour' ELSE interval '0' END AS begins_at;
COMMENT ON TABLE payments.trace_beginning IS 'from when on numbers are counted: when no copy of the version before this one works any more';

GRANT SELECT ON payments.trace_beginning TO tap_transaction_processor;
GRANT SELECT, INSERT, UPDATE (last) ON payments.trace_counters TO tap_transaction_processor;
GRANT SELECT, INSERT, DELETE ON payments.trace_numbers TO tap_transaction_processor;
