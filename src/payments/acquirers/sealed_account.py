"""Bank account numbers at rest: sealed by payment-api, opened by transaction-processor only."""

import base64

from payments.domain.bank_account import AccountNumber, BankAccount
from payments.runtime.seal import Sealer
from payments.runtime.seal_contexts import account_number_context


class AccountSealer:
    """Seals account numbers, bound to merchant, mode and bank account."""

    def __init__(self, sealer: Sealer) -> None:
        """Seal under the keys of `sealer`."""
        self._sealer = sealer

    def seal(self, merchant_id: int, livemode: bool, bank_account: str, number: AccountNumber) -> str:
        """Return the sealed number as text."""
        context = account_number_context(merchant_id, livemode, bank_account)
        return base64.b64encode(self._sealer.seal(number.reveal().encode(), context)).decode("ascii")

    def open(self, account: BankAccount, sealed: str) -> AccountNumber:
        """Open a number; raises `SealError`."""
        context = account_number_context(account.merchant_id, account.livemode, account.id)
        return AccountNumber(self._sealer.open(base64.b64decode(sealed), context).decode("ascii"))

    def fingerprint(self, merchant_id: int, livemode: bool, number: AccountNumber, routing_number: str | None) -> str:
        """Return what is equal for equal accounts of one merchant, and useless to anyone else."""
        return self._sealer.fingerprint(f"{routing_number} {number.reveal()}".encode(), f"bank account {merchant_id} {livemode}".encode())
