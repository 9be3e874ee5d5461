"""The operations that payment-api answers."""

from payments.payment_api.accounts import Accounts
from payments.payment_api.card_vault import CardVault
from payments.payment_api.charges import Charges
from payments.payment_api.confirmation import Cards
from payments.payment_api.customers import Customers
from payments.payment_api.handover import HandoverClient
from payments.payment_api.intent_update import IntentUpdate
from payments.payment_api.keeping import Keeping
from payments.payment_api.payment_intents import PaymentIntents
from payments.payment_api.payment_methods import PaymentMethods
from payments.payment_api.prices import Prices
from payments.payment_api.products import Products
from payments.payment_api.refunds import Refunds
from payments.payment_api.sandbox_clocks import SandboxClocks
from payments.payment_api.setup_intents import SetupIntents
from payments.payment_api.steps import Steps
from payments.storage.database import Pool
from payments.wire.api import Endpoints
from payments.wire.objects import Objects
from payments.wire.reading import Reader


def public_api(
    *,
    steps: Steps,
    cards: Cards,
    vault: CardVault,
    handover: HandoverClient,
    keeping: Keeping,
    objects: Objects,
    reader: Reader,
    pool: Pool,
) -> Endpoints:
    """Return the route table."""
    return [
        *PaymentIntents(steps=steps, cards=cards, reader=reader, update=IntentUpdate(steps, cards, reader)).endpoints(),
        *Refunds(steps, objects, reader).endpoints(),
        *Charges(objects, reader).endpoints(),
        *Accounts(pool).endpoints(),
        *Customers(objects, reader).endpoints(),
        *Products(objects, reader).endpoints(),
        *Prices(objects, reader).endpoints(),
        *SandboxClocks(objects, reader).endpoints(),
        *SetupIntents(objects=objects, reader=reader, cards=cards, keeping=keeping).endpoints(),
        *PaymentMethods(objects=objects, reader=reader, vault=vault, handover=handover).endpoints(),
    ]
