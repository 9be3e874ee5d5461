-- How a merchant wants our pages to look. The table is small.
ALTER TABLE payments.merchants
    ADD COLUMN IF NOT EXISTS brand_colour text CHECK (brand_colour ~ '^#[0-9a-f]{6}$'),
    ADD COLUMN IF NOT EXISTS brand_logo bytea CHECK (octet_length(brand_logo) <= 5000);
