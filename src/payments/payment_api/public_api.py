"""The operations that payment-api answers."""

from payments.acquirers.sealed_account import AccountSealer
from payments.payment_api.accounts import Accounts
from payments.payment_api.card_vault import CardVault
from payments.payment_api.charges import Charges
from payments.payment_api.checkout.closing import Closing
from payments.payment_api.checkout.links import PaymentLinks
from payments.payment_api.checkout.opening import Addresses
from payments.payment_api.checkout.sessions import CheckoutSessions
from payments.payment_api.confirmation import Cards
from payments.payment_api.confirmation_tokens import ConfirmationTokens
from payments.payment_api.customer_cards import CustomerCards
from payments.payment_api.customer_sessions import CustomerSessions
from payments.payment_api.customers import Customers
from payments.payment_api.ephemeral_keys import EphemeralKeys
from payments.payment_api.external_accounts import ExternalAccounts
from payments.payment_api.handover import HandoverClient
from payments.payment_api.intent_update import IntentUpdate
from payments.payment_api.keeping import Keeping
from payments.payment_api.payment_intents import PaymentIntents
from payments.payment_api.payment_methods import PaymentMethods
from payments.payment_api.prices import Prices
from payments.payment_api.products import Products
from payments.payment_api.refunds import Refunds
from payments.payment_api.sandbox_clocks import SandboxClocks
from payments.payment_api.search import searches
from payments.payment_api.setup_intents import SetupIntents
from payments.payment_api.sources import Sources
from payments.payment_api.steps import Steps
from payments.payment_api.stripe_cli import StripeCli
from payments.payment_api.tokens import Tokens
from payments.runtime.keyring import KeyRing
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
    closing: Closing,
    addresses: Addresses,
    objects: Objects,
    reader: Reader,
    pool: Pool,
    account_sealer: AccountSealer,
    pepper: KeyRing,
    stripe_cli: StripeCli,
) -> Endpoints:
    """Return the route table."""
    customer_cards = CustomerCards(objects=objects, reader=reader, cards=cards, handover=handover)
    return [
        *searches(reader),
        *PaymentIntents(steps=steps, cards=cards, reader=reader, update=IntentUpdate(steps, cards, reader)).endpoints(),
        *Charges(steps=steps, cards=cards, objects=objects, reader=reader).endpoints(),
        *Refunds(steps, objects, reader).endpoints(),
        *Tokens(objects=objects, reader=reader, vault=vault).endpoints(),
        *ConfirmationTokens(objects=objects, reader=reader, cards=cards).endpoints(),
        *CustomerSessions(objects=objects, reader=reader, customer_cards=customer_cards, pool=pool).endpoints(),
        *Accounts(pool).endpoints(),
        *ExternalAccounts(objects, account_sealer, pool).endpoints(),
        *Customers(objects, reader, customer_cards).endpoints(),
        *Sources(objects=objects, reader=reader, vault=vault, customer_cards=customer_cards).endpoints(),
        *EphemeralKeys(objects=objects, reader=reader, pepper=pepper).endpoints(),
        *Products(objects, reader).endpoints(),
        *Prices(objects, reader).endpoints(),
        *SandboxClocks(objects, reader).endpoints(),
        *SetupIntents(objects=objects, reader=reader, cards=cards, keeping=keeping).endpoints(),
        *PaymentMethods(objects=objects, reader=reader, vault=vault, cards=cards, customer_cards=customer_cards).endpoints(),
        *CheckoutSessions(objects=objects, reader=reader, cards=cards, closing=closing, addresses=addresses).endpoints(),
        *PaymentLinks(objects=objects, reader=reader, addresses=addresses).endpoints(),
        *stripe_cli.endpoints(),
    ]
