"""A model of a merchant's account, a plain dictionary, against the running system: whatever is called in whatever order, they agree."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
import stripe
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, precondition, rule, run_state_machine_as_test

from tests.support.running_tap import RunningTap
from tests.support.waiting import wait_until

CARDS = {
    "pm_card_visa": "approved",
    "pm_card_bypassPending": "approved",
    "pm_card_chargeDeclined": "declined",
    "pm_card_threeDSecure2Required": "challenged",
}


AT_ONCE = "pm_card_bypassPending"
DISPUTE_FEE = 1500


def net(amount: int) -> int:
    """What is left of a capture: 2.9 % and 30, rounded half up, are the fee."""
    return amount - (amount * 29 + 30_000 + 500) // 1000


def machine(client: stripe.StripeClient) -> type[RuleBasedStateMachine]:
    api = client.v1.payment_intents
    begins_at = give_bank_account(client)

    class Account(RuleBasedStateMachine):
        """`self.model`: what each payment should be."""

        payments = Bundle("payments")
        payouts = Bundle("payouts")
        kept = Bundle("kept")

        def __init__(self) -> None:
            super().__init__()
            self.model: dict[str, dict[str, Any]] = {}
            self.available = begins_at()
            self.disputed = False
            self.customer: str | None = None
            self.detached: set[str] = set()

        @rule(target=payments, amount=st.integers(50, 100_000), manual=st.booleans(), grows=st.booleans())
        def create(self, amount: int, manual: bool, grows: bool) -> str:
            method = "manual" if manual else "automatic"
            options: Any = {"payment_method_options": {"card": {"request_incremental_authorization": "if_available"}}} if grows else {}
            asked: Any = {"amount": amount, "currency": "usd", "capture_method": method, **options}
            intent = api.create(asked)
            self.model[intent.id] = payment_of(amount, manual=manual, grows=grows)
            return intent.id

        @rule(target=kept, card=st.sampled_from(sorted(CARDS)))
        def set_up(self, card: str) -> Any:
            self.customer = self.customer or client.v1.customers.create().id
            asked: Any = {"customer": self.customer, "payment_method": card, "usage": "off_session", "confirm": True}
            asked["return_url"] = "https://shop.example/kept"
            try:
                made = client.v1.setup_intents.create(asked)
            except stripe.CardError:
                assert CARDS[card] == "declined"
                return multiple()
            assert made.status == ("requires_action" if CARDS[card] == "challenged" else "succeeded")
            return str(made.payment_method) if made.status == "succeeded" else multiple()

        @rule(target=payments, card=kept, amount=st.integers(50, 100_000), manual=st.booleans())
        def pay_while_away(self, card: str, amount: int, manual: bool) -> Any:
            asked: Any = {"amount": amount, "currency": "usd", "customer": self.customer, "payment_method": card, "confirm": True}
            asked |= {"off_session": True, "capture_method": "manual" if manual else "automatic"}
            try:
                intent = api.create(asked)
            except stripe.InvalidRequestError:
                assert card in self.detached
                return multiple()
            assert card not in self.detached
            bypasses = intent.payment_method in self.bypassing()
            self.model[intent.id] = model = payment_of(amount, manual=manual, at_once=bypasses)
            if manual:
                model.update(status="requires_capture", capturable=amount)
            else:
                model.update(status="succeeded", received=amount)
                self.available += net(amount) if bypasses else 0
            return intent.id

        def bypassing(self) -> set[str]:
            """The kept cards whose funds are available at once."""
            return {
                each.id
                for each in client.v1.customers.payment_methods.list(str(self.customer)).data
                if each.card and each.card.last4 == "0077"
            }

        @rule(card=kept)
        def detach(self, card: str) -> None:
            try:
                client.v1.payment_methods.detach(card)
            except stripe.InvalidRequestError:
                assert card in self.detached
            self.detached.add(card)

        @rule(payment=payments, share=st.floats(0.5, 2.0))
        def increment(self, payment: str, share: float) -> None:
            model = self.model[payment]
            amount = max(50, int(model["amount"] * share))
            possible = model["status"] == "requires_capture" and model["grows"] and amount > model["amount"] and model["increments"] < 10
            try:
                grown = api.increment_authorization(payment, {"amount": amount})
            except stripe.InvalidRequestError:
                assert not possible
                return
            assert possible
            assert grown.amount == amount
            model["capturable"] += amount - model["amount"]
            model["amount"] = amount
            model["increments"] += 1

        @rule(payment=payments, card=st.sampled_from(sorted(CARDS)), twice=st.booleans())
        def confirm(self, payment: str, card: str, twice: bool) -> None:
            model = self.model[payment]
            options: stripe.RequestOptions = {"idempotency_key": uuid.uuid4().hex}
            expected = model["status"] in ("requires_payment_method", "requires_action")
            for _ in range(2 if twice else 1):
                try:
                    api.confirm(payment, {"payment_method": card}, options)
                except stripe.CardError:
                    assert expected
                    assert CARDS[card] == "declined"
                except stripe.InvalidRequestError as refused:
                    assert not expected
                    assert refused.code == "payment_intent_unexpected_state"
                else:
                    assert expected
                    assert CARDS[card] != "declined"
            if not expected:
                return
            match CARDS[card], model["manual"]:
                case "declined", _:
                    model["status"] = "requires_payment_method"
                case "challenged", _:
                    model["status"] = "requires_action"
                case _, True:
                    model.update(status="requires_capture", capturable=model["amount"], at_once=card == AT_ONCE)
                case _:
                    model.update(status="succeeded", received=model["amount"])
                    self.available += net(model["amount"]) if card == AT_ONCE else 0

        @rule(payment=payments, share=st.floats(0.01, 1.2), final=st.booleans())
        def capture(self, payment: str, share: float, final: bool) -> None:
            model = self.model[payment]
            amount = max(1, int(model["amount"] * share))
            try:
                api.capture(payment, {"amount_to_capture": amount, "final_capture": final})
            except stripe.InvalidRequestError:
                assert model["status"] != "requires_capture" or amount > model["capturable"]
                return
            assert model["status"] == "requires_capture"
            assert amount <= model["capturable"]
            model["received"] += amount
            self.available += net(amount) if model["at_once"] else 0
            model["capturable"] = 0 if final else model["capturable"] - amount
            if not model["capturable"]:
                model["status"] = "succeeded"

        @rule(payment=payments)
        def cancel(self, payment: str) -> None:
            model = self.model[payment]
            try:
                api.cancel(payment)
            except stripe.InvalidRequestError:
                assert model["status"] in ("succeeded", "canceled")
                return
            assert model["status"] not in ("succeeded", "canceled")
            model.update(status="canceled", capturable=0)

        @rule(payment=payments, share=st.floats(0.01, 1.2), twice=st.booleans())
        def refund(self, payment: str, share: float, twice: bool) -> None:
            model = self.model[payment]
            amount = max(1, int(model["amount"] * share))
            options: stripe.RequestOptions = {"idempotency_key": uuid.uuid4().hex}
            try:
                for _ in range(2 if twice else 1):
                    client.v1.refunds.create({"payment_intent": payment, "amount": amount}, options)
            except stripe.InvalidRequestError:
                assert amount > model["received"] - model["refunded"]
                return
            assert amount <= model["received"] - model["refunded"]
            model["refunded"] += amount
            self.available -= amount

        @precondition(lambda self: not self.disputed)
        @rule(amount=st.integers(50, 10_000), ending=st.sampled_from(["winning_evidence", "losing_evidence", "close", "open"]))
        def dispute(self, amount: int, ending: str) -> None:
            self.disputed = True  # each takes a second or two
            paid = api.create({"amount": amount, "currency": "usd", "confirm": True, "payment_method": "pm_card_createDispute"})
            wait_until(lambda: client.v1.disputes.list({"payment_intent": paid.id}).data, "it is disputed")
            dispute = client.v1.disputes.list({"payment_intent": paid.id}).data[0]
            self.available -= amount + DISPUTE_FEE
            with pytest.raises(stripe.InvalidRequestError, match="charged back"):
                client.v1.refunds.create({"payment_intent": paid.id})
            match ending:
                case "open":
                    return
                case "close":
                    client.v1.disputes.close(dispute.id)
                case _:
                    client.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": ending}})
            wait_until(lambda: client.v1.disputes.retrieve(dispute.id).status in ("won", "lost"), "it is decided")
            won = client.v1.disputes.retrieve(dispute.id).status == "won"
            assert won == (ending == "winning_evidence")
            self.available += amount if won else 0

        @rule(target=payouts, share=st.floats(0.1, 1.2))
        def pay_out(self, share: float) -> Any:
            amount = max(1, int(self.available * share))
            try:
                payout = client.v1.payouts.create({"amount": amount, "currency": "usd"})
            except stripe.InvalidRequestError as refused:
                assert refused.code == "balance_insufficient"
                assert amount > self.available
                return multiple()
            assert amount <= self.available
            self.available -= amount
            return payout.id

        @rule(payout=payouts)
        def cancel_payout(self, payout: str) -> None:
            try:
                canceled = client.v1.payouts.cancel(payout)
            except stripe.InvalidRequestError:
                assert client.v1.payouts.retrieve(payout).status != "pending"
                return
            self.available += canceled.amount

        @invariant()
        def what_is_available_is_what_it_should_be(self) -> None:
            assert client.v1.balance.retrieve().available[0].amount == self.available

        @precondition(lambda self: self.model)
        @invariant()
        def each_payment_is_what_it_should_be(self) -> None:
            newest = max(self.model)
            intent = api.retrieve(newest, {"expand": ["latest_charge"]})
            model = self.model[newest]
            found = (intent.status, intent.amount, intent.amount_received, intent.amount_capturable)
            assert found == (model["status"], model["amount"], model["received"], model["capturable"])
            charge: Any = intent.latest_charge
            if model["received"]:
                assert (charge.amount_captured, charge.amount_refunded) == (model["received"], model["refunded"])

        def teardown(self) -> None:
            for payment, model in self.model.items():
                assert api.retrieve(payment).status == model["status"]

    return Account


def payment_of(amount: int, *, manual: bool, grows: bool = False, at_once: bool = False) -> dict[str, Any]:
    """What a payment is when nobody has paid yet."""
    return {
        "status": "requires_payment_method",
        "amount": amount,
        "manual": manual,
        "grows": grows,
        "increments": 0,
        "received": 0,
        "capturable": 0,
        "refunded": 0,
        "at_once": at_once,
    }


def give_bank_account(client: stripe.StripeClient) -> Callable[[], int]:
    """Let a merchant be paid out; returns what tells their available funds."""
    given: Any = {"object": "bank_account", "account_number": "000123456789", "country": "US", "currency": "usd"}
    given["routing_number"] = "110000000"
    client.v1.accounts.external_accounts.create(client.v1.accounts.retrieve_current().id, {"external_account": given})
    return lambda: client.v1.balance.retrieve().available[0].amount


@pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning")
def test_the_system_agrees_with_a_dictionary(tap: RunningTap) -> None:
    client = tap.client(tap.create_key("--new-merchant", "Stateful"))
    run_state_machine_as_test(
        machine(client),
        settings=settings(
            max_examples=12,
            stateful_step_count=18,
            derandomize=True,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        ),
    )
    books = tap.tap("verify", check=False)
    assert books.returncode == 0, books.stdout
