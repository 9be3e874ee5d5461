"""What goes wrong with the bank, as it is told."""

import random
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct


class Fault(StrEnum):
    """What happens to an order and its answer."""

    NONE = "none"
    SLOW = "slow"
    """It is carried out after a while, and answered."""
    LATE = "late"
    """It is carried out at once, and answered after a while."""
    SILENT = "silent"
    """It is carried out, and never answered."""
    DEAF = "deaf"
    """It is neither carried out nor answered."""
    BELATED = "belated"
    """It isn't known and not answered, and is carried out much later: as by a bank that keeps orders in a queue."""
    DROP = "drop"
    """It is carried out, and the line breaks before the answer."""
    REFUSE = "refuse"
    """The line breaks before it is carried out."""
    HALF = "half"
    """It is carried out, and the line breaks in the middle of the answer."""
    TWICE = "twice"
    """It is carried out once, and answered twice."""
    OTHER_AMOUNT = "other_amount"
    """It is carried out, and the answer is about another amount,"""
    OTHER_ORDER = "other_order"
    """about another order,"""
    FORGED = "forged"
    """or somebody else's."""
    NONSENSE = "nonsense"
    """It is carried out, and the answer can't be read."""
    ERROR = "error"
    """It is carried out, and the answer is that something went wrong."""
    DIE = "die"
    """It is carried out, and the bank dies before the answer."""


BELATED_SECONDS = 1800.0
"""How much later: when everybody has given it up."""


class Order(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the bank is told to do wrong from now on."""

    fault: Fault
    seconds: Annotated[float, Meta(ge=0, le=600)] = 1.0
    """How long `slow` and `late` take."""
    times: Annotated[int, Meta(ge=1)] | None = None
    """How often it happens; None: until something else is said."""
    share: Annotated[float, Meta(gt=0, le=1)] = 1.0
    """To which part of what comes."""


class Faults:
    """Decides what goes wrong next."""

    def __init__(self, chance: random.Random, order: Order | None = None) -> None:
        self._chance = chance
        self.tell(order or Order(fault=Fault.NONE))
        self.happened: dict[str, int] = {}
        """How often each did."""

    def tell(self, order: Order) -> None:
        """Do this wrong from now on."""
        self.order = order
        self._left = order.times

    def next(self) -> Fault:
        """Return what happens to what has just come."""
        if self.order.fault is Fault.NONE or self._left == 0 or self._chance.random() >= self.order.share:
            return Fault.NONE
        if self._left is not None:
            self._left -= 1
        self.happened[self.order.fault] = self.happened.get(self.order.fault, 0) + 1
        return self.order.fault
