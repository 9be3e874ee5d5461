"""How the bank decides: an order once per reference, and never more than was authorized."""

from collections.abc import Callable, Mapping

from msgspec import Struct

from payments.acquirers.far_end.record import BankOrder, Record, Recorded
from payments.acquirers.test_cards import BY_NUMBER, Behaviour
from payments.runtime.clock import Clock

_REFUSED = "transaction_not_allowed"


class Conflict(Exception):
    """The reference belongs to another order."""


class Decision(Struct, frozen=True, kw_only=True):
    """What the bank says to an order."""

    approved: bool
    decline_code: str | None = None


class Judge:
    """Decides orders, and records what it decided."""

    def __init__(self, record: Record, clock: Clock, declines: Mapping[int, str]) -> None:
        """`declines`: amounts that are declined, and with what; test cards that are declined in the sandbox are here, too."""
        self._record = record
        self._clock = clock
        self._declines = declines

    def decide(self, order: BankOrder, encode: Callable[[Decision], bytes], *, unreferenced: bool = False) -> bytes:
        """Return the answer to an order, as it is recorded; raises `Conflict`. `unreferenced`: a refund that names no payment, in protocols that have no place for it."""
        known = self._record.find(order.reference)
        if known is not None:
            if not known.is_about(order):
                raise Conflict(order.reference)
            self._record.repeated(order.reference)
            return known.answer
        original = None if order.original is None else self._record.find(order.original)
        decision = Decision(approved=True) if unreferenced and order.original is None else self._decision(order, original)
        answer = encode(decision)
        root = order.reference if original is None else original.root
        self._record.insert(order, root, approved=decision.approved, answer=answer, now=self._clock.now())
        return answer

    def _decision(self, order: BankOrder, original: Recorded | None) -> Decision:
        if order.kind in ("authorize", "verify"):
            return self._of_card(order)
        if original is None or not original.approved or original.currency != order.currency:
            return Decision(approved=False, decline_code=_REFUSED)
        standing = self._record.standing(original.root)
        match order.kind:
            case "increment":
                fits = not standing.voided and not standing.claimed and order.amount > standing.held
            case "capture":
                fits = not standing.voided and standing.claimed + order.amount <= standing.held
            case "void":
                fits = not standing.voided and order.amount <= standing.held - standing.claimed
            case "refund":
                fits = standing.refunded + order.amount <= standing.claimed
            case _:
                fits = False
        return Decision(approved=True) if fits else Decision(approved=False, decline_code=_REFUSED)

    def _of_card(self, order: BankOrder) -> Decision:
        if order.amount in self._declines:
            return Decision(approved=False, decline_code=self._declines[order.amount])
        card = BY_NUMBER.get(order.number or "")
        if card is not None and card.behaviour is Behaviour.DECLINE:
            return Decision(approved=False, decline_code=card.decline_code or card.code)
        return Decision(approved=True)
