"""Decodes request bodies and queries into nested parameters.

`card[number]=4242&expand[]=customer&items[0][price]=p` becomes `{"card": {"number": "4242"}, "expand": ["customer"], "items": [{"price": "p"}]}`.
Everything that a client could use to make the decoder work hard is bounded.
"""

import re
from typing import cast
from urllib.parse import unquote_to_bytes

import msgspec

from payments.domain.errors import InvalidRequest

PARAMETERS_MAX = 1_000
DEPTH_MAX = 8

_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_INDEX = re.compile(r"[0-9]{1,9}")
"""Longer ones name no element of a list that anybody sends."""
_METADATA = "metadata"
_PART = re.compile(r"\[([^\[\]]*)\]")

Params = dict[str, object]
"""Decoded parameters: strings, numbers and booleans (JSON bodies), lists and dicts of them."""


class _Hash(dict[str, object]):
    """A hash in the making. It knows its next index: to look for it among all that there are, once for each, takes seconds of a long list."""

    next_index = 0


def decode_form(body: bytes) -> Params:
    """Decode `application/x-www-form-urlencoded`; raises `InvalidRequest`."""
    if not body:
        return {}
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise _not_utf8() from None
    pairs = text.split("&")
    if len(pairs) > PARAMETERS_MAX:
        raise InvalidRequest(f"Too many parameters: at most {PARAMETERS_MAX} are accepted.")
    params = _Hash()
    for pair in pairs:
        if pair:
            name, _, value = pair.partition("=")
            _insert(params, _unquoted(name), _unquoted(value))
    return {name: _lists(name, value) for name, value in params.items()}


def decode_json(body: bytes) -> Params:
    """Decode a JSON object; raises `InvalidRequest`."""
    try:
        decoded = msgspec.json.decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidRequest("Invalid request body: it is not valid JSON.") from None
    if not isinstance(decoded, dict):
        raise InvalidRequest("Invalid request body: it must be a JSON object.")
    params = cast("Params", decoded)
    _check_json(params, 0)
    return _without_nulls(params)


def _unquoted(text: str) -> str:
    if "%" in text or "+" in text:
        try:
            text = unquote_to_bytes(text.replace("+", " ")).decode()
        except UnicodeDecodeError:
            raise _not_utf8() from None
    if "\0" in text:
        raise InvalidRequest("Invalid request: parameters must not contain NUL bytes.")
    return text


def _not_utf8() -> InvalidRequest:
    return InvalidRequest("Invalid request: parameters must be valid UTF-8.")


def _insert(params: _Hash, name: str, value: str) -> None:
    if "[" not in name:
        if isinstance(params.get(name), dict):
            raise _conflict(name)
        params[name] = value
        return
    match = _KEY.fullmatch(name)
    if match is None:
        raise InvalidRequest(f"Invalid parameter name: {name[:100]}")
    path = [match[1], *_PART.findall(match[2])]
    if len(path) > DEPTH_MAX:
        raise InvalidRequest(f"Parameters are nested too deeply: at most {DEPTH_MAX} levels are accepted.")
    node = params
    for index, part in enumerate(path[:-1]):
        if path[index + 1] == "" and index + 2 < len(path):
            raise InvalidRequest(f"Invalid parameter name: {name[:100]}")
        child = node.setdefault(_slot(node, part), _Hash())
        if not isinstance(child, _Hash):
            raise _conflict(match[1])
        node = child
    leaf = _slot(node, path[-1])
    if isinstance(node.get(leaf), dict):
        raise _conflict(match[1])
    node[leaf] = value


def _slot(node: _Hash, part: str) -> str:
    """`[]` appends: the index after the largest that there is."""
    slot = part or str(node.next_index)
    if _INDEX.fullmatch(slot):
        node.next_index = max(node.next_index, int(slot) + 1)
    return slot


def _lists(name: str, value: object) -> object:
    """Turn hashes whose keys are indexes into lists, but for metadata, whose keys are the merchant's own."""
    if not isinstance(value, dict):
        return value
    node = {key: _lists(key, child) for key, child in cast("Params", value).items()}
    if node and name != _METADATA and all(_INDEX.fullmatch(key) for key in node):
        return [node[key] for key in sorted(node, key=int)]
    return node


def _conflict(name: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid parameter {name[:100]}: it is given both as a value and as a hash.", param=name[:100])


def _without_nulls(params: Params) -> Params:
    """Leave out what is null, which a form can't say: nothing is given. The merchant's own values are kept, null and all: there it removes a key."""
    return {name: value if name == _METADATA else _without_nulls_in(value) for name, value in params.items() if value is not None}


def _without_nulls_in(value: object) -> object:
    match value:
        case dict():
            return _without_nulls(cast("Params", value))
        case list():
            return [_without_nulls_in(each) for each in cast("list[object]", value)]
        case _:
            return value


def _check_json(value: object, depth: int) -> None:
    """Refuse what a form can't express, and what a database can't store."""
    if depth > DEPTH_MAX:
        raise InvalidRequest(f"Parameters are nested too deeply: at most {DEPTH_MAX} levels are accepted.")
    match value:
        case str():
            if "\0" in value:
                raise InvalidRequest("Invalid request: parameters must not contain NUL bytes.")
            try:
                value.encode()
            except UnicodeEncodeError:
                raise _not_utf8() from None
        case dict():
            for name, child in cast("Params", value).items():
                _check_json(name, depth)
                _check_json(child, depth + 1)
        case list():
            for child in cast("list[object]", value):
                _check_json(child, depth + 1)
        case _:
            pass
