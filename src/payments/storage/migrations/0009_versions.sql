-- The API version that a merchant's requests and events are in where they name none: what all merchants had until now. And the id that the API knows a merchant by.
-- Both have defaults, for the merchants that the previous version's code still makes. The table is small: it is written anew in no time.
ALTER TABLE payments.merchants
    ADD COLUMN api_version text NOT NULL DEFAULT '2026-10-28.endive',
    ADD COLUMN account_id payments.object_id NOT NULL DEFAULT 'acct_' || left(replace(gen_random_uuid()::text, '-', ''), 24),
    ADD CONSTRAINT merchants_account_id UNIQUE (account_id);

-- Last, since every payment writes claims: while another lock is waited for, these are free. A column without a default is added at once, however many there are.
-- The version that a claim's request was answered in: its repetitions are answered in the same. Null: made by code that knew the newest only.
ALTER TABLE payments.idempotency_claims ADD COLUMN api_version text;
