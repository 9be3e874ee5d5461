"""What each API key has left of its writes, shared by all copies of all services."""

from collections.abc import Sequence
from dataclasses import dataclass

from payments.storage.database import Queries
from payments.storage.sql import queries

_SQL = queries("write_limits.sql")


@dataclass(frozen=True, slots=True)
class Told:
    """What one copy let a key write since it told the others last."""

    key_id: str
    writes_per_second: float
    """How fast it may."""
    saved_max: float
    """How many writes it may save up."""
    written: int
    wanted: int
    """With those that it didn't let."""


@dataclass(frozen=True, slots=True)
class Level:
    """Where a key stands with all copies together."""

    saved: float
    """Writes that it may make at once; below zero: made already, and to be waited for."""
    wanted: int
    """Of all copies, ever, as far as the server remembers: a crash or a failover makes it begin anew."""


class WriteLimitStore:
    """Adds up what the copies tell."""

    def __init__(self, database: Queries) -> None:
        """Tell it through `database`."""
        self._database = database

    async def tell(self, told: Sequence[Told]) -> dict[str, Level]:
        """Return where each key stands with this counted."""
        rows = await self._database.fetch(
            _SQL["tell"],
            [each.key_id for each in told],
            [each.writes_per_second for each in told],
            [each.saved_max for each in told],
            [each.written for each in told],
            [each.wanted for each in told],
        )
        return {row["key_id"]: Level(row["saved"], row["wanted"]) for row in rows}
