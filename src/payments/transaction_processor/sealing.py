"""Seals what was booked, and proves seals again: jobs, each of which one copy of the service does at a time. Every copy remembers the head that it saw."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from payments.ledger.seals import BEGINNING, Seal
from payments.runtime.jobs import Job
from payments.runtime.logging import Logger
from payments.runtime.seal import Sealer
from payments.storage.database import Pool, Queries
from payments.storage.seals import find_seal, newest_seals, prove_after, seal_next, seal_of, unsealed_seconds

SEAL_SECONDS = 60.0
"""Between two looks for what isn't sealed: whoever changes a transfer before leaves no trace in the chain."""
_PROVE_SECONDS = 600.0
_SEAL, _PROVE = "seal ledger", "prove ledger"
_RESTS = 2.0
"""History, or what an hour of many payments left, is sealed and proven beside payments, in a third of the time."""
_RECENT = 10
"""Seals that are proven again each time."""
_PARTS = 1_000
"""In so many rounds all seals have been proven once more: in a week."""
_SEALS_AT_ONCE = 4
_FAULTS_KEPT_MAX = 100
_FAILURES_TOLERATED = 5
"""In a row, within about half a minute: what can't be sealed or proven for longer is said as a fault of the chain."""


@dataclass(slots=True)
class LedgerSealer:
    """Makes the chain, and looks after it."""

    pool: Pool
    sealer: Sealer
    log: Logger
    unsealed_age_seconds: float = 0.0
    """How long the oldest transfer has been waiting, when it was looked at last."""
    _faults: set[str] = field(default_factory=set[str])
    """Until the process ends: what was changed once isn't history any more, though it were changed back."""
    _seen: Seal = BEGINNING
    """The newest seal that this process knows: it must never be another one."""
    _next: int = -1
    """Behind which seal the next part of old ones begins; below 0: anywhere."""
    _left: int | None = None
    """How many seals are to be proven in this round; None: between two."""

    def jobs(self) -> list[Job]:
        """Return what is to be done by the clock. That it can't be done is told, and is no reason to take no payments."""
        return [
            Job(name=_SEAL, work=self.seal, every_seconds=SEAL_SECONDS, rests=_RESTS, housekeeping=True),
            Job(name=_PROVE, work=self.prove, every_seconds=_PROVE_SECONDS, rests=_RESTS, housekeeping=True),
        ]

    def faults(self, failures: Callable[[str], int]) -> int:
        """Return how much is wrong with the chain; `failures`: how often in a row a job failed, whoever did it."""
        return len(self._faults) + sum(failures(name) >= _FAILURES_TOLERATED for name in (_SEAL, _PROVE))

    async def look(self) -> None:
        """See how far the chain goes, whichever copy makes it: what was seen once must stay."""
        newest = await self._newest(self.pool)
        if newest != self._seen:
            known = await find_seal(self.pool, self._seen.number)
            if known != self._seen:
                self._fault(f"seal {self._seen.number} isn't what it was" if known else f"seal {self._seen.number} is gone")
            self._seen = newest
        self.unsealed_age_seconds = await unsealed_seconds(self.pool, newest.last)

    async def seal(self) -> int:
        """Make one seal, if there is anything for it; returns over how many transfers."""
        async with self.pool.acquire() as connection:
            return await seal_next(connection, self.sealer)

    async def prove(self) -> int:
        """Prove the newest seals, or the next of some old ones; returns how many seals, 0 at the end of a round."""
        if self._left == 0:
            self._left = None
            return 0
        newest = await self._newest(self.pool)
        return await (self._begin(newest) if self._left is None else self._go_on(newest, self._left))

    async def _begin(self, newest: Seal) -> int:
        """Begin a round with the newest seals, since they are what is told outside."""
        recent = await find_seal(self.pool, max(newest.number - _RECENT, 0)) or BEGINNING
        proven = await self._prove_after(recent, _RECENT)
        self.log.event("ledger_head", seal=newest.number, transfers=newest.total, head=newest.head.hex(), faults=len(self._faults))
        if self._next < 0:
            self._next = random.randrange(newest.number) if newest.number else 0  # noqa: S311 - so that copies and restarts don't all begin with the same
        self._left = min(newest.number, _SEALS_AT_ONCE + newest.number // _PARTS)
        return max(proven.number - recent.number, 0)

    async def _go_on(self, newest: Seal, left: int) -> int:
        before = await find_seal(self.pool, self._next)
        if before is None:
            self._fault(f"seal {self._next} is missing")
            before = BEGINNING
        last = await self._prove_after(before, min(left, _SEALS_AT_ONCE))
        proven = max(last.number - before.number, 1)
        self._left = max(left - proven, 0)
        self._next = last.number if last.number < newest.number else 0
        return proven

    async def _prove_after(self, before: Seal, seals_max: int) -> Seal:
        """Prove the seals after one; returns the last of them."""
        proven = await prove_after(self.pool, before, seals_max, self.sealer)
        for fault in proven.faults:
            self._fault(fault)
        return proven.last

    def _fault(self, fault: str) -> None:
        if fault not in self._faults and len(self._faults) < _FAULTS_KEPT_MAX:
            self._faults.add(fault)
            self.log.event("ledger_proof", fault=fault)

    async def _newest(self, connection: Queries) -> Seal:
        rows = await newest_seals(connection, 1)
        return seal_of(rows[0]) if rows else BEGINNING
