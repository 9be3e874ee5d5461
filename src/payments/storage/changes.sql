-- update_intent: only from the version that was read, and not waiting for who has it in hand; what is with the acquirer stays there
UPDATE payments.payment_intents
SET version = $5, status = $6, amount = $7, currency = $8, customer = $9, document = $10
WHERE merchant_id = $1 AND livemode = $2 AND id = (
    SELECT id FROM payments.payment_intents
    WHERE merchant_id = $1 AND livemode = $2 AND id = $3 AND version = $4 AND open_attempt IS NOT DISTINCT FROM $11
    FOR NO KEY UPDATE SKIP LOCKED)
RETURNING true;

-- insert_payment_method: with its sealed number
INSERT INTO payments.payment_methods (merchant_id, livemode, id, created, version, customer, sealed_number, document)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- update_payment_method: only from the version that was read, and not waiting for who has it in hand
UPDATE payments.payment_methods SET version = $5, customer = $6, document = $7
WHERE merchant_id = $1 AND livemode = $2 AND id = (
    SELECT id FROM payments.payment_methods WHERE merchant_id = $1 AND livemode = $2 AND id = $3 AND version = $4 FOR NO KEY UPDATE SKIP LOCKED)
RETURNING true;

-- insert_customer: a new customer
INSERT INTO payments.customers (merchant_id, livemode, id, created, version, email, deleted, document) VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- update_customer: only from the version that was read, and not waiting for who has it in hand
UPDATE payments.customers SET version = $5, email = $6, deleted = $7, document = $8
WHERE merchant_id = $1 AND livemode = $2 AND id = (
    SELECT id FROM payments.customers WHERE merchant_id = $1 AND livemode = $2 AND id = $3 AND version = $4 FOR NO KEY UPDATE SKIP LOCKED)
RETURNING true;

-- update_refund: only from the version that was read, and not waiting for who has it in hand; what a merchant may change of a refund is in its document
UPDATE payments.refunds SET version = $5, document = $6
WHERE merchant_id = $1 AND livemode = $2 AND id = (
    SELECT id FROM payments.refunds WHERE merchant_id = $1 AND livemode = $2 AND id = $3 AND version = $4 FOR NO KEY UPDATE SKIP LOCKED)
RETURNING true;

-- update_charge: only from the version that was read, and not waiting for who has it in hand; what a merchant may change of a charge is in its document
UPDATE payments.charges SET version = $5, document = $6
WHERE merchant_id = $1 AND livemode = $2 AND id = (
    SELECT id FROM payments.charges WHERE merchant_id = $1 AND livemode = $2 AND id = $3 AND version = $4 FOR NO KEY UPDATE SKIP LOCKED)
RETURNING true;
