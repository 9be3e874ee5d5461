"""Loads the named queries of a .sql file.

A file is a sequence of blocks, each headed `-- name: one line of why`; the text up to the next head is the query.
"""

import re
from functools import cache
from importlib.resources import files

_HEAD = re.compile(r"^-- (\w+): .*$", re.MULTILINE)


@cache
def queries(filename: str) -> dict[str, str]:
    """Return the queries of a .sql file of this package by name."""
    text = files("payments.storage").joinpath(filename).read_text(encoding="utf-8")
    _, *parts = _HEAD.split(text)
    return {name: query.strip().removesuffix(";") for name, query in zip(parts[::2], parts[1::2], strict=True)}
