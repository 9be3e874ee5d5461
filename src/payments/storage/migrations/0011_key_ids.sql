-- Which key a value was made with, so that keys can be replaced one after the other.

-- Only the owner's tasks ask, and the previous code doesn't know of it: it has one pepper, which is number 1.
ALTER TABLE payments.api_keys ADD COLUMN pepper smallint NOT NULL DEFAULT 1;
COMMENT ON COLUMN payments.api_keys.pepper IS 'number of the pepper in key_hash';

-- A damaged value has no key: 0. It must not stop whoever counts, or seals the others anew.
CREATE FUNCTION payments.sealed_by(sealed bytea) RETURNS integer LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE WHEN length(sealed) > 0 THEN get_byte(sealed, 0) ELSE 0 END;
CREATE FUNCTION payments.sealed_by(sealed text) RETURNS integer LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE WHEN sealed ~ '^[A-Za-z0-9+/]{4}' THEN get_byte(decode(left(sealed, 4), 'base64'), 0) ELSE 0 END;
