"""Rows on their way to a set-based statement: as JSON, of which the server makes a table again.

As an array per column they would spare PostgreSQL a sixth of a large batch and cost as much here, where the driver looks at each value; for a batch of one
they cost more on both sides. So JSON it is, and nothing has to be escaped by hand.
"""

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode

Row = bytes
"""A JSON object."""


class Columns:
    """The columns of rows that a statement takes."""

    def __init__(self, attributes: str, others: str = "", *, document: bool = False) -> None:
        """Both as SQL declares them: `id text, amount bigint`. `attributes` are named as the subject's are that a row is of, or its parts'
        (`origin.request_id`); `others` are given with each row. With a `document`, the subject itself is one more column, of that name.
        """
        # The first twice, and passed over: of one attribute alone attrgetter returns no tuple.
        names = [column.split()[0] for column in attributes.split(", ")]
        self._attributes: Callable[[Any], tuple[Any, ...]] = attrgetter(names[0], *names)
        self._document = document
        columns = [*attributes.split(", "), *(["document json"] if document else []), *filter(None, others.split(", "))]
        self._declared = ", ".join(column.rpartition(".")[2] for column in columns)
        self._row: Callable[..., msgspec.Struct] = msgspec.defstruct("Row", [column.split()[0] for column in self._declared.split(", ")])

    def row(self, subject: object, *others: object) -> Row:
        """Make a row: encoded when it is handed in, so that a batch is joined, not encoded, while others wait for it."""
        _, *values = self._attributes(subject)
        if self._document:
            values.append(subject)
        return _encode(self._row(*values, *others))

    def source(self, parameter: int) -> str:
        """Return what a statement selects the rows from, as `n`."""
        return f"json_to_recordset(${parameter}::json) AS n ({self._declared})"


def array(rows: Iterable[Row]) -> str:
    """Join rows to the parameter that a statement takes."""
    return "[" + b",".join(rows).decode() + "]"
