-- brand: how a merchant's pages look
SELECT name, brand_colour, brand_logo FROM payments.merchants WHERE id = $1;

-- set_brand: how they shall look
UPDATE payments.merchants SET name = $2, brand_colour = $3, brand_logo = $4 WHERE id = $1;
