-- By itself: a transaction that locks two tables that a payment writes may wait for a payment that waits for it.
-- An intent that a merchant updates is told of by none. An update that begins or ends an attempt isn't looked at further: an event follows.
CREATE FUNCTION search.note_untold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO search.changes (merchant_id, livemode, kind, object_id) VALUES (NEW.merchant_id, NEW.livemode, 'payment_intent', NEW.id);
    RETURN NULL;
END
$$;
CREATE TRIGGER searched AFTER UPDATE ON payments.payment_intents
    FOR EACH ROW WHEN (OLD.open_attempt IS NULL AND NEW.open_attempt IS NULL) EXECUTE FUNCTION search.note_untold();
