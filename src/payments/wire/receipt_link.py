"""The way to the receipt of a payment: who has it is its buyer, or was shown it by them."""

import secrets

from msgspec.structs import replace

from payments.domain.charge import Charge

RECEIPT_PATH = "/pay/r/{mode}/{merchant}/{charge}/{secret}"
_SECRET_BYTES = 18


def with_receipt(charge: Charge, public_url: str) -> Charge:
    """Return an approved charge with the address of its receipt, which nobody can guess. `public_url`: where our hosted pages are."""
    mode = "live" if charge.livemode else "test"
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    path = RECEIPT_PATH.format(mode=mode, merchant=charge.merchant_id, charge=charge.id, secret=secret)
    return replace(charge, receipt_url=public_url + path)
