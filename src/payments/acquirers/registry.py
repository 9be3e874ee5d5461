"""The acquirers by name, and what was last wrong with each."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from msgspec import Struct

from payments.acquirers.acquirer import Acquirer
from payments.domain.acquirers import SANDBOX
from payments.runtime.clock import elapsed_seconds

_HEALTH_SECONDS_MAX = 10.0


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


class UnknownAcquirer(LookupError):
    """No acquirer of this name is configured, or none is any more."""


@dataclass(slots=True)
class _Troubles:
    """What went wrong with an acquirer since this process began."""

    unknown: int = 0
    """How many questions it didn't answer, or not in a way that says anything."""
    last_error: str | None = None
    last_error_at: float | None = None
    """Unix seconds."""


class Acquirers:
    """Finds an acquirer by its name."""

    def __init__(self, acquirers: Iterable[Acquirer]) -> None:
        self._by_name = {each.name: each for each in acquirers}
        self._troubles = {name: _Troubles() for name in self._by_name}

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

    def note(self, name: str, error: str, now: float) -> None:
        """Remember that an acquirer didn't answer, or not in a way that says anything."""
        troubles = self._troubles[name]
        troubles.unknown += 1
        troubles.last_error, troubles.last_error_at = error, now

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
        troubles = self._troubles[acquirer.name]
        return AcquirerState(
            name=acquirer.name,
            fault=fault,
            round_trip_seconds=round(elapsed_seconds() - begun, 4),
            unknown=troubles.unknown,
            last_error=troubles.last_error,
            last_error_at=troubles.last_error_at,
        )
