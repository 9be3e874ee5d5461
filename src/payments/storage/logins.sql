-- one_at_a_time: until the transaction's end; two that change one role at once disturb each other
SELECT pg_advisory_xact_lock(hashtext('payments.provide_logins'));

-- has_login: whether a login is there already
SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1);

-- create_login: the statement that makes a login with nothing of its own
SELECT format('CREATE ROLE %I LOGIN PASSWORD %L', $1::text, $2::text);

-- alter_login: the statement that sets a login's password
SELECT format('ALTER ROLE %I LOGIN PASSWORD %L', $1::text, $2::text);

-- forget_settings: the statement that takes back what a process may have set for its own next sessions
SELECT format('ALTER ROLE %I RESET ALL', $1::text);

-- join_role: the statement that makes a login a member of its role
SELECT format('GRANT %I TO %I', $2::text, $1::text);

-- let_in: the statement that lets a login into this database, where not everybody is
SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), $1::text);
