"""Seals what was booked, and proves seals again: in every copy of the service, of which one seals at a time."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from payments.ledger.seals import BEGINNING, Seal
from payments.runtime.background import Background
from payments.runtime.logging import Logger
from payments.runtime.seal import Sealer
from payments.storage.database import Pool, Queries
from payments.storage.seals import (
    TRANSFERS_MAX,
    NumbersWentBackError,
    find_seal,
    newest_seals,
    prove_after,
    seal_next,
    seal_of,
    unsealed_seconds,
)

SEAL_SECONDS = 60.0
"""Between two looks for what isn't sealed: whoever changes a transfer before leaves no trace in the chain."""
_PROVE_SECONDS = 600.0
_RESTS = 2.0
"""History, or what an hour of many payments left, is sealed and proven beside payments, in a third of the time."""
_RECENT = 10
"""Seals that are proven again each time."""
_PARTS = 1_000
"""In so many rounds all seals have been proven once more: in a week."""
_SEALS_AT_ONCE = 4
_FAULTS_KEPT_MAX = 100
_FAILURES_TOLERATED = 3
"""In a row: a database that is away for a while, as during a failover, is no fault of the chain's."""


@dataclass(slots=True)
class LedgerSealer:
    """Makes the chain, and looks after it."""

    pool: Pool
    sealer: Sealer
    log: Logger
    unsealed_age_seconds: float = 0.0
    """How long the oldest transfer has been waiting, when it was looked at last."""
    _failures: dict[str, int] = field(default_factory=dict[str, int])
    """How often in a row each of the two couldn't be done."""
    _faults: set[str] = field(default_factory=set[str])
    """Until the process ends: what was changed once isn't history any more, though it were changed back."""
    _seen: Seal = BEGINNING
    """The newest seal that this process knows: it must never be another one."""
    _next: int = -1
    """Behind which seal the next part of old ones begins; below 0: anywhere."""
    _left: int = 0
    """How many seals are to be proven in this round."""

    def keep(self, background: Background) -> None:
        """Seal and prove for ever."""
        background.repeat("seal ledger", self.seal, every_seconds=SEAL_SECONDS, rests=_RESTS)
        background.repeat("prove ledger", self.prove, every_seconds=_PROVE_SECONDS, rests=_RESTS)

    @property
    def faults(self) -> int:
        """How much is wrong with the chain."""
        return len(self._faults) + sum(failures >= _FAILURES_TOLERATED for failures in self._failures.values())

    async def seal(self) -> bool:
        """Make one seal, if there is anything for it; returns whether there may be more."""
        return await self._try("seal ledger", self._seal)

    async def prove(self) -> bool:
        """Prove the newest seals, or some old ones; returns whether there are more of this round."""
        return await self._try("prove ledger", self._prove)

    async def _try(self, name: str, step: Callable[[], Awaitable[bool]]) -> bool:
        """Take a step. One that fails is told, and counted if it goes on: it is no reason to take no payments."""
        try:
            found = await step()
        except Exception as failure:  # noqa: BLE001 - whatever it is, payments go on, and the next round tries again
            self.log.error(name, failure)
            went_back = isinstance(failure, NumbersWentBackError)
            self._failures[name] = _FAILURES_TOLERATED if went_back else self._failures.get(name, 0) + 1
            return False
        self._failures.pop(name, None)
        return found

    async def _seal(self) -> bool:
        async with self.pool.acquire() as connection:
            sealed = await seal_next(connection, self.sealer)
            newest = await self._newest(connection)
            self.unsealed_age_seconds = await unsealed_seconds(connection, newest.last)
        return sealed == TRANSFERS_MAX

    async def _prove(self) -> bool:
        newest = await self._newest(self.pool)
        if self._left <= 0:
            await self._begin(newest)
            return self._left > 0
        before = await find_seal(self.pool, self._next)
        if before is None:
            self._fault(f"seal {self._next} is missing")
            before = BEGINNING
        proven = await prove_after(self.pool, before, min(self._left, _SEALS_AT_ONCE), self.sealer)
        for fault in proven.faults:
            self._fault(fault)
        self._left -= max(proven.last.number - before.number, 1)
        self._next = proven.last.number if proven.last.number < newest.number else 0
        return self._left > 0

    async def _begin(self, newest: Seal) -> None:
        """Begin a round with the newest seals, since they are what is told outside."""
        known = await find_seal(self.pool, self._seen.number)
        if known != self._seen:
            self._fault(f"seal {self._seen.number} isn't what it was" if known else f"seal {self._seen.number} is gone")
        recent = await find_seal(self.pool, max(newest.number - _RECENT, 0)) or BEGINNING
        for fault in (await prove_after(self.pool, recent, _RECENT, self.sealer)).faults:
            self._fault(fault)
        if newest.number > self._seen.number or known != self._seen:
            self._seen = newest
        self.log.event("ledger_head", seal=newest.number, transfers=newest.total, head=newest.head.hex(), faults=len(self._faults))
        if self._next < 0:
            self._next = random.randrange(newest.number) if newest.number else 0  # noqa: S311 - so that copies and restarts don't all begin with the same
        self._left = min(newest.number, _SEALS_AT_ONCE + newest.number // _PARTS)

    def _fault(self, fault: str) -> None:
        if fault not in self._faults and len(self._faults) < _FAULTS_KEPT_MAX:
            self._faults.add(fault)
            self.log.event("ledger_proof", fault=fault)

    async def _newest(self, connection: Queries) -> Seal:
        rows = await newest_seals(connection, 1)
        return seal_of(rows[0]) if rows else BEGINNING
