"""The only SQL: one store per noun, its queries in a .sql file beside it, group commit, migrations."""
