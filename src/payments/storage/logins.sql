-- has_login: whether a login is there already
SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1);

-- create_login: the statement that makes a login with nothing of its own but to be a member of one role
SELECT format('CREATE ROLE %I LOGIN PASSWORD %L IN ROLE %I', $1::text, $2::text, $3::text);

-- alter_login: the statement that sets a login's password
SELECT format('ALTER ROLE %I LOGIN PASSWORD %L', $1::text, $2::text);

-- let_in: the statement that lets a login into this database, where not everybody is
SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), $1::text);
