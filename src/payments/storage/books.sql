-- unbalanced_currencies: per mode, currency and phase the debits of all accounts equal their credits
SELECT a.livemode, a.currency, sum(b.debits_posted) AS debits, sum(b.credits_posted) AS credits, sum(b.debits_held) AS debits_held,
    sum(b.credits_held) AS credits_held
FROM ledger.balances b JOIN ledger.accounts a ON a.id = b.account_id
GROUP BY a.livemode, a.currency
HAVING sum(b.debits_posted) <> sum(b.credits_posted) OR sum(b.debits_held) <> sum(b.credits_held);

-- wrong_balances: an account's balance is the sum of its entries
WITH sums AS (
    SELECT account_id,
        coalesce(sum(amount) FILTER (WHERE side = 'debit' AND phase = 'posted'), 0) AS debits_posted,
        coalesce(sum(amount) FILTER (WHERE side = 'credit' AND phase = 'posted'), 0) AS credits_posted,
        coalesce(sum(CASE phase WHEN 'held' THEN amount WHEN 'released' THEN -amount END) FILTER (WHERE side = 'debit'), 0) AS debits_held,
        coalesce(sum(CASE phase WHEN 'held' THEN amount WHEN 'released' THEN -amount END) FILTER (WHERE side = 'credit'), 0) AS credits_held
    FROM ledger.entries GROUP BY account_id
)
SELECT a.holder, a.kind, a.currency, a.livemode
FROM ledger.accounts a LEFT JOIN ledger.balances b ON b.account_id = a.id LEFT JOIN sums s ON s.account_id = a.id
WHERE (b.debits_posted, b.credits_posted, b.debits_held, b.credits_held) IS DISTINCT FROM
    (coalesce(s.debits_posted, 0), coalesce(s.credits_posted, 0), coalesce(s.debits_held, 0), coalesce(s.credits_held, 0));

-- foreign_transfers: a transfer stays in one currency and one mode
SELECT t.posting, t.kind FROM ledger.transfers t
JOIN ledger.accounts d ON d.id = t.debit_account JOIN ledger.accounts c ON c.id = t.credit_account
WHERE d.currency <> t.currency OR c.currency <> t.currency OR d.livemode <> c.livemode;

-- wrong_changes: each balance transaction has exactly the transfers that its type posts, of the right amounts
WITH posted AS (
    SELECT posting,
        count(*) AS transfers,
        coalesce(sum(amount) FILTER (WHERE kind = 'capture'), 0) AS captured,
        coalesce(sum(amount) FILTER (WHERE kind = 'fee'), 0) AS fee,
        coalesce(sum(amount) FILTER (WHERE kind = 'refund'), 0) AS refunded,
        coalesce(sum(amount) FILTER (WHERE kind = 'refund_reversal'), 0) AS reversed,
        coalesce(sum(amount) FILTER (WHERE kind = 'availability'), 0) AS made_available,
        coalesce(sum(amount) FILTER (WHERE kind = 'dispute'), 0) AS withheld,
        coalesce(sum(amount) FILTER (WHERE kind = 'dispute_fee'), 0) AS dispute_fee,
        coalesce(sum(amount) FILTER (WHERE kind = 'dispute_loss'), 0) AS lost,
        coalesce(sum(amount) FILTER (WHERE kind = 'dispute_reversal'), 0) AS given_back,
        coalesce(sum(amount) FILTER (WHERE kind = 'payout'), 0) AS paid_out,
        coalesce(sum(amount) FILTER (WHERE kind = 'payout_reversal'), 0) AS came_back
    FROM ledger.transfers WHERE phase = 'posted' /* slice: AND posting = ANY ($3::text[]) */ GROUP BY posting
)
SELECT b.id, b.type FROM payments.balance_transactions b LEFT JOIN posted p ON p.posting = b.id
WHERE /* slice: (b.merchant_id, b.livemode, b.id) IN (SELECT * FROM unnest($1::bigint[], $2::boolean[], $3::text[])) AND */ CASE b.type
    WHEN 'charge' THEN
        (coalesce(p.captured, 0), coalesce(p.fee, 0), coalesce(p.refunded, 0), coalesce(p.reversed, 0)) <> (b.amount, b.fee, 0, 0)
        OR coalesce(p.made_available, 0) <> CASE WHEN b.released_at IS NULL THEN 0 ELSE abs(b.amount - b.fee) END
    WHEN 'refund' THEN (coalesce(p.refunded, 0), coalesce(p.transfers, 0)) <> (-b.amount, 1)
    WHEN 'refund_failure' THEN (coalesce(p.reversed, 0), coalesce(p.transfers, 0)) <> (b.amount, 1)
    WHEN 'adjustment' THEN CASE WHEN b.amount < 0
        THEN (coalesce(p.withheld, 0), coalesce(p.dispute_fee, 0)) <> (-b.amount, b.fee)
            OR coalesce(p.lost, 0) NOT IN (0, -b.amount) OR p.transfers <> 1 + (b.fee > 0)::integer + (p.lost > 0)::integer
        ELSE (coalesce(p.given_back, 0), coalesce(p.transfers, 0)) <> (b.amount, 1) END
    WHEN 'payout' THEN (coalesce(p.paid_out, 0) - coalesce(p.came_back, 0), coalesce(p.transfers, 0)) <> (-b.amount, 1)
    ELSE (coalesce(p.came_back, 0), coalesce(p.transfers, 0)) <> (b.amount, 1)
