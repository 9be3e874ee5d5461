"""The operations that transaction-processor answers."""

from payments.storage.accounts import Accounts
from payments.transaction_processor.balance import BalanceApi
from payments.transaction_processor.ledger_api import LedgerApi
from payments.transaction_processor.money.booking import Bookkeeper
from payments.transaction_processor.money.disputes import Disputes
from payments.transaction_processor.money.payouts import Payouts
from payments.wire.api import Endpoints
from payments.wire.objects import Objects


def public_api(*, objects: Objects, accounts: Accounts, bookkeeper: Bookkeeper) -> Endpoints:
    """Return the route table."""
    return [
        *BalanceApi(objects.reader, accounts).endpoints(),
        *LedgerApi(objects.reader).endpoints(),
        *Disputes(objects=objects, bookkeeper=bookkeeper).endpoints(),
        *Payouts(objects=objects, bookkeeper=bookkeeper).endpoints(),
    ]
