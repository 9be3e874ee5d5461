"""Calls on the same few payments at once: a model that says which answers and states some order of the calls explains, and a machine that looks for others."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import permutations
from typing import Any, Protocol

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.support.in_process import Answer

PAYMENTS_MAX = 4
CALLS_MAX = 6


class Merchant(Protocol):
    """A way to call the API."""

    async def call(self, method: str, path: str, /, **params: str) -> Answer: ...


class Kind(StrEnum):
    REFUND_CHARGE = "refund by charge"
    REFUND_INTENT = "refund by intent"
    CAPTURE = "capture"
    CANCEL = "cancel"
    CONFIRM = "confirm"
    CONFIRM_SAVED = "confirm with the saved card"
    AMOUNT = "change the amount"
    NOTE_INTENT = "note on the intent"
    NOTE_CHARGE = "note on the charge"
    NOTE_REFUND = "note on a refund"
    DETACH = "detach the saved card"
    DELETE = "delete the customer"


@dataclass(frozen=True, slots=True)
class Payment:
    """What the model knows of a payment; amounts in minor units."""

    amount: int
    manual: bool
    status: str = "requires_payment_method"
    capturable: int = 0
    received: int = 0
    refunded: int = 0


@dataclass(frozen=True, slots=True)
class Account:
    """What the model knows of a merchant with one customer."""

    payments: Mapping[str, Payment]
    attached: bool = True
    deleted: bool = False

    def having(self, payment: str, **changes: Any) -> "Account":
        return replace(self, payments={**self.payments, payment: replace(self.payments[payment], **changes)})


@dataclass(frozen=True, slots=True)
class Step:
    """One call."""

    kind: Kind
    payment: str
    amount: int | None = None
    flag: bool = False
    note: str = ""


UPDATABLE = ("requires_payment_method", "requires_confirmation")


def apply(account: Account, step: Step) -> tuple[Account, bool, int | None]:
    """What a call does when it is alone: the account after it, whether it is accepted, and the amount that it answers with."""
    of = account.payments[step.payment]
    match step.kind:
        case Kind.REFUND_CHARGE | Kind.REFUND_INTENT:
            left = of.received - of.refunded
            amount = left if step.amount is None else step.amount
            if not left or amount > left:
                return account, False, None
            return account.having(step.payment, refunded=of.refunded + amount), True, amount
        case Kind.CAPTURE:
            amount = of.capturable if step.amount is None else step.amount
            if of.status != "requires_capture" or amount > of.capturable:
                return account, False, None
            left = 0 if step.flag else of.capturable - amount
            status = "requires_capture" if left else "succeeded"
            return account.having(step.payment, status=status, capturable=left, received=of.received + amount), True, None
        case Kind.CANCEL:
            if of.status in ("succeeded", "canceled"):
                return account, False, None
            return account.having(step.payment, status="canceled", capturable=0), True, None
        case Kind.CONFIRM | Kind.CONFIRM_SAVED:
            if of.status not in UPDATABLE or account.deleted or (step.kind is Kind.CONFIRM_SAVED and not account.attached):
                return account, False, None
            if of.manual:
                return account.having(step.payment, status="requires_capture", capturable=of.amount), True, None
            return account.having(step.payment, status="succeeded", received=of.amount), True, None
        case Kind.AMOUNT:
            if of.status not in UPDATABLE:
                return account, False, None
            return account.having(step.payment, amount=step.amount), True, None
        case Kind.DETACH:
            return replace(account, attached=False), account.attached, None
        case Kind.DELETE:
            return replace(account, attached=False, deleted=True), not account.deleted, None
        case Kind.NOTE_INTENT | Kind.NOTE_CHARGE | Kind.NOTE_REFUND:
            return account, True, None


def explained(before: Account, calls: Sequence[tuple[Step, Answer]], after: Account) -> bool:
    """Tell whether some order of the calls gives these answers, and leads to what is there afterwards. What was refused for the moment did nothing."""
    effective = [(step, answer) for step, answer in calls if answer.status != 429 and not _met_a_confirmation(step, answer, calls)]
    for order in permutations(effective):
        account = before
        for step, answer in order:
            account, accepted, amount = apply(account, step)
            if accepted != (answer.status == 200) or (amount is not None and answer.body["amount"] != amount):
                break
        else:
            if account == after:
                return True
    return False


def _met_a_confirmation(step: Step, answer: Answer, calls: Sequence[tuple[Step, Answer]]) -> bool:
    """A payment that is with the acquirer says so, and is refused what it would be allowed before or after that."""
    if answer.status != 400 or answer.body["error"].get("payment_intent", {}).get("status") != "processing":
        return False
    return any(other.payment == step.payment and other.kind in (Kind.CONFIRM, Kind.CONFIRM_SAVED) for other, _ in calls)


@dataclass
class World:
    """The system as the machine sees it: what it called, and what must be visible of that."""

    merchant: Merchant
    run: Callable[[Coroutine[Any, Any, Any]], Any]
    customer: str = ""
    card: str = ""
    charges: dict[str, str] = field(default_factory=dict[str, str])
    refunds: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    notes: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    noted: int = 0

    async def post(self, path: str, **params: str) -> Answer:
        return await self.merchant.call("POST", f"/v1/{path}", **params)

    async def get(self, path: str, **params: str) -> Any:
        answer = await self.merchant.call("GET", f"/v1/{path}", **params)
        assert answer.status == 200, answer
        return answer.body

    async def open(self) -> None:
        self.customer = (await self.post("customers")).id
        self.card = (await self.post("payment_methods/pm_card_visa/attach", customer=self.customer)).id

    async def create(self, amount: int, manual: bool) -> str:
        method = "manual" if manual else "automatic"
        return (await self.post("payment_intents", amount=str(amount), currency="usd", customer=self.customer, capture_method=method)).id

    async def take(self, step: Step) -> Answer:
        path = f"payment_intents/{step.payment}"
        amount = {} if step.amount is None else {"amount": str(step.amount)}
        note = {f"metadata[{step.note}]": "yes"}
        match step.kind:
            case Kind.REFUND_CHARGE:
                return await self.post("refunds", charge=self.charges[step.payment], **amount)
            case Kind.REFUND_INTENT:
                return await self.post("refunds", payment_intent=step.payment, **amount)
            case Kind.CAPTURE:
                to_capture = {} if step.amount is None else {"amount_to_capture": str(step.amount)}
                return await self.post(f"{path}/capture", final_capture=str(step.flag).lower(), **to_capture)
            case Kind.CANCEL:
                return await self.post(f"{path}/cancel")
            case Kind.CONFIRM:
                return await self.post(f"{path}/confirm", payment_method="pm_card_bypassPending")
            case Kind.CONFIRM_SAVED:
                return await self.post(f"{path}/confirm", payment_method=self.card)
            case Kind.AMOUNT:
                return await self.post(path, **amount)
            case Kind.NOTE_INTENT:
                return await self.note(path, note)
            case Kind.NOTE_CHARGE:
                return await self.note(f"charges/{self.charges[step.payment]}", note)
            case Kind.NOTE_REFUND:
                return await self.note(f"refunds/{self.refunds[step.payment][-1]}", note)
            case Kind.DETACH:
                return await self.post(f"payment_methods/{self.card}/detach")
            case Kind.DELETE:
                return await self.merchant.call("DELETE", f"/v1/customers/{self.customer}")

    async def note(self, path: str, note: dict[str, str]) -> Answer:
        answer = await self.post(path, **note)
        if answer.status == 200:
            self.notes.setdefault(path, set()).update(key.removeprefix("metadata[").removesuffix("]") for key in note)
        return answer

    def possible(self, kind: Kind, payment: str) -> bool:
        """Whether there is something to name in such a call."""
        if kind in (Kind.REFUND_CHARGE, Kind.NOTE_CHARGE):
            return payment in self.charges
        return kind is not Kind.NOTE_REFUND or bool(self.refunds.get(payment))

    async def found(self, account: Account, payment: str) -> Payment:
        """A payment as the system shows it; its parts agree with one another."""
        intent = await self.get(f"payment_intents/{payment}")
        refunded = 0
        if intent["latest_charge"] is not None:
            self.charges[payment] = intent["latest_charge"]
            charge = await self.get(f"charges/{intent['latest_charge']}")
            refunds = (await self.get("refunds", charge=charge["id"], limit="100"))["data"]
            self.refunds[payment] = [refund["id"] for refund in refunds]
            refunded = sum(refund["amount"] for refund in refunds if refund["status"] not in ("failed", "canceled"))
            assert charge["amount_refunded"] == refunded
            assert charge["amount_captured"] == intent["amount_received"]
            assert refunded <= charge["amount_captured"] <= charge["amount"] == intent["amount"]
        return Payment(
            amount=intent["amount"],
            manual=account.payments[payment].manual,
            status=intent["status"],
            capturable=intent["amount_capturable"],
            received=intent["amount_received"],
            refunded=refunded,
        )

    async def check_notes(self) -> None:
        for path, notes in self.notes.items():
            assert notes <= (await self.get(path))["metadata"].keys(), f"an update of {path} was answered with 200, and is lost"


ON_MONEY = (Kind.REFUND_CHARGE, Kind.REFUND_INTENT, Kind.CAPTURE, Kind.CONFIRM_SAVED)
"""Drawn more often than the others: what loses money is what is done twice."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A call, several times: how often, of which of the newest payments, for which share of it, and after how many turns of the loop each."""

    kind: Kind
    index: int
    share: float | None
    flag: bool
    turns: list[int]


