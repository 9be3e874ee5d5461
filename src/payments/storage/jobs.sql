-- declare: the jobs of a service, with what its newest code says of them; in one order, since copies start at once
INSERT INTO payments.jobs AS j (service, name, every_seconds, shared)
SELECT $1, d.name, d.every_seconds, d.shared FROM json_to_recordset($2::json) AS d (name text, every_seconds float8, shared boolean) ORDER BY d.name
ON CONFLICT (service, name) DO UPDATE
SET every_seconds = excluded.every_seconds, shared = excluded.shared, due_at = least(j.due_at, now() + excluded.every_seconds * interval '1 second')
WHERE (j.every_seconds, j.shared) IS DISTINCT FROM (excluded.every_seconds, excluded.shared);

-- forget: jobs that no code has done for a month
DELETE FROM payments.jobs WHERE service = $1 AND name <> ALL ($2::text[]) AND greatest(began_at, succeeded_at) < now() - interval '30 days';

-- turn: record what ended, keep what goes on, take what is due, and say when there is more; one statement, for whoever has nothing to do as well.
-- What is taken has nothing to do where its condition says so: it is recorded as done. What another copy is just taking is left to it. Rows that are waited for are locked
-- first, in one order, and all others only if nobody has them
-- What is due later, or leased for longer, than anything ever is was written before the database's clock was set back: it is due now
WITH own AS MATERIALIZED (
    SELECT j.name FROM payments.jobs j
    WHERE j.service = $1 AND j.name IN (
        SELECT name FROM json_to_recordset($4::json) AS e (name text) UNION ALL SELECT name FROM json_to_recordset($5::json) AS k (name text))
    ORDER BY j.name FOR UPDATE OF j
), ended AS (
    UPDATE payments.jobs j SET
        holder = CASE WHEN j.holder = $2 THEN NULL ELSE j.holder END,
        lease_until = CASE WHEN j.holder = $2 THEN NULL ELSE j.lease_until END,
        seconds = e.seconds, rows_done = e.rows_done, rows_put_off = e.rows_put_off,
        succeeded_at = CASE WHEN e.error_kind IS NULL THEN now() ELSE j.succeeded_at END,
        failures = CASE WHEN e.error_kind IS NULL THEN 0 ELSE j.failures + 1 END,
        failed_at = CASE WHEN e.error_kind IS NULL THEN j.failed_at ELSE now() END,
        error_kind = coalesce(e.error_kind, j.error_kind), error_place = coalesce(e.error_place, j.error_place),
        due_at = CASE WHEN e.due_seconds IS NULL
            THEN to_timestamp((floor(extract(epoch FROM now()) / j.every_seconds) + 1) * j.every_seconds)
            ELSE now() + e.due_seconds * interval '1 second' END
    FROM json_to_recordset($4::json) AS e (
        name text, seconds float8, rows_done bigint, rows_put_off bigint, error_kind text, error_place text, due_seconds float8)
    JOIN own o ON o.name = e.name
    WHERE j.service = $1 AND j.name = e.name AND (j.shared OR j.holder = $2)
    RETURNING j.name, j.due_at, j.failures, j.succeeded_at
), kept AS (
    UPDATE payments.jobs j SET
        lease_until = CASE WHEN j.shared THEN NULL ELSE now() + $3::float8 * interval '1 second' END,
        succeeded_at = CASE WHEN k.moved THEN now() ELSE j.succeeded_at END
    FROM json_to_recordset($5::json) AS k (name text, moved boolean) JOIN own o ON o.name = k.name
    WHERE j.service = $1 AND j.name = k.name AND j.holder = $2
    RETURNING j.name
), due AS MATERIALIZED (
    SELECT j.name, j.name = ANY ($8::text[]) OR CASE j.name {conditions} ELSE true END AS waits FROM payments.jobs j
    WHERE j.service = $1 AND j.name = ANY ($6::text[])
        AND (j.due_at <= now() OR j.due_at > now() + 2 * greatest(j.every_seconds, $3) * interval '1 second' OR j.name = ANY ($8::text[]))
        AND coalesce(j.lease_until <= now() OR j.lease_until > now() + 2 * $3::float8 * interval '1 second', true) AND (SELECT count(*) FROM own) >= 0
    ORDER BY j.name FOR UPDATE OF j SKIP LOCKED
), taken AS (
    UPDATE payments.jobs j SET
        began_at = now(),
        holder = CASE WHEN d.waits THEN $2 END,
        lease_until = CASE WHEN d.waits AND NOT j.shared THEN now() + $3::float8 * interval '1 second' END,
        succeeded_at = CASE WHEN d.waits THEN j.succeeded_at ELSE now() END,
        failures = CASE WHEN d.waits THEN j.failures ELSE 0 END,
        seconds = CASE WHEN d.waits THEN j.seconds ELSE 0 END,
        rows_done = CASE WHEN d.waits THEN j.rows_done ELSE 0 END,
        rows_put_off = CASE WHEN d.waits THEN j.rows_put_off ELSE 0 END,
        -- What is leased is due when its lease runs out.
        due_at = CASE WHEN d.waits AND NOT j.shared THEN least(j.due_at, now())
            ELSE to_timestamp((floor(extract(epoch FROM now()) / j.every_seconds) + 1) * j.every_seconds) END
    FROM due d WHERE j.service = $1 AND j.name = d.name
    RETURNING j.name, d.waits, j.due_at, j.failures, j.succeeded_at
)
SELECT j.name, coalesce(t.waits, false) AS taken, coalesce(t.failures, e.failures, j.failures) AS failures,
    extract(epoch FROM coalesce(t.due_at, e.due_at, greatest(j.due_at, j.lease_until)) - now())::float8 AS due_seconds,
    (extract(epoch FROM now() - coalesce(t.succeeded_at, e.succeeded_at, j.succeeded_at)) - j.every_seconds)::float8 AS late_seconds
