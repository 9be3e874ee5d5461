-- Disputes, and what acquirers tell of their own accord.

CREATE TABLE payments.disputes (
    merchant_id    bigint NOT NULL,
    livemode       boolean NOT NULL,
    id             payments.object_id NOT NULL,
    created        bigint NOT NULL,
    version        integer NOT NULL,
    status         text NOT NULL CHECK (status IN ('warning_needs_response', 'warning_under_review', 'warning_closed',
                                                   'needs_response', 'under_review', 'won', 'lost')),
    charge         payments.object_id NOT NULL,
    payment_intent payments.object_id NOT NULL,
    amount         bigint NOT NULL CHECK (amount > 0),
    currency       text NOT NULL,
    acquirer_case  text COLLATE "C" NOT NULL,
    answer_by      bigint CHECK ((answer_by IS NOT NULL) = (status IN ('needs_response', 'warning_needs_response'))),
    send_at        bigint,
    document       json NOT NULL,
    PRIMARY KEY (merchant_id, livemode, id),
    CONSTRAINT one_dispute_per_case UNIQUE (merchant_id, livemode, acquirer_case)
);
CREATE INDEX disputes_charge ON payments.disputes (merchant_id, livemode, charge, id);
CREATE INDEX disputes_payment_intent ON payments.disputes (merchant_id, livemode, payment_intent, id);
CREATE INDEX disputes_of_charge ON payments.disputes (charge);
CREATE INDEX disputes_answer_by ON payments.disputes (answer_by) WHERE answer_by IS NOT NULL;
CREATE INDEX disputes_send_at ON payments.disputes (send_at) WHERE send_at IS NOT NULL;
COMMENT ON COLUMN payments.disputes.answer_by IS 'until when the merchant may answer; null when nobody waits for an answer';
COMMENT ON COLUMN payments.disputes.send_at IS 'when the answer is handed to the acquirer, again if need be; null when that is done, or there is none';

-- A dispute that came to its end stays there.
CREATE FUNCTION payments.keep_dispute_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'dispute % has ended', OLD.id USING ERRCODE = 'check_violation';
END
$$;
CREATE TRIGGER ended BEFORE UPDATE ON payments.disputes FOR EACH ROW
    WHEN (OLD.status IN ('won', 'lost', 'warning_closed') AND NEW.status <> OLD.status) EXECUTE FUNCTION payments.keep_dispute_ended();

-- What went back to the cardholder of a charge: the refunds that count, and what is withheld or lost in disputes. The charge is locked, so that two that come
-- at once are seen by one another. By the charge alone, as the indexes are: a plan that was made while there were few can't read all of the merchant's.
CREATE FUNCTION payments.check_returned(of_merchant bigint, of_mode boolean, of_charge text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    captured bigint;
    returned bigint;
BEGIN
    SELECT amount_captured INTO captured FROM payments.charges
    WHERE merchant_id = of_merchant AND livemode = of_mode AND id = of_charge FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    SELECT coalesce(sum(amount), 0) INTO returned FROM payments.refunds
    WHERE charge = of_charge AND (merchant_id, livemode) IS NOT DISTINCT FROM (of_merchant, of_mode) AND status IN ('pending', 'requires_action', 'succeeded');
    RETURN captured >= returned + (
        SELECT coalesce(sum(amount), 0) FROM payments.disputes
        WHERE charge = of_charge AND (merchant_id, livemode) IS NOT DISTINCT FROM (of_merchant, of_mode) AND status IN ('needs_response', 'under_review', 'lost'));
END
$$;
CREATE OR REPLACE FUNCTION payments.check_refunds() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT payments.check_returned(NEW.merchant_id, NEW.livemode, NEW.charge) THEN
        RAISE EXCEPTION 'refund % would return more of % than was captured', NEW.id, NEW.charge USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE FUNCTION payments.check_disputes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT payments.check_returned(NEW.merchant_id, NEW.livemode, NEW.charge) THEN
        RAISE EXCEPTION 'dispute % would return more of % than was captured', NEW.id, NEW.charge USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER disputed_is_captured AFTER INSERT ON payments.disputes
    FOR EACH ROW WHEN (NEW.status IN ('needs_response', 'under_review', 'lost')) EXECUTE FUNCTION payments.check_disputes();

-- What acquirers and banks told, each once; whatever follows from it is booked in the transaction that says so here.
CREATE TABLE payments.notices (
    source    text COLLATE "C" NOT NULL,
    reference text COLLATE "C" NOT NULL,
    received  bigint NOT NULL,
    look_at   bigint,
    tries     integer NOT NULL DEFAULT 0,
    result    text,
    document  json NOT NULL,
    PRIMARY KEY (source, reference),
    CHECK ((look_at IS NULL) = (result IS NOT NULL))
);
CREATE INDEX notices_look_at ON payments.notices (look_at) WHERE look_at IS NOT NULL;
COMMENT ON COLUMN payments.notices.look_at IS 'when it is looked at next: what it is about may not be there yet; null when it is done with';

-- What the sandbox's cardholders and banks have to say, in time.
CREATE TABLE simulator.notices (
    reference text COLLATE "C" PRIMARY KEY,
    due_at    bigint NOT NULL,
    heard     boolean NOT NULL DEFAULT false,
    document  json NOT NULL
);
CREATE INDEX notices_due_at ON simulator.notices (due_at, reference) WHERE NOT heard;

GRANT SELECT ON payments.disputes TO tap_payment_api;
GRANT SELECT, INSERT, UPDATE (version, status, answer_by, send_at, document) ON payments.disputes TO tap_transaction_processor;
GRANT SELECT, INSERT, UPDATE (look_at, tries, result) ON payments.notices TO tap_transaction_processor;
GRANT SELECT, INSERT, UPDATE (heard) ON simulator.notices TO tap_transaction_processor;

ALTER TABLE payments.merchants
    ADD COLUMN fee_dispute_usd_cents integer NOT NULL DEFAULT 1500 CHECK (fee_dispute_usd_cents BETWEEN 0 AND 100000);

-- Last, since payments write it: more types. Not validated, which would read all of it: each row was checked against fewer.
ALTER TABLE payments.balance_transactions DROP CONSTRAINT balance_transactions_type_check;
ALTER TABLE payments.balance_transactions ADD CONSTRAINT balance_transactions_type_check
    CHECK (type IN ('charge', 'refund', 'refund_failure', 'adjustment', 'payout', 'payout_cancel', 'payout_failure')) NOT VALID;
