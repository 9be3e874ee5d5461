"""How merchants want our pages to look."""

from payments.domain.brand import Brand
from payments.storage.database import Queries
from payments.storage.sql import queries

_SQL = queries("brands.sql")


async def find_brand(source: Queries, merchant_id: int) -> Brand:
    """Return a merchant's; raises `LookupError` for an unknown one."""
    row = await source.fetchrow(_SQL["brand"], merchant_id)
    if row is None:
        raise LookupError(f"no merchant {merchant_id}")
    return Brand(name=row["name"], colour=row["brand_colour"], logo=row["brand_logo"])


async def set_brand(source: Queries, merchant_id: int, brand: Brand) -> None:
    """Keep a merchant's."""
    await source.execute(_SQL["set_brand"], merchant_id, brand.name, brand.colour, brand.logo)
