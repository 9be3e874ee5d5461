"""Our own OpenAPI document: every public operation, made of what parses requests and of what renders responses.

`python -m tests.support.public_api` writes it to where payment-api serves it from.
"""

import json
import re
from functools import cache
from http import HTTPStatus
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

from payments.domain.api_version import CALLS_ONLY, NEWEST, VERSIONS
from payments.runtime.ids import ID_CHARACTERS_MAX
from payments.wire import browser, errors
from payments.wire.api import IDEMPOTENCY_KEY_CHARACTERS_MAX, Endpoint
from payments.wire.expansion import PATHS_MAX
from payments.wire.kinds import KINDS
from payments.wire.request import ID_PATTERN
from tests.support.openapi_objects import is_expandable, listed, object_schemas, reference, shown
from tests.support.openapi_params import params_schema, params_schemas
from tests.support.public_api import collection_of, endpoints
from tests.support.shapes import Schema

DOCUMENT = Path(__file__).parents[2] / "src/payments/pages/docs/openapi.json"
_FORM, _JSON, _STREAM = "application/x-www-form-urlencoded", "application/json", "text/event-stream"
_OF_CHANGES = (
    errors.errors.CardError,
    errors.errors.IdempotencyMismatch,
    errors.errors.IdempotencyKeyInUse,
    errors.errors.OutcomePending,
    errors.BodyTooLarge,
)
"""Errors that come of what changes something."""
_NEVER_DOCUMENTED = (errors.UnknownPath, errors.MethodNotAllowed)
"""Errors of what isn't an operation."""
_ABOUT = f"""Stripe's API v1 as Tap has it, in the version {NEWEST}: what is described here is all that there is. Official SDKs work unchanged.

A parameter that isn't described is refused, never ignored. Forms have nested brackets, as in `card[number]=…` and `expand[]=customer`; JSON bodies are taken as
well. Each response has a `Request-Id`. What an older version shows otherwise, and what differs from Stripe, is in Tap's docs/api.md.
This description itself is [openapi.json](/docs/openapi.json).

To try operations on the page that shows this, authorize with the secret key of a sandbox: locally `tap up` prints it. A field that is left empty isn't sent; `""` sends
an empty string, which unsets what may be unset."""
_VERBS = {"GET": "Retrieve", "POST": "Update", "DELETE": "Delete"}
_VERBS_OF_COLLECTION = {"GET": "List", "POST": "Create"}


@cache
def document() -> Schema:
    """The document."""
    operations: dict[str, Schema] = {}
    for endpoint in sorted(endpoints(), key=lambda each: each.path):
        operations.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    tags = sorted({tag for path in operations.values() for each in path.values() for tag in each["tags"]})
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tap",
            "version": NEWEST,
            "description": _ABOUT,
            "license": {"name": metadata("tap-payments")["License-Expression"]},
        },
        "servers": [{"url": "/", "description": "The Tap that serves this document"}],
        "security": [{"basic": []}, {"bearer": []}],
        "tags": [{"name": tag} for tag in tags],
        "paths": operations,
        "components": {
            "schemas": dict(sorted((object_schemas() | _taken()).items())),
            "parameters": _headers(),
            "responses": {_refusal_name(status): _refusal(status) for status in _refusals()},
            "headers": {
                "Request-Id": {"description": "What the log knows the request by.", "schema": {"type": "string"}},
                "Stripe-Version": {
                    "description": "The version that the response is in.",
                    "schema": {"type": "string", "enum": [*CALLS_ONLY, *VERSIONS]},
                },
                "Idempotent-Replayed": {
                    "description": "`true` on the answer to a repetition.",
                    "schema": {"type": "string", "enum": ["true"]},
                },
                "Stripe-Should-Retry": {
                    "description": "Whether the same request may be repeated.",
                    "schema": {"type": "string", "enum": ["true", "false"]},
                },
                "Retry-After": {"description": "Seconds.", "schema": {"type": "string"}},
            },
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic", "description": "The API key as the user's name; no password."},
                "bearer": {"type": "http", "scheme": "bearer", "description": "The API key."},
            },
        },
    }


def encoded() -> bytes:
    """The document as it is kept: one line for each thing that changes by itself."""
    return (json.dumps(document(), indent=1, ensure_ascii=False) + "\n").encode()


def _taken() -> dict[str, Schema]:
    """What the bodies of operations are, and what is in them."""
    changing = [each for each in endpoints() if each.method == "POST"]
    bodies = {_operation_id(each): _body_schema(each) for each in changing}
    return bodies | params_schemas(changing)