END;

-- unexplained_postings: every posting belongs to a balance transaction, for holds to an attempt, and for settlements to a line or a difference
SELECT t.posting, t.kind FROM ledger.transfers t
WHERE t.phase = 'posted' AND left(t.posting, 4) NOT IN ('stl_', 'sfe_', 'sdf_')
    AND NOT EXISTS (SELECT FROM payments.balance_transactions b WHERE b.id = t.posting)
UNION ALL
SELECT t.posting, t.kind FROM ledger.transfers t
WHERE t.phase <> 'posted' AND NOT EXISTS (SELECT FROM payments.attempts a WHERE a.id = t.posting)
UNION ALL
SELECT t.posting, t.kind FROM ledger.transfers t
WHERE t.posting >= 'sfe_' AND t.posting < 'stl`' AND left(t.posting, 4) IN ('stl_', 'sfe_')
    AND NOT EXISTS (SELECT FROM settlement.lines l WHERE l.id::text = substr(t.posting, 5))
UNION ALL
SELECT t.posting, t.kind FROM ledger.transfers t
WHERE t.posting >= 'sdf_' AND t.posting < 'sdf`' AND NOT EXISTS (SELECT FROM settlement.differences d WHERE d.id::text = substr(t.posting, 5));

-- wrong_charges: what a charge says was captured is what its balance transactions say, and what it says was returned is what its refunds say, those on their way included
WITH captured AS (
    SELECT merchant_id, livemode, source AS charge, sum(amount) AS amount FROM payments.balance_transactions WHERE type = 'charge'
        /* slice: AND (merchant_id, livemode, source) IN (SELECT * FROM unnest($1::bigint[], $2::boolean[], $3::text[])) */ GROUP BY 1, 2, 3
), returned AS (
    SELECT r.merchant_id, r.livemode, r.charge, sum(r.amount) AS amount
    FROM payments.refunds r
    WHERE /* slice: (r.merchant_id, r.livemode, r.charge) IN (SELECT * FROM unnest($1::bigint[], $2::boolean[], $3::text[])) AND */ r.status IN ('pending', 'requires_action', 'succeeded') AND NOT EXISTS (
        -- The previous version's code kept the intent locked instead, and counted a refund when it was approved.
        SELECT FROM payments.payment_intents i JOIN payments.attempts a ON a.merchant_id = i.merchant_id AND a.livemode = i.livemode AND a.id = i.open_attempt
        WHERE i.merchant_id = r.merchant_id AND i.livemode = r.livemode AND i.id = r.payment_intent AND a.document ->> 'refund' = r.id AND r.status = 'pending')
    GROUP BY 1, 2, 3
)
SELECT c.id FROM payments.charges c
LEFT JOIN captured k ON k.merchant_id = c.merchant_id AND k.livemode = c.livemode AND k.charge = c.id
LEFT JOIN returned r ON r.merchant_id = c.merchant_id AND r.livemode = c.livemode AND r.charge = c.id
WHERE /* slice: (c.merchant_id, c.livemode, c.id) IN (SELECT * FROM unnest($1::bigint[], $2::boolean[], $3::text[])) AND */ (c.amount_captured <> coalesce(k.amount, 0)
    -- A hold that the previous version's code canceled says that it was returned.
    OR (c.amount_refunded <> coalesce(r.amount, 0) AND NOT (c.amount_captured = 0 AND c.amount_refunded = c.amount)));

-- over_captured: captured and capturable together are no more than what was authorized
SELECT c.id FROM payments.charges c WHERE c.amount_captured > c.amount
UNION ALL
SELECT i.id FROM payments.payment_intents i WHERE i.amount_received + i.amount_capturable > i.amount
UNION ALL
SELECT c.id FROM payments.charges c JOIN payments.payment_intents i ON i.merchant_id = c.merchant_id AND i.livemode = c.livemode AND i.id = c.payment_intent
WHERE c.status = 'succeeded' AND i.amount_received + i.amount_capturable > c.amount;

-- over_refunded: what was returned of a charge, or is on its way back, is no more than what was captured of it
SELECT c.id FROM payments.charges c WHERE c.amount_refunded > c.amount_captured AND NOT (c.amount_captured = 0 AND c.amount_refunded = c.amount)
UNION ALL
SELECT c.id FROM payments.charges c JOIN payments.refunds r ON r.merchant_id = c.merchant_id AND r.livemode = c.livemode AND r.charge = c.id
WHERE r.status IN ('pending', 'requires_action', 'succeeded') AND NOT coalesce((r.document ->> 'releases')::boolean AND c.amount_captured = 0, false)
GROUP BY c.merchant_id, c.livemode, c.id HAVING sum(r.amount) > c.amount_captured;

