"""Proves a part of the books now and then, and all of them in turn: what `tap verify` proves at once when somebody asks for it.

What is found is logged by its id, and counted until a later pass over the same rows finds it no more; the count is in the ledger's metric (`storage/accounts.sql`).
It is no fault of the process: another one would find the same.
"""

from dataclasses import dataclass

from msgspec import Struct, convert, to_builtins

from payments.runtime.jobs import Job
from payments.runtime.logging import Logger
from payments.storage.books import BEGINNING, SLICED, Key, find_in_slice, next_slice
from payments.storage.database import Pool
from payments.storage.jobs import JobPlace

VERIFYING = "verify books"
SLICE_ROWS = 2_000
"""Of each check, a minute: three million rows a day. Some ten milliseconds of the database's."""
_SECONDS = 60.0
_LOGGED_MAX = 20


class Pass(Struct, frozen=True):
    """How far a check has come on its way through the rows."""

    after: Key = BEGINNING
    found: int = 0
    """On this way."""
    found_before: int = 0
    """On the one before."""


class Place(Struct, frozen=True):
    """How far all have come."""

    passes: dict[str, Pass] = {}
    found: int = 0
    """What is wrong, as far as is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Verifies a slice after another."""

    pool: Pool
    place: JobPlace
    log: Logger
    slice_rows: int = SLICE_ROWS

    def jobs(self) -> list[Job]:
        """Return what is to be done by the clock."""
        return [Job(name="verify books", work=self.verify, every_seconds=_SECONDS, housekeeping=True)]

    async def verify(self) -> int:
        """Look at the next rows of each check. There is more, and it is left to the next time: returns 0."""
        before = convert(await self.place.read() or {}, Place)
        passes = {name: await self._go_on(name, before.passes.get(name, Pass())) for name in SLICED}
        found = sum(max(each.found, each.found_before) for each in passes.values())
        await self.place.write(to_builtins(Place(passes=passes, found=found)))
        return 0

    async def _go_on(self, name: str, at: Pass) -> Pass:
        keys = await next_slice(self.pool, name, at.after, self.slice_rows)
        if not keys:
            return Pass(found_before=at.found)
        findings = await find_in_slice(self.pool, name, keys)
        if findings:
            self.log.event("check", check=name, ok=False, findings=findings[:_LOGGED_MAX], found=len(findings))
        return Pass(after=keys[-1], found=at.found + len(findings), found_before=at.found_before)