def _operation(endpoint: Endpoint[Any]) -> Schema:
    described = params_schema(endpoint.params)
    made: Schema = {
        "operationId": _operation_id(endpoint),
        "summary": _summary(endpoint),
        "tags": [_words(collection_of(endpoint.path)[0].replace("/", " ")).capitalize()],
        "parameters": [
            *(_path_parameter(name) for name in re.findall(r"{(\w+)}", endpoint.path)),
            *(_query_parameters(endpoint, described) if endpoint.method == "GET" else ()),
            *({"$ref": f"#/components/parameters/{name}"} for name in _headers() if _takes(endpoint, name)),
        ],
    }
    if (about := _about(endpoint)) is not None:
        made["description"] = about
    if endpoint.method == "POST":
        made["requestBody"] = _body(endpoint)
    made["responses"] = {
        "200": _success(endpoint),
        **{
            str(status): {"$ref": f"#/components/responses/{_refusal_name(status)}"}
            for status in _refusals()
            if _may_refuse(endpoint, status)
        },
    }
    return made


def _operation_id(endpoint: Endpoint[Any]) -> str:
    words = re.findall(r"\w+", endpoint.path.removeprefix("/v1"))
    return "_".join([endpoint.method.lower(), *words])


def _summary(endpoint: Endpoint[Any]) -> str:
    resource, inside, one = collection_of(endpoint.path)
    answer, whole = shown(endpoint), _words(resource.rpartition("/")[2])
    if endpoint.path.endswith("/search"):
        return f"Search {whole}"
    if endpoint.method == "POST" and inside and not one and not inside.endswith("s"):
        return f"{_words(inside).capitalize()}{' of' if '_' in inside else ''} {_singular(whole)}"
    is_whole = one or (endpoint.method == "GET" and not answer.listed)
    verb = (_VERBS if is_whole else _VERBS_OF_COLLECTION)[endpoint.method]
    subject = _words(inside) if inside else whole
    of = f" of {_singular(whole)}" if inside else ""
    return f"{verb} {subject if answer.listed else _singular(subject)}{of}"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _singular(words: str) -> str:
    return f"{words[:-3]}y" if words.endswith("ies") else words.removesuffix("s")


def _about(endpoint: Endpoint[Any]) -> str | None:
    said: list[str] = []
    if endpoint.publishable:
        fields = browser._SHOWN.get(shown(endpoint).name, ())
        names = ", ".join(f"`{name}`" for name in object_schemas()[shown(endpoint).name]["properties"] if name in fields)
        said.append(f"A publishable key may call it, and sees of the object: {names}.")
    if endpoint.of_customer is not None:
        said.append("A customer's ephemeral key may call it about that customer.")
    return " ".join(said) or None


def _path_parameter(name: str) -> Schema:
    schema = {"type": "string", "pattern": f"^{ID_PATTERN}$", "maxLength": ID_CHARACTERS_MAX * 2}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameters(endpoint: Endpoint[Any], described: Schema) -> list[Schema]:
    named: list[Schema] = []
    for name, schema in described["properties"].items():
        whole = _resolved(schema)
        parameter: Schema = {"name": name, "in": "query", "required": name in described.get("required", ()), "schema": whole}
        if any(each.get("type") == "object" for each in (whole, *whole.get("anyOf", ()))):
            parameter |= {"style": "deepObject", "explode": True}
        elif whole.get("type") == "array":
            parameter |= {"name": f"{name}[]", "style": "form", "explode": True}
        named.append(parameter)
    if (expandable := _expandable(endpoint)) is not None:
        named.append({"name": "expand[]", "in": "query", "style": "form", "explode": True, "schema": expandable})
    return named


