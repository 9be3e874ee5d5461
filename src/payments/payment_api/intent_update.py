"""Updating a payment intent: what may change, and until when."""

from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from payments.domain.payment_intent import UPDATABLE_AMOUNT, IntentStatus, PaymentIntent
from payments.payment_api.card_vault import Vaulted
from payments.payment_api.confirmation import Cards, naming
from payments.payment_api.intent_params import UpdateParams, check_amount, check_payer, check_statement_descriptors, check_supported
from payments.payment_api.payment_options import check_of_confirmation
from payments.payment_api.steps import Steps
from payments.storage.changes import insert_payment_method, update_intent
from payments.storage.database import Connection
from payments.storage.versions import require_unmoved
from payments.wire.api import Call, Reply, reply
from payments.wire.expansion import check_expandable
from payments.wire.params import merge_metadata, unset
from payments.wire.reading import Reader
from payments.wire.render import render

_ALWAYS = frozenset({"description", "metadata"})
"""What may change whatever has become of the payment; everything else decides how it is made."""


@dataclass(frozen=True, slots=True)
class IntentUpdate:
    """Handles `POST /v1/payment_intents/{intent}`."""

    steps: Steps
    cards: Cards
    reader: Reader

    async def handle(self, call: Call) -> Reply:
        """Update the intent of the path."""
        check_supported(call)
        check_expandable(call, "payment_intent")
        params = call.parse(UpdateParams)
        check_payer(params)
        check_statement_descriptors(params)
        check_of_confirmation(params, confirms=False)
        intent: PaymentIntent = await self.reader.get(call, "payment_intent", call.path["id"], param="intent")
        if call.params.keys() - _ALWAYS:
            intent.expect(UPDATABLE_AMOUNT, "This PaymentIntent's parameters could not be updated", "updated")
        customer = await self.cards.customer(intent.merchant_id, intent.livemode, params.customer)
        customer_id = intent.customer if params.customer is None else params.customer or None
        card = await self.cards.given(call.principal, params, customer=customer_id, intent=intent)
        named = naming(intent, card, customer)
        changed = _changed(intent, params, customer_id, card.method.id if isinstance(card, Vaulted) else card.id if card else None)

        async def store(connection: Connection) -> Reply:
            await require_unmoved(connection, *named.relies_on)
            for method in named.creates:
                await insert_payment_method(connection, method, named.sealed_number)
            await update_intent(connection, changed)
            return reply(render(changed))

        return await self.steps.answered(call, await self.steps.idempotency.once(call, store))


def _changed(intent: PaymentIntent, params: UpdateParams, customer: str | None, method_id: str | None) -> PaymentIntent:
    amount = intent.amount if params.amount is None else params.amount
    currency = intent.currency if params.currency is None else params.currency
    if params.amount is not None or params.currency is not None:
        currency = check_amount(amount, currency)
    changes: dict[str, Any] = {
        name: unset(getattr(params, name))
        for name in (
            "description",
            "receipt_email",
            "statement_descriptor",
            "statement_descriptor_suffix",
            "transfer_group",
            "return_url",
            "allowed_payment_method_types",
            "excluded_payment_method_types",
        )
        if getattr(params, name) is not None
    }
    if params.shipping is not None:
        changes["shipping"] = params.shipping.value() if params.shipping else None
    changes |= params.changes(intent)
    if params.capture_method is not None:
        changes["capture_method"] = params.capture_method
    if method_id is not None:
        changes["payment_method"] = method_id
        if intent.status is IntentStatus.REQUIRES_PAYMENT_METHOD:
            changes["status"] = IntentStatus.REQUIRES_CONFIRMATION
    if intent.status is IntentStatus.REQUIRES_ACTION and (amount, currency, method_id or intent.payment_method) != (
        intent.amount,
        intent.currency,
        intent.payment_method,
    ):
        # The cardholder was asked to approve something else: what is charged is what was approved, so this wants a confirmation, and a challenge, of its own.
        changes |= {"status": IntentStatus.REQUIRES_CONFIRMATION, "next_action": None}
    return replace(
        intent,
        version=intent.version + 1,
        amount=amount,
        currency=currency,
        customer=customer,
        metadata=merge_metadata(intent.metadata, params.metadata),
        **changes,
    )