-- wrong_columns: what SQL decides by is what the object says, which is read once a row
SELECT t.id FROM payments.payment_intents t CROSS JOIN LATERAL json_to_record(t.document) AS d (
    version integer, status text, amount bigint, currency text, amount_received bigint, amount_capturable bigint, open_attempt text, customer text,
    capture_before bigint)
WHERE (t.version, t.status, t.amount, t.currency, t.amount_received, t.amount_capturable) <>
        (coalesce(d.version, 1), d.status, d.amount, d.currency, coalesce(d.amount_received, 0), coalesce(d.amount_capturable, 0))
    OR (t.open_attempt, t.customer, t.capture_before) IS DISTINCT FROM (d.open_attempt, d.customer, d.capture_before)
UNION ALL
SELECT t.id FROM payments.charges t CROSS JOIN LATERAL json_to_record(t.document) AS d (
    version integer, status text, amount bigint, currency text, payment_intent text, amount_captured bigint, amount_refunded bigint, customer text)
WHERE (t.version, t.status, t.amount, t.currency, t.payment_intent, t.amount_captured, t.amount_refunded) <>
        (coalesce(d.version, 1), d.status, d.amount, d.currency, d.payment_intent, coalesce(d.amount_captured, 0), coalesce(d.amount_refunded, 0))
    OR t.customer IS DISTINCT FROM d.customer
UNION ALL
SELECT t.id FROM payments.refunds t CROSS JOIN LATERAL json_to_record(t.document) AS d (
    version integer, status text, amount bigint, currency text, charge text, payment_intent text)
WHERE (t.version, t.status, t.amount, t.currency, t.charge, t.payment_intent) <>
    (coalesce(d.version, 1), d.status, d.amount, d.currency, d.charge, d.payment_intent)
UNION ALL
SELECT t.id FROM payments.disputes t CROSS JOIN LATERAL json_to_record(t.document) AS d (
    version integer, status text, amount bigint, currency text, charge text, payment_intent text, acquirer_case text, due_by bigint)
WHERE (t.version, t.status, t.amount, t.currency, t.charge, t.payment_intent, t.acquirer_case) <>
    (coalesce(d.version, 1), d.status, d.amount, d.currency, d.charge, d.payment_intent, d.acquirer_case)
    OR t.answer_by <> d.due_by
UNION ALL
SELECT t.id FROM payments.payouts t CROSS JOIN LATERAL json_to_record(t.document) AS d (
    version integer, status text, amount bigint, currency text, destination text, arrival_date bigint)
WHERE (t.version, t.status, t.amount, t.currency, t.destination, t.arrival_date) <>
    (coalesce(d.version, 1), d.status, d.amount, d.currency, d.destination, d.arrival_date)
UNION ALL
SELECT t.id FROM payments.bank_accounts t CROSS JOIN LATERAL json_to_record(t.document) AS d (
    version integer, currency text, default_for_currency boolean, deleted boolean)
WHERE (t.version, t.currency, t.default_for_currency, t.deleted) <>
    (coalesce(d.version, 1), d.currency, coalesce(d.default_for_currency, false), coalesce(d.deleted, false))
UNION ALL
SELECT t.id FROM payments.payment_methods t CROSS JOIN LATERAL json_to_record(t.document) AS d (version integer, customer text)
WHERE t.version <> coalesce(d.version, 1) OR t.customer IS DISTINCT FROM d.customer
UNION ALL
SELECT t.id FROM payments.customers t CROSS JOIN LATERAL json_to_record(t.document) AS d (version integer, deleted boolean, email text)
WHERE (t.version, t.deleted) <> (coalesce(d.version, 1), coalesce(d.deleted, false)) OR t.email IS DISTINCT FROM d.email
UNION ALL
SELECT t.id FROM payments.balance_transactions t CROSS JOIN LATERAL json_to_record(t.document) AS d (
    amount bigint, fee bigint, currency text, type text, source text, available_on bigint)
WHERE (t.amount, t.fee, t.currency, t.type, t.source, t.available_on) <>
    (d.amount, coalesce(d.fee, 0), d.currency, d.type, d.source, d.available_on);

-- forgotten_customers: no card belongs to a customer who was deleted
SELECT m.id, m.customer FROM payments.payment_methods m
JOIN payments.customers c ON c.merchant_id = m.merchant_id AND c.livemode = m.livemode AND c.id = m.customer
WHERE c.deleted;

