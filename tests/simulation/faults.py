"""What goes wrong, how often, as a seed draws it: each seed has kinds of its own, so that some see much of one kind and nothing of another."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Harm(StrEnum):
    """What may happen to a statement or a message."""

    NONE = "none"
    DELAYED = "delayed"
    """It takes seconds."""
    LOST = "lost"
    """The connection breaks before it arrives."""
    ANSWER_LOST = "answer lost"
    """It took effect, and the connection breaks before that is known."""
    CRASH_BEFORE = "crash before"
    """The process is killed before it takes effect,"""
    CRASH_AFTER = "crash after"
    """or after."""
    PAUSED = "paused"
    """The process stands still before it is sent, perhaps for longer than its leases last."""
    TWICE = "twice"
    """Of a request: it arrives twice."""


STATEMENT: Sequence[Harm] = (Harm.DELAYED, Harm.LOST, Harm.ANSWER_LOST, Harm.CRASH_BEFORE, Harm.CRASH_AFTER, Harm.PAUSED)
MESSAGE: Sequence[Harm] = (Harm.DELAYED, Harm.LOST, Harm.ANSWER_LOST)
REQUEST: Sequence[Harm] = (Harm.DELAYED, Harm.LOST, Harm.ANSWER_LOST, Harm.TWICE)

_USUAL = {
    Harm.DELAYED: 0.14,
    Harm.LOST: 0.05,
    Harm.ANSWER_LOST: 0.05,
    Harm.CRASH_BEFORE: 0.002,
    Harm.CRASH_AFTER: 0.002,
    Harm.PAUSED: 0.004,
    Harm.TWICE: 0.08,
}
"""The share of the steps that each befalls, before a seed makes more or less of it."""
_SHORT_PAUSE, _LONG_PAUSE, _NIGHT = (0.1, 5.0), (5.0, 40.0), (600.0, 1500.0)


@dataclass(slots=True)
class Faults:
    """Draws what happens to each step."""

    chance: random.Random
    harm: float = 1.0
    """How much more goes wrong than usually."""
    calm: bool = True
    """Nothing goes wrong, as before the work begins and after it is done."""
    steps: int = 0
    """Statements and messages while things could go wrong,"""
    happened: Counter[Harm] = field(default_factory=Counter[Harm])
    """and what befell them."""
    shares: dict[Harm, float] = field(default_factory=dict[Harm, float])

    def __post_init__(self) -> None:
        self.shares = {harm: share * self.harm * self.chance.choice((0.5, 1.0, 1.0, 2.0)) for harm, share in _USUAL.items()}

    def next(self, kinds: Sequence[Harm]) -> Harm:
        """Return what happens to this step."""
        if self.calm:
            return Harm.NONE
        self.steps += 1
        drawn = self.chance.random()
        for harm in kinds:
            drawn -= self.shares[harm]
            if drawn < 0:
                self.happened[harm] += 1
                return harm
        return Harm.NONE

    def latency(self) -> float:
        """Return how many seconds a step takes that nothing befalls."""
        return self.chance.uniform(0.0002, 0.004)

    def delay(self) -> float:
        """Return how many seconds a delayed one takes."""
        return self.chance.choice((0.05, 0.3, 1.0, 4.0)) * self.chance.random()

    def pause(self) -> float:
        """Return how many seconds a process stands still."""
        least, most = self.chance.choices((_SHORT_PAUSE, _LONG_PAUSE, _NIGHT), (6, 3, 1))[0]
        return self.chance.uniform(least, most)