def _resolved(schema: Schema) -> Schema:
    """A schema of a query with what it refers to in it: the components have bodies only."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _all_params()[name]
    return {**schema, "anyOf": [_resolved(each) for each in schema["anyOf"]]} if "anyOf" in schema else schema


@cache
def _all_params() -> dict[str, Schema]:
    return params_schemas(endpoints())


def _expandable(endpoint: Endpoint[Any]) -> Schema | None:
    """What may be asked for whole; None where nothing may."""
    answer = shown(endpoint)
    kind = KINDS.get(answer.name)
    names = (
        []
        if kind is None
        else [f"data.{name}" if answer.listed else name for name in kind.expandable_in(NEWEST) if is_expandable(kind, name)]
    )
    if not names:
        return None
    said = f"What to show whole instead of by its id: {', '.join(f'`{name}`' for name in names)}, and what is in those."
    return {"type": "array", "items": {"type": "string"}, "maxItems": PATHS_MAX, "description": said}


def _body_schema(endpoint: Endpoint[Any]) -> Schema:
    described, expandable = params_schema(endpoint.params), _expandable(endpoint)
    properties = described["properties"] | ({} if expandable is None else {"expand": expandable})
    return {**{name: value for name, value in described.items() if name != "description"}, "properties": properties}


def _body(endpoint: Endpoint[Any]) -> Schema:
    """A form, or the same as JSON."""
    described, schema = _body_schema(endpoint), reference(_operation_id(endpoint))
    nested = [name for name, each in described["properties"].items() if _is_nested(each)]
    form: Schema = {"schema": schema}
    if nested:
        form["encoding"] = {name: {"style": "deepObject", "explode": True} for name in nested}
    return {"required": bool(described.get("required")), "content": {_FORM: form, _JSON: {"schema": schema}}}


def _is_nested(schema: Schema) -> bool:
    return "$ref" in schema or schema.get("type") in ("object", "array") or any(_is_nested(each) for each in schema.get("anyOf", ()))


def _success(endpoint: Endpoint[Any]) -> Schema:
    answer, known = shown(endpoint), object_schemas()
    named = reference(answer.name) if answer.name in known else None
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in ("Request-Id", "Stripe-Version")}
    if endpoint.method != "GET":
        headers["Idempotent-Replayed"] = {"$ref": "#/components/headers/Idempotent-Replayed"}
    if answer.streamed:
        said = f"Server-sent events, each with {answer.name} as its data, for as long as the client listens."
        return {"description": said, "headers": headers, "content": {_STREAM: {"schema": {"type": "string"}}}}
    if answer.listed:
        schema = listed(named, found=endpoint.path.endswith("/search"))
        return {"description": "A page, newest first.", "headers": headers, "content": {_JSON: {"schema": schema}}}
    assert named is not None, f"{endpoint.operation}: nothing renders {answer.name}"
    kind = KINDS.get(answer.name)
    if kind is not None and kind.shows_deleted and endpoint.method == "GET":
        named = {"anyOf": [named, reference(f"deleted_{answer.name}")]}
    return {"description": "The object.", "headers": headers, "content": {_JSON: {"schema": named}}}


def _headers() -> dict[str, Schema]:
    def header(name: str, said: str, **schema: Any) -> Schema:
        return {"name": name, "in": "header", "description": said, "schema": {"type": "string", **schema}}

    return {
        "Idempotency-Key": header(
            "Idempotency-Key",
            "A repetition with the same key gets the first answer, and does nothing twice. Kept for 24 hours.",
            minLength=1,
            maxLength=IDEMPOTENCY_KEY_CHARACTERS_MAX,
        ),
        "Stripe-Version": header(
            "Stripe-Version",
            "The version that the call is in, and its answer; without it the account's default.",
            enum=[*CALLS_ONLY, *VERSIONS],
        ),
        "Stripe-Account": header("Stripe-Account", "The caller's own account; any other is refused.", pattern="^acct_"),
        "Stripe-Context": header("Stripe-Context", "The same, by its newer name.", pattern="^acct_"),
        "Last-Event-ID": header("Last-Event-ID", "The last event that was received: the stream goes on after it."),
    }


def _takes(endpoint: Endpoint[Any], header: str) -> bool:
    match header:
        case "Idempotency-Key":
            return endpoint.method == "POST"
        case "Last-Event-ID":
            return shown(endpoint).streamed
        case _:
            return True


def _refusals() -> dict[int, list[type[Exception]]]:
    """Which errors come with which status."""
    found: dict[int, list[type[Exception]]] = {}
    for error, status, _, _ in errors._MAPPING:
        if error not in _NEVER_DOCUMENTED:
            found.setdefault(status, []).append(error)
    return dict(sorted({**found, 500: [Exception]}.items()))


def _may_refuse(endpoint: Endpoint[Any], status: int) -> bool:
    return endpoint.method == "POST" or any(error not in _OF_CHANGES for error in _refusals()[status])


def _refusal_name(status: int) -> str:
    # By the names of RFC 9110, which Python took over with 3.13.
    name = "CONTENT_TOO_LARGE" if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE else HTTPStatus(status).name
    return name.title().replace("_", "")


def _refusal(status: int) -> Schema:
    causes = _refusals()[status]
    said = (
        " ".join(dict.fromkeys(re.sub(r"\s+", " ", each.__doc__ or "") for each in causes))
        if status != 500
        else "A failure of ours. It has been logged."
    )
    headers = {
        name: {"$ref": f"#/components/headers/{name}"} for name in ("Request-Id", "Stripe-Version", "Stripe-Should-Retry", "Retry-After")
    }
    return {"description": said, "headers": headers, "content": {_JSON: {"schema": reference("error")}}}


@cache
def kept() -> Schema:
    """The document that is served, which a test holds to what the code makes: it is read in no time."""
    return json.loads(DOCUMENT.read_bytes())


def write() -> None:
    """Keep it where it is served from."""
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_bytes(encoded())