FROM payments.jobs j LEFT JOIN taken t ON t.name = j.name LEFT JOIN ended e ON e.name = j.name
WHERE j.service = $1 AND j.name = ANY ($7::text[]);

-- give_back: whoever ends leaves what it has begun to the others, at once
UPDATE payments.jobs SET holder = NULL, lease_until = NULL, due_at = now() WHERE service = $1 AND holder = $2;

-- read_place: how far a job has come
SELECT place FROM payments.jobs WHERE service = $1 AND name = $2;

-- write_place: and now
UPDATE payments.jobs SET place = $3 WHERE service = $1 AND name = $2;

-- states: all jobs, for people; late is what should have succeeded again a while ago
SELECT j.service, j.name, j.every_seconds, j.shared, j.failures, j.rows_done, j.rows_put_off, j.seconds,
    CASE WHEN coalesce(j.lease_until > now(), false) OR (j.shared AND j.holder IS NOT NULL) THEN 'running'
        WHEN j.failures > 0 THEN 'failing'
        WHEN j.succeeded_at < now() - (2 * j.every_seconds + 60) * interval '1 second' THEN 'late'
        ELSE 'ok' END AS state,
    extract(epoch FROM j.began_at)::float8 AS last_run,
    CASE WHEN j.began_at IS NOT NULL THEN extract(epoch FROM j.succeeded_at)::float8 END AS last_success,
    extract(epoch FROM j.due_at)::float8 AS next_run,
    extract(epoch FROM j.failed_at)::float8 AS last_failure,
    j.error_kind || coalesce(' at ' || j.error_place, '') AS last_error
FROM payments.jobs j ORDER BY j.service, j.name;

-- waiting_attempts: whether a lease ran out
SELECT EXISTS (SELECT FROM payments.attempts WHERE closed_at IS NULL AND lease_until < now());

-- waiting_holds: whether a hold expired, or a sandbox is ahead of the real time
SELECT EXISTS (SELECT FROM payments.payment_intents WHERE capture_before < extract(epoch FROM now())::bigint AND open_attempt IS NULL)
    OR EXISTS (SELECT FROM payments.merchants WHERE test_ahead_seconds > 0);

-- waiting_funds: whether funds become available, or a sandbox is ahead
SELECT EXISTS (SELECT FROM payments.balance_transactions WHERE released_at IS NULL AND available_on <= extract(epoch FROM now())::bigint)
    OR EXISTS (SELECT FROM payments.merchants WHERE test_ahead_seconds > 0);

-- waiting_refunds: whether a refund failed of which the sandbox tells
SELECT EXISTS (SELECT FROM simulator.journal WHERE fails_at <= extract(epoch FROM now())::bigint);

-- waiting_notices: whether there is anything to be heard of the sandbox, to be booked, or to be sent
SELECT EXISTS (SELECT FROM simulator.notices WHERE due_at <= extract(epoch FROM now())::bigint AND NOT heard)
    OR EXISTS (SELECT FROM payments.notices WHERE look_at <= extract(epoch FROM now())::bigint)
    OR EXISTS (SELECT FROM payments.disputes WHERE send_at <= extract(epoch FROM now())::bigint)
    OR EXISTS (SELECT FROM payments.payouts WHERE send_at <= extract(epoch FROM now())::bigint AND status IN ('pending', 'in_transit'));

-- waiting_disputes: whether nobody answered one in time, or a sandbox is ahead
SELECT EXISTS (SELECT FROM payments.disputes WHERE answer_by <= extract(epoch FROM now())::bigint)
    OR EXISTS (SELECT FROM payments.merchants WHERE test_ahead_seconds > 0);

-- waiting_clocks: whether a sandbox's clock is being advanced
SELECT EXISTS (SELECT FROM payments.test_clocks WHERE status = 'advancing' AND NOT deleted);

-- waiting_checkout: whether a session is to be looked at, or a sandbox is ahead
SELECT EXISTS (SELECT FROM payments.checkout_sessions WHERE due_at <= extract(epoch FROM now())::bigint)
    OR EXISTS (SELECT FROM payments.merchants WHERE test_ahead_seconds > 0);

-- waiting_index: whether anything isn't searchable yet
SELECT EXISTS (SELECT FROM search.changes) OR EXISTS (SELECT FROM search.backfill);
