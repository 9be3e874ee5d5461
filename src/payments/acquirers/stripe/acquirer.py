"""The acquirer that is an account at Stripe.

A payment takes two requests. The first begins it without a card, under an idempotency key that is our reference, so there is one payment intent for it however often
that is said. The second confirms that payment intent with the card, and only this can hold money. So as long as a payment wasn't begun it is certain that
nobody has it; and what became of one is learned by beginning it again: that answers which payment intent it is. One that waits for its card is cancelled
first, since its card may still be on the way; then it is declined.

Stripe keeps idempotency keys for 24 hours at least. After that payment intents are found by their metadata. Source: Stripe, "Idempotent requests", "Search".
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import stripe

from payments.acquirers.acquirer import NotSent, Order, SaysNothing
from payments.acquirers.approvals import approved
from payments.acquirers.configuration import StripeSpec
from payments.acquirers.declines import PROCESSING_ERROR, declined
from payments.acquirers.stripe import messages
from payments.acquirers.stripe.messages import ATTEMPT, Intent, StripeFault, StripeRefund, refusal
from payments.domain.attempt import AttemptKind
from payments.domain.outcome import PENDING, Approved, AuthenticationRequired, Final, NotFound, Outcome, Unknown
from payments.runtime.clock import Clock
from payments.runtime.logging import Logger

KEYS_SECONDS = 23 * 3600
"""How long an idempotency key is relied on: less than the 24 hours that Stripe keeps them."""
_NOT_DONE = "transaction_not_allowed"
_EXPANDED = {"expand": ["latest_charge"]}
_REFUSED = (stripe.InvalidRequestError, stripe.AuthenticationError, stripe.PermissionError)
"""What Stripe answers when it did nothing."""
_UNCLEAR = (stripe.StripeError, aiohttp.ClientError, TimeoutError, msgspec.MsgspecError)
"""Everything that says nothing of what became of a request."""


class StripeAcquirer(SaysNothing):
    """An `Acquirer`."""

    def __init__(self, spec: StripeSpec, client: stripe.StripeClient, clock: Clock, log: Logger) -> None:
        self._spec = spec
        self._api = client.v1
        self._clock = clock
        self._log = log

    @property
    def name(self) -> str:
        """The name that its accounts in the ledger carry."""
        return self._spec.name

    @property
    def needs_card(self) -> bool:
        """It knows a payment by its own id, which the charge has."""
        return False

    async def execute(self, order: Order) -> Outcome:
        """Carry out an order, once per reference. Raises `NotSent` for a payment that wasn't begun."""
        match order.kind:
            case AttemptKind.AUTHORIZE:
                return await self._confirm(order, await self._begin(order))
            case AttemptKind.VOID:
                return await self._void(order)
            case AttemptKind.REFUND:
                return await self._refund(order)
            case _:
                return await self._change(order)

    async def inquire(self, order: Order) -> Final | Unknown | NotFound:
        """Tell what became of an order: a payment is found out about, or cancelled; a refund looked up; anything else said again, under its key."""
        try:
            match order.kind:
                case AttemptKind.AUTHORIZE:
                    intent_id = await self._known(order)
                    return NotFound() if intent_id is None else await self._found_out(order, intent_id)
                case AttemptKind.VOID:
                    return await self._void(order)
                case AttemptKind.REFUND:
                    return await self._refunded(order)
                case _ if self._has_key(order):
                    return await self._change(order)
                case _:
                    return await self._changed(order)
        except _UNCLEAR as failure:
            return Unknown(reason=_named(failure))

    async def give_up(self, order: Order) -> NotFound:  # noqa: ARG002 - a payment intent that was never begun has no card, and comes to nothing
        """Say that it can't be told so."""
        return NotFound()

    async def verify_card(self, order: Order) -> Outcome:
        """Set the card up without a payment."""
        params: dict[str, Any] = {
            "confirm": True,
            "usage": "off_session",
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "payment_method_data": messages.card(order),
            "metadata": {ATTEMPT: order.reference},
        }
        try:
            made: Any = await self._api.setup_intents.create_async(self._params(params), self._key(order.reference))
            intent = messages.read_intent(made.last_response.body)
        except stripe.CardError as failure:
            return refusal(_fault(failure))
        except _UNCLEAR as failure:
            return Unknown(reason=_named(failure))
        match intent.status:
            case "succeeded":
                return approved(authorization_code=None)
            case "requires_action":
                return AuthenticationRequired()
            case _:
                return Unknown(reason=f"setup intent {intent.status}")

    async def health(self) -> str | None:
        """Ask for the balance."""
        try:
            await self._api.balance.retrieve_async()
        except _UNCLEAR as failure:
            return _named(failure)
        return None

    async def _begin(self, order: Order) -> str:
        """Return the id of the payment intent of an authorization; raises `NotSent`, whatever goes wrong: no card has been sent."""
        try:
            async with asyncio.timeout(self._spec.begin_timeout_seconds):
                intent = await self._begun(order)
        except _UNCLEAR as failure:
            self._refused(order, failure)
            raise NotSent(_named(failure)) from None
        if intent.attempt != order.reference:
            raise NotSent("answer about another payment")
        return intent.id

    async def _begun(self, order: Order) -> Intent:
        made: Any = await self._api.payment_intents.create_async(self._params(messages.begin(order)), self._key(order.reference))
        return messages.read_intent(made.last_response.body)

    async def _confirm(self, order: Order, intent_id: str) -> Final | Unknown:
        try:
            confirmed: Any = await self._api.payment_intents.confirm_async(
                intent_id, self._params(messages.confirm(order)), self._key(f"{order.reference}-confirm")
            )
            intent = messages.read_intent(confirmed.last_response.body)
        except stripe.CardError as failure:
            return await self._card_refused(order, intent_id, failure)
        except (*_REFUSED, stripe.IdempotencyError) as failure:
            self._refused(order, failure)
            return await self._clearly(order, intent_id)
        except _UNCLEAR as failure:
            return Unknown(reason=_named(failure))
        return self._authorized(order, intent)

    async def _card_refused(self, order: Order, intent_id: str, failure: stripe.CardError) -> Final | Unknown:
        """A refusal that names the payment intent is the issuer's. One that doesn't is of a card that can't be one: the payment still waits for a card."""
        about: Any = getattr(failure.error, "payment_intent", None)
        if about is not None:
            return refusal(_fault(failure)) if about.id == intent_id else Unknown(reason="answer about another payment")
        found = await self._clearly(order, intent_id)
        return refusal(_fault(failure)) if not isinstance(found, Unknown | Approved) else found

    async def _clearly(self, order: Order, intent_id: str) -> Final | Unknown:
        try:
            return await self._found_out(order, intent_id)
        except _UNCLEAR as failure:
            return Unknown(reason=_named(failure))

    async def _known(self, order: Order) -> str | None:
        """Return the payment intent of an authorization, None when there is none; raises what is unclear."""
        if self._has_key(order):
            return (await self._begun(order)).id
        found: Any = await self._api.payment_intents.search_async(self._params({"query": f"metadata['{ATTEMPT}']:'{order.reference}'"}))
        intents = messages.read_found(found.last_response.body).data
        return next((each.id for each in intents if each.attempt == order.reference), None)

    async def _found_out(self, order: Order, intent_id: str) -> Final | Unknown:
        """Tell what became of an authorization; one that waits for its card is cancelled first. Raises what is unclear."""
        intent = await self._retrieved(intent_id)
        if intent.attempt != order.reference:
            return Unknown(reason="answer about another payment")
        if intent.last_payment_error is not None and intent.status in ("requires_payment_method", "canceled"):
            return refusal(intent.last_payment_error)
        if intent.status in ("requires_payment_method", "requires_confirmation", "requires_action"):
            cancelled: Any = await self._api.payment_intents.cancel_async(intent_id)
            intent = messages.read_intent(cancelled.last_response.body)
        return declined(PROCESSING_ERROR, sent=False) if intent.status == "canceled" else self._authorized(order, intent)

    async def _retrieved(self, intent_id: str) -> Intent:
        found: Any = await self._api.payment_intents.retrieve_async(intent_id, self._params(_EXPANDED))
        return messages.read_intent(found.last_response.body)

    def _authorized(self, order: Order, intent: Intent) -> Final | Unknown:
        """Return what a payment intent says of an authorization."""
        if intent.status == "processing":
            return Unknown(reason=PENDING)
        held = intent.amount_received if order.capture else intent.amount_capturable
        expected = "succeeded" if order.capture else "requires_capture"
        if intent.status != expected:
            return Unknown(reason=f"payment intent {intent.status}")
        if (intent.attempt, intent.amount, held, intent.currency) != (
            order.reference,
            order.amount,
            order.amount,
            order.currency,
        ):
            return Unknown(reason="answer about another payment, amount or currency")
        card = intent.card
        return approved(
            authorization_code=card.authorization_code,
            network_transaction_id=card.network_transaction_id,
            cvc_check=None if card.checks is None else card.checks.cvc_check,
            acquirer_reference=intent.id,
        )

    async def _change(self, order: Order) -> Final | Unknown:
        """Capture a hold, or ask for a larger one."""
        intent_id = order.acquirer_reference
        if intent_id is None:
            return declined(_NOT_DONE, sent=False)
        intents, key = self._api.payment_intents, self._key(order.reference)
        if order.kind is AttemptKind.CAPTURE:
            params: dict[str, Any] = {"amount_to_capture": order.amount, **({} if order.final_capture else {"final_capture": False})}
            return await self._answered(order, lambda: intents.capture_async(intent_id, self._params(params), key))
        return await self._answered(
            order, lambda: intents.increment_authorization_async(intent_id, self._params({"amount": order.amount}), key)
        )

    async def _answered(self, order: Order, ask: Callable[[], Awaitable[object]]) -> Final | Unknown:
        try:
            changed: Any = await ask()
            intent = messages.read_intent(changed.last_response.body)
        except stripe.CardError as failure:
            return refusal(_fault(failure))
        except stripe.InvalidRequestError as failure:
            self._refused(order, failure)
            return declined(_NOT_DONE)
        except _UNCLEAR as failure:
            return Unknown(reason=_named(failure))
        if intent.id != order.acquirer_reference or intent.currency != order.currency:
            return Unknown(reason="answer about another payment or currency")
        is_done = intent.amount_received >= order.amount if order.kind is AttemptKind.CAPTURE else intent.amount == order.amount
        return self._approved(order) if is_done else Unknown(reason="answer about another amount")

    async def _changed(self, order: Order) -> Final | Unknown | NotFound:
        """Tell of a capture or an increment whose key is forgotten; raises what is unclear."""
        if order.acquirer_reference is None:
            return declined(_NOT_DONE, sent=False)
        intent = await self._retrieved(order.acquirer_reference)
        if order.kind is AttemptKind.INCREMENT:
            return self._approved(order) if intent.amount == order.amount else NotFound()
        if intent.status == "succeeded" and intent.amount_received == order.amount:
            return self._approved(order)
        if intent.status == "requires_capture" and intent.amount_received == 0:
            return NotFound()
        return Unknown(reason=f"payment intent {intent.status}, of which {intent.amount_received} was captured")

    async def _void(self, order: Order) -> Final | Unknown:
        """Give a hold up, as often as it takes: one that is given up already is."""
        intent_id = order.acquirer_reference
        if intent_id is None:
            return declined(_NOT_DONE, sent=False)
        try:
            try:
                cancelled: Any = await self._api.payment_intents.cancel_async(intent_id)
                intent = messages.read_intent(cancelled.last_response.body)
            except stripe.InvalidRequestError:
                intent = await self._retrieved(intent_id)
        except _UNCLEAR as failure:
            return Unknown(reason=_named(failure))
        is_over = intent.status in ("canceled", "succeeded") and intent.amount_capturable == 0
        return self._approved(order) if is_over else Unknown(reason=f"payment intent {intent.status}")

    async def _refund(self, order: Order) -> Final | Unknown:
        if order.acquirer_reference is None:
            return declined(_NOT_DONE, sent=False)
        params = {
            "payment_intent": order.acquirer_reference,
            "amount": order.amount,
            "metadata": {ATTEMPT: order.reference},
        }
        try:
            made: Any = await self._api.refunds.create_async(self._params(params), self._key(order.reference))
            return self._returned(order, messages.read_refund(made.last_response.body))
        except (stripe.InvalidRequestError, stripe.CardError) as failure:
            self._refused(order, failure)
            return declined(_NOT_DONE)
        except _UNCLEAR as failure:
            return Unknown(reason=_named(failure))

    async def _refunded(self, order: Order) -> Final | Unknown | NotFound:
        """Look a refund up, which lists show as soon as it is made; raises what is unclear."""
        if order.acquirer_reference is None:
            return declined(_NOT_DONE, sent=False)
        params = {"payment_intent": order.acquirer_reference, "limit": 100}
        while True:
            listed: Any = await self._api.refunds.list_async(self._params(params))
            page = messages.read_refunds(listed.last_response.body).data
            for each in page:
                if each.attempt == order.reference:
                    return self._returned(order, each)
            if len(page) < 100:
                return NotFound()
            params = {**params, "starting_after": page[-1].id}

    def _returned(self, order: Order, refund: StripeRefund) -> Final | Unknown:
        if (refund.attempt, refund.amount, refund.currency) != (order.reference, order.amount, order.currency):
            return Unknown(reason="answer about another refund, amount or currency")
        match refund.status:
            case "succeeded":
                return self._approved(order)
            case "failed" | "canceled":
                return declined(_NOT_DONE)
            case _:
                return Unknown(reason=PENDING)

    def _approved(self, order: Order) -> Approved:
        return approved(authorization_code=order.authorization_code)

    def _has_key(self, order: Order) -> bool:
        return self._clock.now() - order.created < KEYS_SECONDS

    def _key(self, key: str) -> Any:
        return {"idempotency_key": key}

    def _params(self, params: Mapping[str, Any]) -> Any:
        """The package's types know each parameter; what is sent is built by `messages`."""
        return params

    def _refused(self, order: Order, failure: Exception) -> None:
        """Log what an operator can mend: a key without the right, or cards that the account may not send. Stripe's text may repeat what was sent."""
        code = failure.code if isinstance(failure, stripe.StripeError) else None
        status = failure.http_status if isinstance(failure, stripe.StripeError) else None
        self._log.event(
            "acquirer_refused",
            acquirer=self.name,
            attempt=order.reference,
            error=type(failure).__name__,
            code=code or "",
            status=status or 0,
        )


