"""What each operation of Stripe's API takes: what isn't among Tap's own parameters is refused in words that tell it from a typing error.

Source: the types of Stripe's SDK for Python, which are made of Stripe's OpenAPI description, version 2026-10-28.endive; `tests/support/stripe_parameters.py` reads
them.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

Parameters = Mapping[str, "Parameters"]
"""Each with what is in it, where it is a hash, or a list of hashes."""


def taken_by_stripe(operation: str) -> Parameters:
    """Return the parameters of an operation, `POST /v1/customers/{id}`; none of one that is Tap's own."""
    return _all().get(re.sub(r"{[^}]*}", "{}", operation), {})


def is_stripes(operation: str, path: Sequence[str]) -> bool:
    """Tell whether Stripe has a parameter, `["items", "0", "price"]`."""
    taken = taken_by_stripe(operation)
    for part in path:
        if part.isdecimal():
            continue
        if part not in taken:
            return False
        taken = taken[part]
    return True


@cache
def _all() -> dict[str, Parameters]:
    text = files("payments.wire").joinpath("stripe_parameters.json").read_text(encoding="utf-8")
    return json.loads(text)
