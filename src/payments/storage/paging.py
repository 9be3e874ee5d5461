"""Pages of lists: which part of a table one is read from, and how far is looked for it.

A page is a range of ids, which is a range of the primary key and of every index that serves a filter. The range of `created` is one of ids, too, since ids
begin with the time when they were made.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from payments.domain.errors import TooWide
from payments.runtime.ids import first_id_from
from payments.storage.database import Row

CREATED_MAX = 2**53
"""Unix seconds: later than any."""
ROWS_LOOKED_AT_MAX = 10_000
"""How many rows a filter without an index may pass over, for one page."""

_AFTER_ALL = "~"
"""After whatever follows the prefix of an id, compared byte by byte."""
_OLDER_IDS_SECONDS = 900
"""By how much an id may be older than its object: what an acquirer's answer makes has an id from before the question."""
_YOUNGER_IDS_SECONDS = 60
"""By how much an id may be younger than its object: clocks differ."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page of a list; at most one cursor is given."""

    limit: int = 10
    starting_after: str | None = None
    ending_before: str | None = None
    created_from: int = 0
    """Unix seconds, inclusive."""
    created_to: int = CREATED_MAX
    """Unix seconds, inclusive."""

    def beginning_at(self, place: str) -> "PageRequest":
        """Return the same page with its cursor as the place that it has in the list."""
        return replace(self, **{"starting_after" if self.ending_before is None else "ending_before": place})

    @property
    def order(self) -> str:
        """Which way the rows are read, from the cursor on."""
        return "DESC" if self.ending_before is None else "ASC"

    @property
    def by_created(self) -> bool:
        """Whether there is a range of creation times."""
        return self.created_from > 0 or self.created_to < CREATED_MAX

    def between(self, prefix: str) -> tuple[str, str]:
        """Return what the ids lie between, neither included; wider than `created` says, so that it has to be compared as well. Only ids of that prefix: there
        may be others in a table that aren't shown.
        """
        above, below = f"{prefix}_", f"{prefix}_{_AFTER_ALL}"
        if self.created_from > 0:
            above = first_id_from(prefix, self.created_from - _OLDER_IDS_SECONDS)
        if self.created_to < CREATED_MAX:
            below = first_id_from(prefix, self.created_to + 1 + _YOUNGER_IDS_SECONDS)
        return max(above, self.ending_before or above), min(below, self.starting_after or below)

    def read(self, rows: Sequence[Row]) -> tuple[list[Row], bool]:
        """Return the page's rows, newest first, and whether there may be more in the direction asked for.

        The statement gives one row more than the page holds; and, with `matches` false, the last row that it looked at before it gave up. Raises `TooWide`
        when it gave up with nothing found.
        """
        found = [row for row in rows if row["matches"]]
        gave_up = len(found) < len(rows)
        if gave_up and not found:
            raise TooWide(ROWS_LOOKED_AT_MAX)
        page = found[: self.limit]
        return page if self.ending_before is None else page[::-1], gave_up or len(found) > self.limit
