"""The acquirers by name, what was last wrong with each, and whether payments are sent there."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from msgspec import Struct

from payments.acquirers.acquirer import Acquirer, SaysNothing
from payments.acquirers.breaker import Breaker, BreakerState
from payments.domain.acquirers import SANDBOX
from payments.domain.outcome import PENDING, NotFound, Outcome, Unknown
from payments.runtime.clock import elapsed_seconds

_HEALTH_SECONDS_MAX = 10.0
_HOPE_SECONDS = 20.0
"""Between two looks whether an acquirer that left questions open says that it is well: then they are asked again, which one that lies about it takes no more often."""


class AcquirerState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How one acquirer is, as one copy of transaction-processor finds it."""

    name: str
    fault: str | None = None
    """What is wrong with it now; None: nothing."""
    round_trip_seconds: float
    """How long it took to ask."""
    unknown: int = 0
    """How many questions about payments it left without a clear answer since the copy began."""
    last_error: str | None = None
    last_error_at: float | None = None
    """Unix seconds."""
    breaker: BreakerState = BreakerState.CLOSED
    """Whether the copy sends it payments."""


class UnknownAcquirer(LookupError):
    """No acquirer of this name is configured, or none is any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """When payments aren't sent to an acquirer any more."""

    failures_max: int
    """In a row; 0: never."""
    pause_seconds: float


NEVER = Bounds(failures_max=0, pause_seconds=1.0)
"""As the sandbox, which is in here."""


@dataclass(slots=True)
class _Record:
    """What was found of an acquirer since this process began."""

    breaker: Breaker
    unknown: int = 0
    """How many questions it didn't answer, or not in a way that says anything."""
    last_error: str | None = None
    last_error_at: float | None = None
    """Unix seconds."""
    ill: bool = False
    """The last question about a payment got no clear answer: others may wait for one, too."""
    hoped_at: float = 0.0


@dataclass(slots=True)
class Acquirers:
    """Finds an acquirer by its name."""

    acquirers: Iterable[Acquirer]
    bounds: Mapping[str, Bounds] = field(default_factory=dict[str, Bounds])
    """By name."""
    elapsed: Callable[[], float] = elapsed_seconds
    _by_name: dict[str, Acquirer] = field(init=False)
    _records: dict[str, _Record] = field(init=False)
    _back: set[str] = field(init=False, default_factory=set[str])

    def __post_init__(self) -> None:
        self._by_name = {each.name: each for each in self.acquirers}
        self._records = {}
        for name in self._by_name:
            bounds = self.bounds.get(name, NEVER)
            self._records[name] = _Record(Breaker(bounds.failures_max, bounds.pause_seconds, self.elapsed))

    def named(self, name: str) -> Acquirer:
        """Return an acquirer; raises `UnknownAcquirer`."""
        found = self._by_name.get(name)
        if found is None:
            raise UnknownAcquirer(name)
        return found

    def __iter__(self) -> Iterator[Acquirer]:
        return iter(self._by_name.values())

    @property
    def sandbox(self) -> Acquirer:
        """The one that every Tap has."""
        return self.named(SANDBOX)

    def only_sandbox(self, condition: str) -> str | None:
        """Return a job's condition if it is enough to ask our own database, since nobody outside tells anything of their own accord; else None."""
        return condition if all(each.name == SANDBOX or isinstance(each, SaysNothing) for each in self) else None

    def breaker(self, name: str) -> Breaker:
        """Return the breaker before an acquirer; raises `UnknownAcquirer`."""
        self.named(name)
        return self._records[name].breaker

    def heard(self, name: str, answer: Outcome | NotFound, now: float) -> None:
        """Remember how an acquirer answered; `now`, unix seconds."""
        record = self._records[name]
        if not isinstance(answer, Unknown):
            record.breaker.succeeded()
            if record.ill:
                record.ill = False
                self._back.add(name)
            return
        record.unknown += 1
        record.last_error, record.last_error_at = answer.reason, now
        if answer.reason == PENDING:
            record.breaker.succeeded()
        else:
            record.breaker.failed()
            self._fell_ill(record)

    def not_sent(self, name: str, reason: str, now: float) -> None:
        """Remember that nobody was there; `now`, unix seconds."""
        record = self._records[name]
        record.last_error, record.last_error_at = f"not sent: {reason}", now
        record.breaker.failed()
        self._fell_ill(record)

    def _fell_ill(self, record: _Record) -> None:
        if not record.ill:
            record.ill, record.hoped_at = True, self.elapsed()

    def silent(self) -> list[str]:
        """Return those that gave no clear answer to the last question about a payment."""
        return sorted(name for name, record in self._records.items() if record.ill)

    def back(self) -> list[str]:
        """Return those that answer clearly again, or say that they are well, after they didn't: what they left open may be asked about at once."""
        return sorted(self._back)

    def asked_again(self, name: str) -> None:
        """What an acquirer left open is being asked about."""
        self._back.discard(name)

    async def probe(self) -> int:
        """Ask those that get no payments, or left questions open, whether they are well again, when it is time to; returns how many were asked."""
        due = [each for each in self if self._records[each.name].breaker.is_due() or self._hopes(each.name)]
        for acquirer, state in zip(due, await asyncio.gather(*(self._state(each) for each in due)), strict=True):
            record, well = self._records[acquirer.name], state.fault is None
            if record.breaker.is_due():
                record.breaker.asked(well=well)
            if self._hopes(acquirer.name):
                record.hoped_at = self.elapsed()
                self._back |= {acquirer.name} if well else set()
        return 0

    def _hopes(self, name: str) -> bool:
        record = self._records[name]
        return record.ill and self.elapsed() - record.hoped_at >= _HOPE_SECONDS

    async def states(self) -> list[AcquirerState]:
        """Ask all at once how they are."""
        return await asyncio.gather(*(self._state(each) for each in self))

    async def _state(self, acquirer: Acquirer) -> AcquirerState:
        begun = elapsed_seconds()
        try:
            async with asyncio.timeout(_HEALTH_SECONDS_MAX):
                fault = await acquirer.health()
        except Exception as failure:  # noqa: BLE001 - whatever it is, it is what's wrong
            fault = type(failure).__name__
        record = self._records[acquirer.name]
        return AcquirerState(
            name=acquirer.name,
            fault=fault,
            round_trip_seconds=round(elapsed_seconds() - begun, 4),
            unknown=record.unknown,
            last_error=record.last_error,
            last_error_at=record.last_error_at,
            breaker=record.breaker.state,
        )
