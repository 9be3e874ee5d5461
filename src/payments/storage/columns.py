"""Rows on their way to a set-based statement: a text per column, which the server takes apart again.

Both sides have less work with that than with JSON, and the driver none with each value. Control characters keep the values apart: JSON escapes them, and no
text of ours has any. A value that has one is refused, as one of the wrong type would be.
"""

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any

_BETWEEN = "\x1f"
_NULL = "\x1e"

Row = tuple[Any, ...]
"""Values in the order of the columns."""


class Columns:
    """The columns of rows that a statement takes, in order."""

    def __init__(self, attributes: str, others: str = "") -> None:
        """Both as SQL declares them: `id text, amount bigint`. `attributes` are named as the subject's are that a row is of, or its parts' (`origin.request_id`);
        `others` are given."""
        declared = [column.split() for column in ", ".join(filter(None, (attributes, others))).split(", ")]
        self.names = [name.rpartition(".")[2] for name, _ in declared]
        self._types = [sql_type for _, sql_type in declared]
        self._packers = [_PACKERS[sql_type] for sql_type in self._types]
        self.values_of: Callable[[Any], Row] = attrgetter(*(column.split()[0] for column in attributes.split(", ")))

    def __len__(self) -> int:
        return len(self.names)

    def source(self, first: int) -> str:
        """Return what a statement selects the rows from, as `n`; its parameters are numbered from `first` on."""
        arrays = (_ARRAYS[sql_type].format(number) for number, sql_type in enumerate(self._types, first))
        return f"unnest({', '.join(arrays)}) AS n ({', '.join(self.names)})"

    def packed(self, rows: Iterable[Row]) -> list[str]:
        """Return the parameters; raises `ValueError` for a text that can't be told from those beside it."""
        return [pack(values) for pack, values in zip(self._packers, zip(*rows, strict=True), strict=True)]


def _numbers(values: Sequence[float | bool | None]) -> str:
    return ",".join(map(str, values))


def _texts(values: Sequence[str | None]) -> str:
    nulls = values.count(None)
    packed = _BETWEEN.join([_NULL if value is None else value for value in values])
    if packed.count(_BETWEEN) != len(values) - 1 or packed.count(_NULL) != nulls or not packed:
        raise ValueError("a control character, or nothing at all, where there is to be a text")
    return packed


def _documents(values: Sequence[bytes | None]) -> str:
    return b"\x1f".join([b"\x1e" if value is None else value for value in values]).decode()


_NUMBER_ARRAY = "string_to_array(${{}}, ',', 'None')::{}[]"
_NUMBERS = ("bigint", "integer", "boolean", "float8")
_PACKERS: dict[str, Callable[[Sequence[Any]], str]] = {"text": _texts, "json": _documents, **dict.fromkeys(_NUMBERS, _numbers)}
_ARRAYS = {
    "text": "string_to_array(${}, E'\\x1f', E'\\x1e')",
    "json": "string_to_array(${}, E'\\x1f', E'\\x1e')::json[]",
    **{sql_type: _NUMBER_ARRAY.format(sql_type) for sql_type in _NUMBERS},
}
