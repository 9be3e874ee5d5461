-- charge_of: the charge of an order that an acquirer knows by our reference
SELECT c.document FROM payments.attempts a
JOIN payments.charges c ON c.merchant_id = a.merchant_id AND c.livemode = a.livemode AND c.id = a.document ->> 'charge'
WHERE a.merchant_id = $1 AND a.livemode = $2 AND a.id = $3;

-- of_case: the dispute that an acquirer knows under a name
SELECT document FROM payments.disputes WHERE merchant_id = $1 AND livemode = $2 AND acquirer_case = $3;

-- past_due: disputes that nobody answered in time; in sandboxes that are ahead of the real time, by theirs
(SELECT id, document FROM payments.disputes WHERE answer_by <= $1 ORDER BY answer_by LIMIT $2)
UNION ALL
(SELECT d.id, d.document FROM payments.merchants m CROSS JOIN LATERAL (
    SELECT id, document FROM payments.disputes
    WHERE merchant_id = m.id AND NOT livemode AND answer_by > $1 AND answer_by <= $1 + m.test_ahead_seconds
    ORDER BY answer_by LIMIT $2
) d WHERE m.test_ahead_seconds > 0 LIMIT $2);

-- send: have the answer handed to the acquirer
UPDATE payments.disputes SET send_at = $4 WHERE merchant_id = $1 AND livemode = $2 AND id = $3;

-- take_to_send: answers that are to be handed over, each to one taker; and again after a while, unless it says that it was
UPDATE payments.disputes SET send_at = $1 + $2 WHERE (merchant_id, livemode, id) IN (
    SELECT merchant_id, livemode, id FROM payments.disputes WHERE send_at <= $1 ORDER BY send_at LIMIT $3 FOR UPDATE SKIP LOCKED)
RETURNING id, document;

-- sent: the acquirer has it
UPDATE payments.disputes SET send_at = NULL WHERE merchant_id = $1 AND livemode = $2 AND id = $3;
