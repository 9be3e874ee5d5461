"""What is stored, and what the services say to each other, in its shortest form: all that has a default is left out, so what it means is in the code.

`python -m tests.support.stored_documents` adds what is new to the golden documents. It changes none that is there: rows, snapshots of events and repetitions of
calls have it so for good, and a release's copies talk to those of the version before.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec import inspect as types

from payments.domain.attempt import Attempt
from payments.domain.event import Event
from payments.domain.outcome import Approved, AuthenticationRequired, Declined, Unknown
from payments.storage.attempts import OpenAttempt
from payments.wire.internal import Answer, Handover, Verdict, Verification
from payments.wire.kinds import KINDS

GOLDEN = Path(__file__).parents[1] / "data" / "stored-documents.json"
STORED: dict[str, type[Struct]] = {
    struct.__name__: struct
    for struct in (
        *(kind.noun.struct for kind in KINDS.values()),
        *(Attempt, Event, OpenAttempt),
        *(Approved, AuthenticationRequired, Declined, Unknown),
        *(Answer, Handover, Verdict, Verification),
    )
}


def shortest(struct: type[Struct]) -> Any:
    """A document of a struct with nothing in it that may be left out."""
    return _example(types.type_info(struct))


def _example(kind: types.Type) -> Any:
    match kind:
        case types.StructType(fields=fields, tag=tag, tag_field=tag_field):
            shown = {each.encode_name: _example(each.type) for each in fields if each.required}
            return shown if tag_field is None else {tag_field: tag, **shown}
        case types.UnionType(types=either):
            return _example(either[0])
        case types.EnumType(cls=cls):
            return next(iter(cls)).value
        case types.LiteralType(values=values):
            return values[0]
        case types.IntType() | types.FloatType():
            return 1
        case types.BoolType():
            return True
        case types.ListType(item_type=item):
            return [_example(item)]
        case types.DictType() | types.RawType():
            return {}
        case types.StrType():
            return "x"
        case _:
            raise TypeError(f"no example of {kind}")


def meaning(value: Any) -> Any:
    """All of an object, with what it was left to have by default."""
    match value:
        case Struct():
            return {each.name: meaning(getattr(value, each.name)) for each in msgspec.structs.fields(value)}
        case list():
            return [meaning(each) for each in value]
        case msgspec.Raw():
            return bytes(value).decode()
        case _:
            return msgspec.to_builtins(value)


def decoded(name: str, document: Any) -> Any:
    """What a document means."""
    return meaning(msgspec.json.decode(json.dumps(document).encode(), type=STORED[name]))


def known() -> dict[str, Any]:
    """The golden documents."""
    return json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.exists() else {}


if __name__ == "__main__":
    found = known()
    for missing in STORED.keys() - found.keys():
        document = shortest(STORED[missing])
        found[missing] = {"document": document, "means": decoded(missing, document)}
    GOLDEN.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
