"""A form that an official SDK makes is decoded to what the program that called it meant."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stripe._encode import _api_encode

from payments.wire.form import decode_form

ROOT = Path(__file__).parents[2]
NODES_SDK = ROOT / ".venv/cdk/node_modules/stripe/cjs/utils.js"
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)
NAMES = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0[]"), min_size=1, max_size=8).filter(
    lambda name: not name.isdecimal()
)
"""Keys of a hash that says which they are: no index, and without brackets, in which no SDK could say them."""
LEAVES = TEXT | st.integers() | st.booleans() | st.none()


def nested(below: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(NAMES, below, max_size=3) | st.lists(
        below.filter(lambda each: each is not None and not isinstance(each, bool)), max_size=3
    )


def at_depth(depth: int) -> st.SearchStrategy[Any]:
    return LEAVES if depth == 0 else LEAVES | nested(at_depth(depth - 1))


PARAMS = st.dictionaries(NAMES, at_depth(3), max_size=4)
METADATA = st.dictionaries(st.from_regex(r"[0-9]{1,3}|[a-z ]{1,9}", fullmatch=True), TEXT, max_size=4)


def meant(value: Any, null: Callable[[], Any]) -> Any:
    """What a value is in a form: text, without what is empty, which no form can say; `null` says what None is."""
    match value:
        case None:
            return null()
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case dict():
            return {name: each for name, below in value.items() if (each := meant(below, null)) not in (None, {}, [])}
        case list():
            return [each for below in value if (each := meant(below, null)) not in (None, {}, [])]
        case _:
            return value


@given(PARAMS, METADATA)
@settings(max_examples=50)
def test_pythons_form_is_what_was_meant(params: dict[str, Any], metadata: dict[str, str]) -> None:
    params = {**params, "metadata": metadata}
    form = urlencode(list(_api_encode(params))).encode()
    assert decode_form(form) == meant(params, lambda: None)


@pytest.mark.skipif(not NODES_SDK.exists(), reason="npm's packages aren't installed: make cdk")
@given(st.lists(PARAMS, min_size=4, max_size=12))
@settings(max_examples=10)
def test_nodes_form_is_what_was_meant(all_params: list[dict[str, Any]]) -> None:
    script = f"const {{ queryStringifyRequestData }} = require({json.dumps(str(NODES_SDK))}); const all = JSON.parse(require('fs').readFileSync(0));"
    said = f"{script} console.log(JSON.stringify(all.map(queryStringifyRequestData)));"
    # Numbers beyond 2^53 are rounded by Node before its SDK has them.
    exact = [meant(each, lambda: "") for each in all_params]
    done = subprocess.run(
        [f"{sys.prefix}/bin/node", "-e", said], input=json.dumps(exact).encode(), capture_output=True, check=True, timeout=300
    )
    forms = json.loads(done.stdout)
    assert [decode_form(form.encode()) for form in forms] == exact