CALLS = st.lists(
    st.builds(
        Drawn,
        kind=st.sampled_from((*Kind, *ON_MONEY, *ON_MONEY)),
        index=st.sampled_from((0, 0, 0, 1)),
        share=st.sampled_from((None, 0.3, 0.6, 1.0)),
        flag=st.booleans(),
        turns=st.lists(st.integers(0, 12), min_size=1, max_size=3),
    ),
    min_size=1,
    max_size=3,
)


def machine(world_of: Callable[[], World]) -> type[RuleBasedStateMachine]:
    """A machine on a new customer each time."""

    class AtOnce(RuleBasedStateMachine):
        """`self.account`: what the model knows."""

        def __init__(self) -> None:
            super().__init__()
            self.world = world_of()
            self.account = Account({})
            self.created = 0
            """Which rules are possible depends on what was drawn only: how calls at once end is different each time."""

        @initialize()
        def open(self) -> None:
            self.world.run(self.world.open())

        @precondition(lambda self: self.created < PAYMENTS_MAX)
        @rule(amount=st.sampled_from([1000, 2000]), manual=st.booleans(), confirmed=st.booleans())
        def create(self, amount: int, manual: bool, confirmed: bool) -> None:
            self.created += 1
            if self.account.deleted:
                return
            payment = self.world.run(self.world.create(amount, manual))
            self.account = replace(self.account, payments={**self.account.payments, payment: Payment(amount, manual)})
            if confirmed:
                self._at_once([(Step(Kind.CONFIRM, payment), 0)])

        @precondition(lambda self: self.created)
        @rule(drawn=CALLS)
        def call_at_once(self, drawn: list[Drawn]) -> None:
            newest = list(self.account.payments)[-2:]
            if not newest:
                return
            steps: list[tuple[Step, int]] = []
            for each in drawn:
                payment = newest[-1 - each.index % len(newest)]
                whole = each.share is None and each.kind is not Kind.AMOUNT
                amount = None if whole else int(self.account.payments[payment].amount * (each.share or 2))
                for turns in each.turns if self.world.possible(each.kind, payment) else ():
                    self.world.noted += 1
                    steps.append((Step(each.kind, payment, amount, each.flag, f"note{self.world.noted}"), turns))
            self._at_once(steps[:CALLS_MAX])

        def _at_once(self, steps: list[tuple[Step, int]]) -> None:
            calls = self.world.run(self._take(steps))
            touched = {step.payment for step, _ in steps}
            found = {payment: self.world.run(self.world.found(self.account, payment)) for payment in touched}
            accepted = {step.kind for step, answer in calls if answer.status == 200}
            after = Account(
                {**self.account.payments, **found},
                attached=self.account.attached and not accepted & {Kind.DETACH, Kind.DELETE},
                deleted=self.account.deleted or Kind.DELETE in accepted,
            )
            for step, answer in calls:
                assert answer.status in (200, 400, 404, 429), (step, answer)
            assert explained(self.account, calls, after), (self.account, calls, after)
            self.account = after
            self.world.run(self.world.check_notes())

        async def _take(self, steps: list[tuple[Step, int]]) -> list[tuple[Step, Answer]]:
            async def take(step: Step, turns: int) -> tuple[Step, Answer]:
                for _ in range(turns):
                    await asyncio.sleep(0)  # whoever comes first in the loop's turn isn't always first
                return step, await self.world.take(step)

            return await asyncio.gather(*(take(step, turns) for step, turns in steps))

    return AtOnce


def bounded(*, max_examples: int) -> settings:
    """Return how long the machine runs: the same calls each time, none of them made smaller afterwards."""
    return settings(
        max_examples=max_examples,
        stateful_step_count=12,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
