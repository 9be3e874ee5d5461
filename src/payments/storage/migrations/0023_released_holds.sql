-- A charge that was made without a payment intent has no other way to give up its hold than a refund of all of it, though nothing was captured.
CREATE OR REPLACE FUNCTION payments.check_refunds() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    captured bigint;
    held     bigint;
BEGIN
    IF NEW.document ->> 'releases' = 'true' THEN
        SELECT amount_captured, amount INTO captured, held FROM payments.charges
        WHERE merchant_id = NEW.merchant_id AND livemode = NEW.livemode AND id = NEW.charge FOR NO KEY UPDATE;
        IF NOT FOUND OR captured > 0 OR held < (
            SELECT sum(amount) FROM payments.refunds
            WHERE charge = NEW.charge AND (merchant_id, livemode) IS NOT DISTINCT FROM (NEW.merchant_id, NEW.livemode)
                AND status IN ('pending', 'requires_action', 'succeeded')
        ) THEN
            RAISE EXCEPTION 'refund % would release more of % than is held', NEW.id, NEW.charge USING ERRCODE = 'check_violation';
        END IF;
    ELSIF NOT payments.check_returned(NEW.merchant_id, NEW.livemode, NEW.charge) THEN
        RAISE EXCEPTION 'refund % would return more of % than was captured', NEW.id, NEW.charge USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
