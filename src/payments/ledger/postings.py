"""Which transfers each step of a payment, and of what comes after it, posts.

| step | debit | credit | amount |
|---|---|---|---|
| authorization (hold) | acquirer receivable | merchant pending | authorized, held |
| capture | acquirer receivable | merchant pending | captured; what was held of it is released |
| fee | merchant pending | platform fees | fee |
| availability | merchant pending | merchant available | net |
| refund | merchant available | acquirer receivable | refunded |
| refund failed | acquirer receivable | merchant available | refunded |
| dispute | merchant available | merchant reserved | disputed |
| dispute fee | merchant available | platform fees | fee |
| dispute won | merchant reserved | merchant available | disputed |
| dispute lost | merchant reserved | acquirer receivable | disputed |
| payout | merchant available | merchant paid out | paid out |
| payout canceled, failed or taken back | merchant paid out | merchant available | paid out |

What acquirers settle comes by the million, and is posted by statements (`storage/settlement.sql`) rather than by functions:

| step | debit | credit | amount |
|---|---|---|---|
| line of a settlement file, of a capture | acquirer settled | acquirer receivable | captured |
| line, of a refund | acquirer receivable | acquirer settled | refunded |
| fees of the lines that are booked together | acquirer costs | acquirer settled | their sum |
| the file has more than the books | acquirer settled | platform suspense | difference |
| the books have more than the file | platform suspense | acquirer settled | difference |
| the books have what the file hasn't | platform suspense | acquirer receivable | difference |
| a difference is resolved | platform suspense, or the other way round | acquirer receivable: explained; acquirer settled: paid; platform losses: written off | difference |
"""

from dataclasses import dataclass

from payments.ledger.chart import Account, AccountKind, acquirer_account, merchant_account, platform_account
from payments.ledger.transfer import Phase, Transfer, TransferKind


@dataclass(frozen=True, slots=True)
class Books:
    """The accounts that one merchant's payments through one acquirer touch, in one mode and currency."""

    merchant_id: int
    livemode: bool
    acquirer: str
    currency: str

    def _merchant(self, kind: AccountKind) -> Account:
        return merchant_account(self.merchant_id, self.livemode, kind, self.currency)

    @property
    def pending(self) -> Account:
        """The merchant's funds that aren't available yet."""
        return self._merchant(AccountKind.PENDING)

    @property
    def available(self) -> Account:
        """The merchant's funds that can be paid out."""
        return self._merchant(AccountKind.AVAILABLE)

    @property
    def reserved(self) -> Account:
        """The merchant's funds that are withheld for disputes."""
        return self._merchant(AccountKind.RESERVED)

    @property
    def paid_out(self) -> Account:
        """What went to the merchant's bank."""
        return self._merchant(AccountKind.PAID_OUT)

    @property
    def receivable(self) -> Account:
        """What the acquirer owes us."""
        return acquirer_account(self.acquirer, self.livemode, AccountKind.RECEIVABLE, self.currency)

    @property
    def fees(self) -> Account:
        """What we earned."""
        return platform_account(self.livemode, AccountKind.FEES, self.currency)


def authorization(books: Books, posting: str, amount: int, occurred_at: int) -> list[Transfer]:
    """Hold `amount`: the issuer has promised it, nothing has moved."""
    return [Transfer(posting, TransferKind.AUTHORIZATION, books.receivable, books.pending, amount, occurred_at, Phase.HELD)]


def hold_release(books: Books, posting: str, amount: int, occurred_at: int) -> list[Transfer]:
    """End a hold, or the part of it that is captured or given up."""
    return [Transfer(posting, TransferKind.HOLD_RELEASE, books.receivable, books.pending, amount, occurred_at, Phase.RELEASED)]


def capture(books: Books, posting: str, amount: int, fee: int, occurred_at: int, *, available_at_once: bool = False) -> list[Transfer]:
    """Claim `amount` and charge the merchant `fee`; with `available_at_once` the net amount doesn't wait."""
    transfers = [Transfer(posting, TransferKind.CAPTURE, books.receivable, books.pending, amount, occurred_at)]
    if fee:
        transfers.append(Transfer(posting, TransferKind.FEE, books.pending, books.fees, fee, occurred_at))
    if available_at_once:
        transfers += availability(books, posting, amount - fee, occurred_at)
    return transfers


def availability(books: Books, posting: str, net: int, occurred_at: int) -> list[Transfer]:
    """Make the net amount of a capture available; a capture smaller than its fee takes the difference from the available funds."""
    debit, credit = (books.pending, books.available) if net > 0 else (books.available, books.pending)
    return [Transfer(posting, TransferKind.AVAILABILITY, debit, credit, abs(net), occurred_at)] if net else []


def refund(books: Books, posting: str, amount: int, occurred_at: int) -> list[Transfer]:
    """Return `amount` to the cardholder; the fee stays with us."""
    return [Transfer(posting, TransferKind.REFUND, books.available, books.receivable, amount, occurred_at)]


def refund_reversal(books: Books, posting: str, amount: int, occurred_at: int) -> list[Transfer]:
    """Undo a refund that failed after it had been posted."""
    return [Transfer(posting, TransferKind.REFUND_REVERSAL, books.receivable, books.available, amount, occurred_at)]


def dispute(books: Books, posting: str, amount: int, fee: int, occurred_at: int) -> list[Transfer]:
    """Withhold `amount` until a dispute is decided, and charge the merchant `fee`; available funds may go below zero by it."""
    transfers = [Transfer(posting, TransferKind.DISPUTE, books.available, books.reserved, amount, occurred_at)]
    if fee:
        transfers.append(Transfer(posting, TransferKind.DISPUTE_FEE, books.available, books.fees, fee, occurred_at))
    return transfers


def dispute_loss(books: Books, posting: str, amount: int, occurred_at: int) -> list[Transfer]:
    """Give what was withheld to the acquirer, who has given it to the cardholder; under the posting of the dispute, so it can't be lost twice."""
    return [Transfer(posting, TransferKind.DISPUTE_LOSS, books.reserved, books.receivable, amount, occurred_at)]


def dispute_reversal(books: Books, posting: str, amount: int, occurred_at: int) -> list[Transfer]:
    """Give back what was withheld; the fee stays with us."""
    return [Transfer(posting, TransferKind.DISPUTE_REVERSAL, books.reserved, books.available, amount, occurred_at)]


def payout(books: Books, posting: str, amount: int, occurred_at: int) -> list[Transfer]:
    """Take `amount` of the available funds for the merchant's bank."""
    return [Transfer(posting, TransferKind.PAYOUT, books.available, books.paid_out, amount, occurred_at)]


def payout_reversal(books: Books, posting: str, amount: int, occurred_at: int) -> list[Transfer]:
    """Give back what didn't reach the merchant's bank, or came back from there."""
    return [Transfer(posting, TransferKind.PAYOUT_REVERSAL, books.paid_out, books.available, amount, occurred_at)]