-- wrong_intents: an intent's money is its charges' money
WITH charged AS (
    SELECT merchant_id, livemode, payment_intent, sum(amount_captured) AS received, count(*) FILTER (WHERE status = 'succeeded') AS paid
    FROM payments.charges GROUP BY 1, 2, 3
)
SELECT i.id, i.status FROM payments.payment_intents i
LEFT JOIN charged c ON c.merchant_id = i.merchant_id AND c.livemode = i.livemode AND c.payment_intent = i.id
WHERE i.amount_received <> coalesce(c.received, 0)
    OR (i.status = 'succeeded') <> (i.amount_received > 0 AND i.amount_capturable = 0 AND i.status <> 'canceled')
    OR coalesce(c.paid, 0) > 1;

-- wrong_holds: what an intent can still capture is what the ledger still holds for its charge
WITH held AS (
    SELECT a.merchant_id, a.livemode, a.payment_intent, sum(CASE t.phase WHEN 'held' THEN t.amount ELSE -t.amount END) AS amount
    FROM ledger.transfers t JOIN payments.attempts a ON a.id = t.posting
    WHERE t.phase <> 'posted' GROUP BY 1, 2, 3
)
SELECT i.id, i.status FROM payments.payment_intents i
LEFT JOIN held h ON h.merchant_id = i.merchant_id AND h.livemode = i.livemode AND h.payment_intent = i.id
WHERE i.amount_capturable <> coalesce(h.amount, 0);

-- wrong_refunds: a refund that succeeded or failed has the balance transactions of that; one that gave up a hold has none
SELECT r.id, r.status FROM payments.refunds r
LEFT JOIN LATERAL (
    SELECT count(*) FILTER (WHERE type = 'refund') AS returned, count(*) FILTER (WHERE type = 'refund_failure') AS undone
    FROM payments.balance_transactions b WHERE b.merchant_id = r.merchant_id AND b.livemode = r.livemode AND b.source = r.id
) b ON true
WHERE CASE r.status
    WHEN 'succeeded' THEN (b.returned, b.undone) <> (CASE WHEN (r.document ->> 'releases')::boolean THEN 0 ELSE 1 END, 0)
    WHEN 'failed' THEN b.returned <> b.undone OR b.returned > 1
    ELSE (b.returned, b.undone) <> (0, 0)
END;

-- wrong_disputes: a dispute has the balance transactions and the transfers of where it stands, and its charge says so
SELECT d.id, d.status FROM payments.disputes d
LEFT JOIN payments.charges c ON c.merchant_id = d.merchant_id AND c.livemode = d.livemode AND c.id = d.charge
LEFT JOIN LATERAL (
    SELECT count(*) FILTER (WHERE b.amount = -d.amount) AS withdrawn, count(*) FILTER (WHERE b.amount = d.amount) AS reinstated, count(*) AS changes,
        count(*) FILTER (WHERE EXISTS (SELECT FROM ledger.transfers t WHERE t.posting = b.id AND t.kind = 'dispute_loss')) AS lost
    FROM payments.balance_transactions b WHERE b.merchant_id = d.merchant_id AND b.livemode = d.livemode AND b.source = d.id
) b ON true
WHERE ARRAY[b.withdrawn, b.reinstated, b.changes, b.lost] <> CASE
        WHEN d.status IN ('needs_response', 'under_review') THEN ARRAY[1, 0, 1, 0]
        WHEN d.status = 'won' THEN ARRAY[1, 1, 2, 0]
        WHEN d.status = 'lost' THEN ARRAY[1, 0, 1, 1]
        ELSE ARRAY[0, 0, 0, 0] END::bigint[]
    OR c.id IS NULL
    OR (c.document ->> 'dispute') IS DISTINCT FROM d.id
    OR coalesce((c.document ->> 'disputed')::boolean, false) IS NOT TRUE
    OR coalesce((c.document ->> 'charged_back')::boolean, false) <> (d.status IN ('needs_response', 'under_review', 'lost'));

-- over_disputed: what went back of a charge, by refunds and by disputes, is no more than what was captured of it
SELECT c.id FROM payments.disputes d
JOIN payments.charges c ON c.merchant_id = d.merchant_id AND c.livemode = d.livemode AND c.id = d.charge
WHERE d.status IN ('needs_response', 'under_review', 'lost')
GROUP BY c.merchant_id, c.livemode, c.id HAVING sum(d.amount) + c.amount_refunded > c.amount_captured;

-- wrong_reserves: what is withheld of a merchant is what is disputed and not decided
WITH disputed AS (
    SELECT 'merchant:' || merchant_id AS holder, livemode, currency, sum(amount) AS amount FROM payments.disputes
    WHERE status IN ('needs_response', 'under_review') GROUP BY 1, 2, 3
), withheld AS (
    SELECT a.holder, a.livemode, a.currency, b.credits_posted - b.debits_posted AS amount
    FROM ledger.accounts a JOIN ledger.balances b ON b.account_id = a.id WHERE a.kind = 'reserved'
)
SELECT coalesce(d.holder, w.holder) AS holder, coalesce(d.currency, w.currency) AS currency
FROM disputed d FULL JOIN withheld w ON w.holder = d.holder AND w.livemode = d.livemode AND w.currency = d.currency
WHERE coalesce(d.amount, 0) <> coalesce(w.amount, 0);

