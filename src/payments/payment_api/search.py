"""`/v1/…/search`: of payment intents, charges, customers, products and prices."""

from payments.wire.api import Endpoints
from payments.wire.kinds import CHARGE, CUSTOMER, PAYMENT_INTENT, PRICE, PRODUCT
from payments.wire.reading import Reader
from payments.wire.searching import search


def searches(reader: Reader) -> Endpoints:
    """What may be called."""
    return [
        search(reader, PAYMENT_INTENT),
        search(reader, CHARGE),
        search(reader, CUSTOMER),
        search(reader, PRODUCT),
        search(reader, PRICE),
    ]
