"""Updating a payment intent: what may change, and until when."""

from dataclasses import dataclass
from typing import Any

from msgspec import UNSET

from payments.domain.payment_intent import UPDATABLE_AMOUNT, IntentStatus, PaymentIntent
from payments.payment_api.amount_details import with_details
from payments.payment_api.card_vault import Vaulted
from payments.payment_api.confirmation import Cards, naming
from payments.payment_api.given_card import check_given_card, check_version_takes
from payments.payment_api.intent_params import UpdateParams, check_amount, check_statement_descriptors
from payments.payment_api.payment_options import check_of_confirmation
from payments.payment_api.steps import Steps
from payments.storage.database import Connection
from payments.storage.versions import require_unmoved
from payments.wire.api import Call, Reply, reply
from payments.wire.changes import changed
from payments.wire.expansion import check_expandable
from payments.wire.kinds import PAYMENT_INTENT, PAYMENT_METHOD
from payments.wire.reading import Reader
from payments.wire.rendering import render

_ALWAYS = frozenset({"description", "metadata"})
"""What may change whatever has become of the payment; everything else decides how it is made."""


@dataclass(frozen=True, slots=True)
class IntentUpdate:
    """Handles `POST /v1/payment_intents/{intent}`."""

    steps: Steps
    cards: Cards
    reader: Reader

    async def handle(self, call: Call, params: UpdateParams) -> Reply:
        """Update the intent of the path."""
        check_version_takes(call, params)
        check_expandable(call, PAYMENT_INTENT.name)
        check_given_card(params)
        check_statement_descriptors(params)
        check_of_confirmation(params, confirms=False)
        intent = await self.reader.get(call, PAYMENT_INTENT, call.path["id"])
        if call.params.keys() - _ALWAYS:
            intent.expect(UPDATABLE_AMOUNT, "This PaymentIntent's parameters could not be updated", "updated")
        customer = await self.cards.customer(intent.merchant_id, intent.livemode, params.customer or None)
        customer_id = (params.customer or None) if params.customer is not UNSET else intent.customer
        card = await self.cards.given(call.principal, params, customer=customer_id, intent=intent)
        named = naming(intent, card, customer)
        updated = _updated(intent, params, customer_id, card.method.id if isinstance(card, Vaulted) else card.id if card else None)

        async def store(connection: Connection) -> Reply:
            await require_unmoved(connection, *named.relies_on)
            for method in named.creates:
                await PAYMENT_METHOD.noun.insert(connection, method, sealed_number=named.sealed_number)
            for method in named.changes:
                await PAYMENT_METHOD.noun.update(connection, method)
            await PAYMENT_INTENT.noun.update(connection, updated)
            return reply(render(updated))

        return await self.steps.answered(call, await self.steps.idempotency.once(call, store))


def _updated(intent: PaymentIntent, params: UpdateParams, customer: str | None, method_id: str | None) -> PaymentIntent:
    amount = intent.amount if params.amount is UNSET else params.amount
    currency = intent.currency if params.currency is UNSET else params.currency
    if params.amount is not UNSET or params.currency is not UNSET:
        currency = check_amount(amount, currency)
    method = None if params.payment_method == "" else method_id or intent.payment_method
    others: dict[str, Any] = {
        "amount": amount,
        "currency": currency,
        "customer": customer,
        "payment_method": method,
        **params.changes(intent),
    }
    if method_id is not None and intent.status is IntentStatus.REQUIRES_PAYMENT_METHOD:
        others["status"] = IntentStatus.REQUIRES_CONFIRMATION
    if intent.status is IntentStatus.REQUIRES_ACTION and (amount, currency, method) != (
        intent.amount,
        intent.currency,
        intent.payment_method,
    ):
        # The cardholder was asked to approve something else: what is charged is what was approved, so this wants a confirmation, and a challenge, of its own.
        others |= {"status": IntentStatus.REQUIRES_CONFIRMATION, "next_action": None}
    if params.payment_method == "":
        others |= {"status": IntentStatus.REQUIRES_PAYMENT_METHOD, "next_action": None}
    updated = changed(intent, params, **others)
    return updated if params.amount is UNSET and params.amount_details is UNSET else with_details(updated, params.amount_details)