-- wrong_payouts: a payout has the balance transactions of where it stands
SELECT o.id, o.status FROM payments.payouts o
LEFT JOIN LATERAL (
    SELECT count(*) FILTER (WHERE b.type = 'payout' AND b.amount = -o.amount) AS paid,
        count(*) FILTER (WHERE b.type = 'payout_cancel' AND b.amount = o.amount) AS canceled,
        count(*) FILTER (WHERE b.type = 'payout_failure' AND b.amount = o.amount) AS failed, count(*) AS changes
    FROM payments.balance_transactions b WHERE b.merchant_id = o.merchant_id AND b.livemode = o.livemode AND b.source = o.id
) b ON true
WHERE ARRAY[b.paid, b.canceled, b.failed, b.changes] <> CASE
        WHEN o.amount < 0 THEN CASE o.status WHEN 'paid' THEN ARRAY[1, 0, 0, 1] ELSE ARRAY[0, 0, 0, 0] END
        WHEN o.status = 'canceled' THEN ARRAY[1, 1, 0, 2]
        WHEN o.status = 'failed' THEN ARRAY[1, 0, 1, 2]
        ELSE ARRAY[1, 0, 0, 1] END::bigint[]
    OR (o.amount < 0 AND NOT EXISTS (
        SELECT FROM payments.payouts p WHERE p.merchant_id = o.merchant_id AND p.livemode = o.livemode AND p.id = o.document ->> 'original_payout'
            AND p.amount = -o.amount AND p.currency = o.currency
            AND (o.status IN ('failed', 'canceled') OR (p.status = 'paid' AND p.document ->> 'reversed_by' = o.id))));

-- wrong_paid_out: what a merchant was paid out is what the payouts say that didn't fail, without what was taken back
WITH payouts AS (
    SELECT 'merchant:' || merchant_id AS holder, livemode, currency, sum(amount) AS amount FROM payments.payouts
    WHERE status = 'paid' OR (amount > 0 AND status IN ('pending', 'in_transit')) GROUP BY 1, 2, 3
), booked AS (
    SELECT a.holder, a.livemode, a.currency, b.credits_posted - b.debits_posted AS amount
    FROM ledger.accounts a JOIN ledger.balances b ON b.account_id = a.id WHERE a.kind = 'paid_out'
)
SELECT coalesce(o.holder, b.holder) AS holder, coalesce(o.currency, b.currency) AS currency
FROM payouts o FULL JOIN booked b ON b.holder = o.holder AND b.livemode = o.livemode AND b.currency = o.currency
WHERE coalesce(o.amount, 0) <> coalesce(b.amount, 0);

-- wrong_sessions: a checkout session is complete when its intent was paid or held, and nobody paid for one that expired
SELECT s.id, s.status FROM payments.checkout_sessions s
LEFT JOIN payments.payment_intents i ON i.merchant_id = s.merchant_id AND i.livemode = s.livemode AND i.id = s.payment_intent
WHERE s.document ->> 'mode' = 'payment' AND CASE s.status
    WHEN 'complete' THEN coalesce(i.status NOT IN ('succeeded', 'requires_capture', 'canceled'), true)
    WHEN 'expired' THEN coalesce(i.amount_received + i.amount_capturable > 0, false)
    ELSE false
END;

