"""A model of a merchant's account, a plain dictionary, against the running system: whatever is called in whatever order, they agree."""

import uuid
from typing import Any

import pytest
import stripe
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.support.running_tap import RunningTap

CARDS = {
    "pm_card_visa": "approved",
    "pm_card_bypassPending": "approved",
    "pm_card_chargeDeclined": "declined",
    "pm_card_threeDSecure2Required": "challenged",
}


def machine(client: stripe.StripeClient) -> type[RuleBasedStateMachine]:
    api = client.v1.payment_intents

    class Account(RuleBasedStateMachine):
        """`self.model`: what each payment should be."""

        payments = Bundle("payments")

        def __init__(self) -> None:
            super().__init__()
            self.model: dict[str, dict[str, Any]] = {}

        @rule(target=payments, amount=st.integers(50, 100_000), manual=st.booleans())
        def create(self, amount: int, manual: bool) -> str:
            method = "manual" if manual else "automatic"
            intent = api.create({"amount": amount, "currency": "usd", "capture_method": method})
            self.model[intent.id] = {
                "status": "requires_payment_method",
                "amount": amount,
                "manual": manual,
                "received": 0,
                "capturable": 0,
                "refunded": 0,
            }
            return intent.id

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
                    model.update(status="requires_capture", capturable=model["amount"])
                case _:
                    model.update(status="succeeded", received=model["amount"])

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

        @precondition(lambda self: self.model)
        @invariant()
        def each_payment_is_what_it_should_be(self) -> None:
            newest = max(self.model)
            intent = api.retrieve(newest, {"expand": ["latest_charge"]})
            model = self.model[newest]
            found = (intent.status, intent.amount_received, intent.amount_capturable)
            assert found == (model["status"], model["received"], model["capturable"])
            charge: Any = intent.latest_charge
            if model["received"]:
                assert (charge.amount_captured, charge.amount_refunded) == (model["received"], model["refunded"])

        def teardown(self) -> None:
            for payment, model in self.model.items():
                assert api.retrieve(payment).status == model["status"]

    return Account


@pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning")
def test_the_system_agrees_with_a_dictionary(tap: RunningTap) -> None:
    client = tap.client(tap.create_key("--new-merchant", "Stateful"))
    run_state_machine_as_test(
        machine(client),
        settings=settings(
            max_examples=12,
            stateful_step_count=20,
            derandomize=True,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        ),
    )
    books = tap.tap("verify", check=False)
    assert books.returncode == 0, books.stdout
