"""What each operation of Stripe's API takes, cut from an OpenAPI description of it.

`python -m tests.support.stripe_parameters DESCRIPTION.json` writes it to where Tap reads it.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from payments.wire import stripe_parameters

TAKEN = Path(stripe_parameters.__file__).with_suffix(".json")

Tree = dict[str, Any]


def of_operation(operation: dict[str, Any]) -> Tree:
    """Each parameter of query and body, with those in it."""
    query = {each["name"]: each["schema"] for each in operation.get("parameters", ()) if each["in"] == "query"}
    bodies = operation.get("requestBody", {}).get("content", {}).values()
    return _tree({"properties": query}) | {name: below for body in bodies for name, below in _tree(body["schema"]).items()}


def _tree(schema: dict[str, Any]) -> Tree:
    """The names in a hash, or in the hashes that a list is of."""
    found: Tree = {}
    for each in (schema, *schema.get("anyOf", ())):
        found |= {name: _tree(below) for name, below in each.get("properties", {}).items() if name != "expand"}
        found |= _tree(each["items"]) if "items" in each else {}
    return dict(sorted(found.items()))


def write(description: dict[str, Any]) -> None:
    """Write a line for each operation."""
    taken = {
        f"{method.upper()} {re.sub(r'{[^}]*}', '{}', path)}": of_operation(operation)
        for path, operations in description["paths"].items()
        for method, operation in operations.items()
    }
    lines = (f"{json.dumps(name)}: {json.dumps(tree, separators=(',', ':'))}" for name, tree in sorted(taken.items()))
    TAKEN.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    write(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