-- events_without_objects: every event is about something that exists
SELECT e.id, e.type FROM payments.events e
WHERE NOT CASE e.object_type
    WHEN 'payment_intent' THEN EXISTS (SELECT FROM payments.payment_intents o WHERE (o.merchant_id, o.livemode, o.id) = (e.merchant_id, e.livemode, e.object_id))
    WHEN 'charge' THEN EXISTS (SELECT FROM payments.charges o WHERE (o.merchant_id, o.livemode, o.id) = (e.merchant_id, e.livemode, e.object_id))
    WHEN 'refund' THEN EXISTS (SELECT FROM payments.refunds o WHERE (o.merchant_id, o.livemode, o.id) = (e.merchant_id, e.livemode, e.object_id))
    WHEN 'payment_method' THEN EXISTS (SELECT FROM payments.payment_methods o WHERE (o.merchant_id, o.livemode, o.id) = (e.merchant_id, e.livemode, e.object_id))
    WHEN 'customer' THEN EXISTS (SELECT FROM payments.customers o WHERE (o.merchant_id, o.livemode, o.id) = (e.merchant_id, e.livemode, e.object_id))
    WHEN 'dispute' THEN EXISTS (SELECT FROM payments.disputes o WHERE (o.merchant_id, o.livemode, o.id) = (e.merchant_id, e.livemode, e.object_id))
    WHEN 'payout' THEN EXISTS (SELECT FROM payments.payouts o WHERE (o.merchant_id, o.livemode, o.id) = (e.merchant_id, e.livemode, e.object_id))
    WHEN 'bank_account' THEN EXISTS (SELECT FROM payments.bank_accounts o WHERE (o.merchant_id, o.livemode, o.id) = (e.merchant_id, e.livemode, e.object_id))
    WHEN 'card' THEN EXISTS (SELECT FROM payments.payment_methods o WHERE (o.merchant_id, o.livemode, o.id) = (e.merchant_id, e.livemode, e.object_id))
    WHEN 'setup_intent' THEN EXISTS (SELECT FROM payments.setup_intents o WHERE (o.merchant_id, o.livemode, o.id) = (e.merchant_id, e.livemode, e.object_id))
    WHEN 'test_helpers.test_clock' THEN EXISTS (
        SELECT FROM payments.test_clocks o WHERE (o.merchant_id, o.livemode, o.id) = (e.merchant_id, e.livemode, e.object_id))
    WHEN 'product' THEN EXISTS (SELECT FROM payments.products o WHERE (o.merchant_id, o.livemode, o.id) = (e.merchant_id, e.livemode, e.object_id))
    WHEN 'price' THEN EXISTS (SELECT FROM payments.prices o WHERE (o.merchant_id, o.livemode, o.id) = (e.merchant_id, e.livemode, e.object_id))
    WHEN 'checkout.session' THEN EXISTS (SELECT FROM payments.checkout_sessions o WHERE (o.merchant_id, o.livemode, o.id) = (e.merchant_id, e.livemode, e.object_id))
    WHEN 'payment_link' THEN EXISTS (SELECT FROM payments.payment_links o WHERE (o.merchant_id, o.livemode, o.id) = (e.merchant_id, e.livemode, e.object_id))
    WHEN 'webhook_endpoint' THEN true -- it may have been deleted since, and leaves nothing
    WHEN 'notification.destination' THEN true -- likewise
    ELSE false
END;

-- events_of_hidden_intents: an intent that stands behind a charge has no events
SELECT id, type FROM payments.events WHERE object_type = 'payment_intent' AND object_id LIKE 'chi\_%';

-- differing_events: an object has one content at each of its versions, whichever event tells of it
SELECT object_id, object_version FROM payments.events
GROUP BY merchant_id, livemode, object_type, object_id, object_version HAVING min(snapshot::text) <> max(snapshot::text);

-- double_approvals: the sandbox acquirer approved no order twice, none that we don't know of, and just those that we hold for approved
SELECT j.reference FROM simulator.journal j LEFT JOIN payments.attempts a ON a.id = j.reference
WHERE j.approvals > 1 OR a.id IS NULL
    OR (a.closed_at IS NOT NULL AND (j.approvals = 1) <> (a.outcome ->> 'type' = 'approved'));

-- foreign_receivables: what is posted with an acquirer is about charges of its own
WITH booked AS (
    SELECT t.posting, t.kind, substr(a.holder, 10) AS acquirer
    FROM ledger.transfers t JOIN ledger.accounts a ON a.id = t.debit_account WHERE a.holder LIKE 'acquirer:%'
    UNION ALL
    SELECT t.posting, t.kind, substr(a.holder, 10)
    FROM ledger.transfers t JOIN ledger.accounts a ON a.id = t.credit_account WHERE a.holder LIKE 'acquirer:%'
), explained AS (
    SELECT a.id AS posting, a.merchant_id, a.livemode, a.document ->> 'charge' AS charge FROM payments.attempts a
    UNION ALL
    SELECT b.id, b.merchant_id, b.livemode, coalesce(r.charge, d.charge, b.source) FROM payments.balance_transactions b
    LEFT JOIN payments.refunds r ON r.merchant_id = b.merchant_id AND r.livemode = b.livemode AND r.id = b.source
    LEFT JOIN payments.disputes d ON d.merchant_id = b.merchant_id AND d.livemode = b.livemode AND d.id = b.source
)
SELECT k.posting, k.kind FROM booked k JOIN explained e ON e.posting = k.posting
JOIN payments.charges c ON c.merchant_id = e.merchant_id AND c.livemode = e.livemode AND c.id = e.charge
WHERE k.acquirer <> coalesce(c.document ->> 'acquirer', 'simulator');