class NoRedirects(stripe.AIOHTTPClient):
    """Sends cards nowhere else."""

    def _get_request_args_kwargs(self, method: str, url: str, headers: Mapping[str, str], post_data: Any) -> Any:
        args, kwargs = super()._get_request_args_kwargs(method, url, headers, post_data)  # pyright: ignore[reportUnknownMemberType] - Stripe's
        return args, {**kwargs, "allow_redirects": False}


@asynccontextmanager
async def open_stripe(spec: StripeSpec, key: str, clock: Clock, log: Logger) -> AsyncGenerator[StripeAcquirer]:
    """Open its connections."""
    timeout = aiohttp.ClientTimeout(total=spec.timeout_seconds, sock_connect=spec.connect_timeout_seconds)
    connector = aiohttp.TCPConnector(limit=spec.connections_max)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
        client = stripe.StripeClient(
            key,
            base_addresses={"api": spec.url.rstrip("/")},
            http_client=NoRedirects(session=session, timeout=None),
            max_network_retries=0,
        )
        yield StripeAcquirer(spec, client, clock, log)


def _fault(failure: stripe.CardError) -> StripeFault:
    error: Any = failure.error
    return StripeFault(code=failure.code, decline_code=getattr(error, "decline_code", None))


def _named(failure: BaseException) -> str:
    """Return what went wrong, without its text."""
    if isinstance(failure, stripe.StripeError) and failure.http_status is not None:
        return f"status {failure.http_status} {failure.code or type(failure).__name__}"
    cause = failure.__cause__ if isinstance(failure, stripe.APIConnectionError) else None
    return type(cause or failure).__name__
