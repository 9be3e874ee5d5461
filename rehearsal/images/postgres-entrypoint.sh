#!/bin/sh
# Starts PostgreSQL, and makes its data directory the first time: POSTGRES_USER owns it and POSTGRES_DB, and logs in with POSTGRES_PASSWORD.
# From elsewhere only over TLS, as with Aurora's rds.force_ssl=1: the arguments say with which certificate. Runs as root or as postgres.
set -eu

if [ "${1:-postgres}" = postgres ] || [ "${1#-}" != "$1" ]; then
    [ "${1:-}" != postgres ] || shift
else
    exec "$@"
fi

if [ "$(id -u)" = 0 ]; then
    install -d -o postgres -g postgres -m 0700 "$PGDATA"
    chown -R postgres:postgres "$PGDATA"
    exec gosu postgres "$0" postgres "$@"
fi

make_data() {
    user="${POSTGRES_USER:-postgres}" database="${POSTGRES_DB:-${POSTGRES_USER:-postgres}}"
    password="$(mktemp)"
    printf '%s\n' "$POSTGRES_PASSWORD" >"$password"
    initdb --username="$user" --pwfile="$password" --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 >/dev/null
    rm "$password"
    echo 'hostssl all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
    # Aurora takes hundreds at its smallest; three services that are released at once want twice their connections.
    echo 'max_connections = 500' >>"$PGDATA/postgresql.conf"
    # Nobody can connect from elsewhere before it is complete.
    pg_ctl --options="-c listen_addresses=''" --wait start >/dev/null
    [ "$database" = postgres ] || createdb --username="$user" --maintenance-db=postgres "$database"
    pg_ctl --mode=fast --wait stop >/dev/null
}

[ -s "$PGDATA/PG_VERSION" ] || make_data
exec postgres "$@"