-- wrong_settlements: a line that settles something is about it, and each line has exactly its transfers, on its acquirer's accounts
WITH posted AS (
    SELECT substr(t.posting, 5)::bigint AS line, count(*) AS transfers, min(d.holder) AS holder, max(d.livemode::integer) = 1 AS livemode,
        max(c.holder) AS other_holder,
        sum(CASE WHEN t.kind <> 'settlement' THEN 0 WHEN (d.kind, c.kind) = ('settled', 'receivable') THEN t.amount
            WHEN (d.kind, c.kind) = ('receivable', 'settled') THEN -t.amount END) AS settled
    FROM ledger.transfers t JOIN ledger.accounts d ON d.id = t.debit_account JOIN ledger.accounts c ON c.id = t.credit_account
    WHERE t.posting >= 'stl_' AND t.posting < 'stl`' GROUP BY 1
)
SELECT l.id AS line, l.reference FROM settlement.lines l
LEFT JOIN posted p ON p.line = l.id
LEFT JOIN payments.balance_transactions b ON b.merchant_id = l.merchant_id AND b.livemode = l.livemode AND b.id = l.balance_transaction
WHERE (coalesce(p.settled, 0), coalesce(p.transfers, 0)) <> (coalesce(l.ours, 0), (l.ours IS NOT NULL)::integer)
    OR (p.line IS NOT NULL AND (p.holder, p.other_holder, p.livemode) <> ('acquirer:' || l.acquirer, 'acquirer:' || l.acquirer, l.livemode))
    OR (l.class = 'matched' AND l.amount <> l.ours)
    OR (l.balance_transaction IS NOT NULL AND (b.id IS NULL OR (b.amount, b.currency) <> (coalesce(l.ours, l.amount), l.currency)));

-- wrong_differences: each line that isn't matched is a difference, and each has been put into suspense, and taken out once it was resolved
WITH posted AS (
    SELECT substr(t.posting, 5)::bigint AS difference, count(*) AS transfers,
        sum(CASE WHEN t.kind <> 'suspense' THEN 0 WHEN c.kind = 'suspense' THEN t.amount WHEN d.kind = 'suspense' THEN -t.amount END) AS put,
        sum(CASE WHEN t.kind <> 'suspense_release' THEN 0 WHEN d.kind = 'suspense' THEN t.amount WHEN c.kind = 'suspense' THEN -t.amount END) AS taken,
        max(CASE WHEN t.kind = 'suspense' THEN CASE c.kind WHEN 'suspense' THEN d.kind ELSE c.kind END END) AS source,
        max(CASE WHEN t.kind = 'suspense_release' THEN CASE c.kind WHEN 'suspense' THEN d.kind ELSE c.kind END END) AS target
    FROM ledger.transfers t JOIN ledger.accounts d ON d.id = t.debit_account JOIN ledger.accounts c ON c.id = t.credit_account
    WHERE t.posting >= 'sdf_' AND t.posting < 'sdf`' GROUP BY 1
)
SELECT d.id AS difference, d.reference FROM settlement.differences d LEFT JOIN posted p ON p.difference = d.id
WHERE (coalesce(p.put, 0), coalesce(p.taken, 0), coalesce(p.transfers, 0)) <>
        (d.amount, CASE WHEN d.resolution IS NULL THEN 0 ELSE d.amount END, 1 + (d.resolution IS NOT NULL)::integer)
    OR p.source <> CASE d.class WHEN 'missing_there' THEN 'receivable' ELSE 'settled' END
    OR p.target <> CASE d.resolution WHEN 'explained' THEN 'receivable' WHEN 'paid' THEN 'settled' ELSE 'losses' END
UNION ALL
SELECT NULL, l.reference FROM settlement.lines l LEFT JOIN settlement.differences d ON d.line = l.id
WHERE (l.class = 'matched') <> (d.id IS NULL)
    OR (d.amount, d.currency, d.class, d.acquirer, d.livemode) <> (l.amount - coalesce(l.ours, 0), l.currency, l.class, l.acquirer, l.livemode);

-- wrong_suspense: what is in suspense is what isn't explained
WITH open AS (
    SELECT livemode, currency, sum(amount) AS amount FROM settlement.differences WHERE resolution IS NULL GROUP BY 1, 2
), suspended AS (
    SELECT a.livemode, a.currency, b.credits_posted - b.debits_posted AS amount
    FROM ledger.accounts a JOIN ledger.balances b ON b.account_id = a.id WHERE a.kind = 'suspense'
)
SELECT coalesce(o.currency, s.currency) AS currency, o.amount AS open, s.amount AS in_suspense
FROM open o FULL JOIN suspended s ON s.livemode = o.livemode AND s.currency = o.currency
WHERE coalesce(o.amount, 0) <> coalesce(s.amount, 0);

