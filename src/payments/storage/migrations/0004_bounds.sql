-- What can never be, whatever code comes: more returned than was captured, more captured than was authorized.

-- A hold that the previous code cancels is written as returned, with nothing captured; that is all it may write beyond the bound.
-- Not validated: a row that is wrong already is found by `tap verify`, and must not keep the mend from coming in.
ALTER TABLE payments.charges ADD CONSTRAINT refunded_is_captured
    CHECK (amount_refunded <= amount_captured OR (amount_captured = 0 AND amount_refunded = amount)) NOT VALID;

-- The refunds of a charge, those on their way included, against what was captured of it. The charge is locked, so that two that come at once are seen by one another.
CREATE FUNCTION payments.check_refunds() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    captured bigint;
BEGIN
    SELECT amount_captured INTO captured FROM payments.charges
    WHERE merchant_id = NEW.merchant_id AND livemode = NEW.livemode AND id = NEW.charge FOR NO KEY UPDATE;
    IF NOT FOUND OR captured < (
        SELECT sum(amount) FROM payments.refunds
        WHERE merchant_id = NEW.merchant_id AND livemode = NEW.livemode AND charge = NEW.charge AND status IN ('pending', 'requires_action', 'succeeded')
    ) THEN
        RAISE EXCEPTION 'refund % would return more of % than was captured', NEW.id, NEW.charge USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER refunded_is_captured AFTER INSERT ON payments.refunds
    FOR EACH ROW WHEN (NEW.status IN ('pending', 'requires_action', 'succeeded')) EXECUTE FUNCTION payments.check_refunds();
-- Only what counts from now on: a refund that was counted already is settled without its charge, which somebody may have in hand who waits for the
-- accounts that this settlement has.
CREATE CONSTRAINT TRIGGER refunded_is_captured_later AFTER UPDATE OF status, amount, charge ON payments.refunds
    FOR EACH ROW WHEN (NEW.status IN ('pending', 'requires_action', 'succeeded')
        AND (OLD.status NOT IN ('pending', 'requires_action', 'succeeded') OR (NEW.amount, NEW.charge) IS DISTINCT FROM (OLD.amount, OLD.charge)))
    EXECUTE FUNCTION payments.check_refunds();

-- A refund counts on its charge from the moment that it is recorded.
GRANT UPDATE (amount_refunded) ON payments.charges TO tap_payment_api;
