"""What each operation that Tap has takes at Stripe, read from the types of Stripe's SDK for Python, which are made of Stripe's OpenAPI description.

`python -m tests.support.stripe_parameters` writes it to where Tap reads it. The SDK is read, not imported: its types are many, and are strings anyway.
"""

import ast
import json
import re
from collections.abc import Collection, Iterator
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from payments.wire import stripe_parameters
from tests.support.public_api import endpoints

TAKEN = Path(stripe_parameters.__file__).with_suffix(".json")
_OLDER = {
    "POST /v1/charges/{}/refund": ("POST /v1/refunds", {"charge", "currency", "customer", "origin"}),
    "POST /v1/charges/{}/refunds": ("POST /v1/refunds", {"charge"}),
    "GET /v1/customers/{}/cards": ("GET /v1/customers/{}/sources", set[str]()),
    "GET /v1/customers/{}/cards/{}": ("GET /v1/customers/{}/sources/{}", set[str]()),
}
"""Older spellings, which the SDK hasn't got any more: what they are now, and what of that they don't take. Source: Stripe's OpenAPI description."""

_PACKAGE = Path(str(distribution("stripe").locate_file("stripe")))

Tree = dict[str, Any]


@cache
def of_stripe() -> dict[str, tuple[str, str]]:
    """Each operation of the resources that Tap has, `POST /v1/customers/{}`, with the module and the name of what it takes, both empty for nothing."""
    roots = re.compile("|".join(sorted({re.escape(each.path.partition("/{")[0]) for each in endpoints()})))
    found: dict[str, tuple[str, str]] = {}
    for module in sorted((*_PACKAGE.glob("_*_service.py"), *_PACKAGE.glob("*/_*_service.py"))):
        if roots.search(_text(module)):
            parsed = ast.parse(_text(module))
            sources = dict(_sources(parsed))
            found |= {name: (sources.get(params, ""), params) for name, params in _requests(parsed) if roots.match(name.partition(" ")[2])}
    return found


def operations(of: Collection[str]) -> dict[str, Tree]:
    """Those of operations that are Stripe's, with their parameters and those in them."""
    wanted = {*of, *(newer for newer, _ in _OLDER.values())}
    found = {name: _parameters(*source) if source[1] else {} for name, source in of_stripe().items() if name in wanted}
    older = {name: {key: below for key, below in found[newer].items() if key not in without} for name, (newer, without) in _OLDER.items()}
    return {name: tree for name, tree in (found | older).items() if name in of}


def _requests(module: ast.Module) -> Iterator[tuple[str, str]]:
    """Each operation that a module sends requests of, with the name of what it takes; empty for nothing."""
    for function in (node for node in ast.walk(module) if isinstance(node, ast.FunctionDef)):
        (taken,) = [*re.findall(r"\b(\w+Params)\b", " ".join(_annotations(function))), ""][:1]
        for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
            strings = [each for argument in call.args for each in _string(argument)][:2]
            if len(strings) == 2 and strings[1].startswith("/v1/"):
                yield f"{strings[0].upper()} {re.sub(r'{[^}]*}', '{}', strings[1])}", taken


def _annotations(function: ast.FunctionDef) -> list[str]:
    arguments = [*function.args.args, *function.args.kwonlyargs, function.args.kwarg]
    return [ast.unparse(each.annotation) for each in arguments if each is not None and each.annotation is not None]


def _string(argument: ast.expr) -> list[str]:
    """The text of an argument, as it is before anything is put into it."""
    match argument:
        case ast.Constant(value=str(text)) | ast.Call(func=ast.Attribute(value=ast.Constant(value=str(text)), attr="format")):
            return [text]
        case _:
            return []


def _sources(module: ast.Module) -> Iterator[tuple[str, str]]:
    """From which module of the SDK what is named here comes."""
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("stripe.params"):
            yield from ((each.name, str(node.module)) for each in node.names)


def _parameters(module: str, name: str) -> Tree:
    file = _PACKAGE.joinpath(*module.split(".")[1:]).with_suffix(".py")
    return _tree(dict(_hashes(ast.parse(_text(file)))), name)


@cache
def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def _hashes(module: ast.Module) -> Iterator[tuple[str, dict[str, str]]]:
    """Each hash of a module: its keys, with what is said of their values."""
    for node in module.body:
        match node:
            case ast.ClassDef(name=name, body=body):
                yield (
                    name,
                    {
                        each.target.id: ast.unparse(each.annotation)
                        for each in body
                        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
                    },
                )
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(args=[_, ast.Dict(keys=keys, values=values)])):
                yield (
                    name,
                    {f"{key.value}": ast.unparse(value) for key, value in zip(keys, values, strict=True) if isinstance(key, ast.Constant)},
                )
            case _:
                pass


def _tree(hashes: dict[str, dict[str, str]], name: str) -> Tree:
    fields = {
        key: {inner: below for each in _inside(said) if each in hashes for inner, below in _tree(hashes, each).items()}
        for base in (name, *_bases(name, hashes))
        for key, said in hashes[base].items()
        if key != "expand"
    }
    return dict(sorted(fields.items()))


def _inside(said: str) -> list[str]:
    """The hashes that a value may be, or be a list of; of what is under keys of the caller's own choice, nothing is known."""
    return [] if "Dict[" in said else re.findall(r"\w+", said)


def _bases(name: str, hashes: dict[str, dict[str, str]]) -> list[str]:
    """The part of a hash whose keys are words of Python."""
    return [f"_{name}Base"] if f"_{name}Base" in hashes else []


def text(taken: dict[str, Tree]) -> str:
    """A line for each operation."""
    lines = (f"{json.dumps(name)}: {json.dumps(tree, separators=(',', ':'))}" for name, tree in sorted(taken.items()))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def of_tap() -> str:
    """What Tap is to read: of its own operations those that Stripe has."""
    return text(operations({re.sub(r"{[^}]*}", "{}", endpoint.operation) for endpoint in endpoints()}))


if __name__ == "__main__":
    TAKEN.write_text(of_tap(), encoding="utf-8")