-- wrong_receivables: what an acquirer owes us is what it captured, less what was settled, and less what a file should have had and hadn't
WITH changes AS (
    SELECT a.holder, a.livemode, a.currency, CASE WHEN t.debit_account = a.id THEN t.amount ELSE -t.amount END AS amount
    FROM ledger.accounts a JOIN ledger.transfers t ON a.id IN (t.debit_account, t.credit_account)
    WHERE a.kind = 'receivable' AND t.phase = 'posted' AND t.kind NOT IN ('settlement', 'suspense', 'suspense_release')
    UNION ALL
    SELECT 'acquirer:' || acquirer, livemode, currency, -ours FROM settlement.lines WHERE ours IS NOT NULL
    UNION ALL
    SELECT 'acquirer:' || acquirer, livemode, currency, CASE class WHEN 'missing_there' THEN amount ELSE -amount END FROM settlement.differences
    WHERE (class = 'missing_there') <> (resolution IS NOT DISTINCT FROM 'explained')
), owed AS (
    SELECT holder, livemode, currency, sum(amount) AS amount FROM changes GROUP BY 1, 2, 3
), booked AS (
    SELECT a.holder, a.livemode, a.currency, b.debits_posted - b.credits_posted AS amount
    FROM ledger.accounts a JOIN ledger.balances b ON b.account_id = a.id WHERE a.kind = 'receivable'
)
SELECT coalesce(o.holder, b.holder) AS holder, coalesce(o.currency, b.currency) AS currency
FROM owed o FULL JOIN booked b ON b.holder = o.holder AND b.livemode = o.livemode AND b.currency = o.currency
WHERE coalesce(o.amount, 0) <> coalesce(b.amount, 0);

-- wrong_settled: what an acquirer paid us, with what it kept, is what its files say, and what is known to have been paid beside them
WITH paid AS (
    SELECT acquirer, livemode, currency, amount, fee FROM settlement.lines
    UNION ALL
    SELECT acquirer, livemode, currency, -amount, 0 FROM settlement.differences WHERE resolution = 'paid'
), said AS (
    SELECT 'acquirer:' || acquirer AS holder, livemode, currency, sum(amount - fee) AS settled, sum(fee) AS kept FROM paid GROUP BY 1, 2, 3
), booked AS (
    SELECT a.holder, a.livemode, a.currency, coalesce(sum(b.debits_posted - b.credits_posted) FILTER (WHERE a.kind = 'settled'), 0) AS settled,
        coalesce(sum(b.debits_posted - b.credits_posted) FILTER (WHERE a.kind = 'costs'), 0) AS kept
    FROM ledger.accounts a JOIN ledger.balances b ON b.account_id = a.id WHERE a.kind IN ('settled', 'costs') GROUP BY 1, 2, 3
)
SELECT coalesce(s.holder, b.holder) AS holder, coalesce(s.currency, b.currency) AS currency
FROM said s FULL JOIN booked b ON b.holder = s.holder AND b.livemode = s.livemode AND b.currency = s.currency
WHERE (coalesce(s.settled, 0), coalesce(s.kept, 0)) <> (coalesce(b.settled, 0), coalesce(b.kept, 0));

-- early_funds: what waits for its settlement isn't available before that
SELECT b.id FROM payments.balance_transactions b
WHERE b.released_at IS NOT NULL AND b.document ->> 'by_settlement' = 'true'
    AND NOT EXISTS (
        SELECT FROM settlement.lines l LEFT JOIN settlement.differences d ON d.line = l.id
        WHERE l.balance_transaction = b.id AND (d.id IS NULL OR d.resolution IS NOT NULL))
    AND NOT EXISTS (
        SELECT FROM settlement.differences d
        WHERE d.class = 'missing_there' AND d.balance_transaction = b.id AND d.resolution IN ('paid', 'written_off'));

-- slice_of_wrong_changes: the balance transactions that are looked at next; what stands in "slice" comments above is part of the query for these alone
SELECT merchant_id, livemode, id FROM payments.balance_transactions WHERE (merchant_id, livemode, id) > ($1, $2, $3)
ORDER BY merchant_id, livemode, id LIMIT $4;

-- slice_of_wrong_charges: the charges
SELECT merchant_id, livemode, id FROM payments.charges WHERE (merchant_id, livemode, id) > ($1, $2, $3) ORDER BY merchant_id, livemode, id LIMIT $4;

-- first_findings: the first rows that a check finds, and how many there are in all
SELECT found.*, count(*) OVER () AS found_in_all FROM (
{check}
) AS found LIMIT {limit};

-- counts: how much was checked
SELECT (SELECT count(*) FROM ledger.transfers) AS transfers, (SELECT count(*) FROM payments.charges) AS charges,
    (SELECT count(*) FROM payments.refunds) AS refunds, (SELECT count(*) FROM payments.events) AS events,
    (SELECT count(*) FROM payments.attempts WHERE closed_at IS NULL) AS open_attempts,
    coalesce((SELECT total FROM ledger.seals ORDER BY number DESC LIMIT 1), 0) AS sealed_transfers;

-- account_balances: posted and held, each account on its normal side
SELECT a.holder, a.kind, a.currency, a.livemode,
    CASE a.normal_side WHEN 'debit' THEN b.debits_posted - b.credits_posted ELSE b.credits_posted - b.debits_posted END AS balance,
    CASE a.normal_side WHEN 'debit' THEN b.debits_held - b.credits_held ELSE b.credits_held - b.debits_held END AS held
FROM ledger.accounts a JOIN ledger.balances b ON b.account_id = a.id
ORDER BY a.livemode, a.currency, a.holder, a.kind;
