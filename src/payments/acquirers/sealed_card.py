"""Card data on its way and at rest: sealed by payment-api, opened by transaction-processor only."""

import base64

from payments.domain.card import Pan
from payments.domain.payment_method import PaymentMethod
from payments.runtime.seal import Sealer
from payments.runtime.seal_contexts import cvc_context, number_context


class CardSealer:
    """Seals card numbers and security codes, bound to merchant, mode and payment method."""

    def __init__(self, sealer: Sealer) -> None:
        """Seal under the keys of `sealer`."""
        self._sealer = sealer

    def seal_number(self, merchant_id: int, livemode: bool, payment_method: str, pan: Pan) -> str:
        """Return the sealed number as text."""
        context = number_context(merchant_id, livemode, payment_method)
        return base64.b64encode(self._sealer.seal(pan.reveal().encode(), context)).decode("ascii")

    def seal_cvc(self, merchant_id: int, livemode: bool, payment_method: str, cvc: str) -> str:
        """Return the sealed security code as text. It travels, and is never stored."""
        context = cvc_context(merchant_id, livemode, payment_method)
        return base64.b64encode(self._sealer.seal(cvc.encode(), context)).decode("ascii")

    def open_number(self, method: PaymentMethod, sealed: str) -> Pan:
        """Open a card number; raises `SealError`."""
        context = number_context(method.merchant_id, method.livemode, method.id)
        return Pan.stored(self._sealer.open(base64.b64decode(sealed), context).decode("ascii"))

    def open_cvc(self, method: PaymentMethod, sealed: str) -> str:
        """Open a security code; raises `SealError`."""
        context = cvc_context(method.merchant_id, method.livemode, method.id)
        return self._sealer.open(base64.b64decode(sealed), context).decode("ascii")

    def fingerprint(self, merchant_id: int, livemode: bool, pan: Pan) -> str:
        """Return what is equal for equal numbers of one merchant, and useless to anyone else."""
        return self._sealer.fingerprint(pan.reveal().encode(), f"card {merchant_id} {livemode}".encode())
