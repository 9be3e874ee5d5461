-- transactional: false
-- The refunds of a charge are looked for each time one is made. By the keys that lead with the merchant a plan that was made while there were few reads all of the
-- merchant's, and is kept; so the look-up has an index of its own, and offers the others nothing to begin with.

DROP INDEX CONCURRENTLY IF EXISTS payments.refunds_of_charge;
CREATE INDEX CONCURRENTLY refunds_of_charge ON payments.refunds (charge);

CREATE OR REPLACE FUNCTION payments.check_refunds() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    captured bigint;
BEGIN
    SELECT amount_captured INTO captured FROM payments.charges
    WHERE merchant_id = NEW.merchant_id AND livemode = NEW.livemode AND id = NEW.charge FOR NO KEY UPDATE;
    IF NOT FOUND OR captured < (
        SELECT sum(amount) FROM payments.refunds
        WHERE charge = NEW.charge AND (merchant_id, livemode) IS NOT DISTINCT FROM (NEW.merchant_id, NEW.livemode)
            AND status IN ('pending', 'requires_action', 'succeeded')
    ) THEN
        RAISE EXCEPTION 'refund % would return more of % than was captured', NEW.id, NEW.charge USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
