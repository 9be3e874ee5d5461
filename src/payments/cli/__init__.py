"""The `tap` command: Tap on one machine, as real processes on an embedded PostgreSQL."""
