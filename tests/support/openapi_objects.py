"""What operations show, as OpenAPI says it: made of what renders it, of what kinds say that expands, and of the enumerations of Stripe's description.

A field that our type calls a string, and Stripe's description an enumeration, is that enumeration: the tests hold each response against that description.
"""

import json
from collections.abc import Callable
from functools import cache
from typing import Any, cast

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from payments.domain.api_version import NEWEST
from payments.domain.charge import Charge
from payments.domain.errors import CardError, InvalidRequest, UnexpectedState
from payments.domain.event import Event
from payments.domain.ledger import LedgerAccount, LedgerTransfer, TrialBalance
from payments.domain.payment_intent import PaymentIntent
from payments.domain.setup_intent import SetupIntent
from payments.notification_service.delivery_log import NAME as _ATTEMPT
from payments.notification_service.delivery_log import render_exchange, render_logged
from payments.notification_service.events import render_attempt, render_delivery
from payments.notification_service.exchange import Exchange
from payments.notification_service.trial import render_trial
from payments.notification_service.webhook_endpoints import EVENT_TYPES
from payments.payment_api.stripe_cli import NAME as CLI_SESSION
from payments.payment_api.stripe_cli import render_session
from payments.storage.delivery_log import LoggedAttempt
from payments.wire import errors, render_card
from payments.wire.api import Endpoint
from payments.wire.kind import Expandable, Kind, Shown
from payments.wire.kinds import CARD, CHARGE, KINDS
from payments.wire.render import render_balance
from payments.wire.render_account import render_account
from payments.wire.render_amount import LINE, render_line
from payments.wire.render_ledger import render_ledger_account, render_ledger_transfer, render_trial_balance
from payments.wire.render_lists import render_deleted, render_found, render_list
from payments.wire.rendering import render_event
from tests.support.public_api import endpoints
from tests.support.shapes import Schema, Seen, Values, observed
from tests.support.stripe_schema import schemas

_EVENT, _DELIVERY = "event", "notification.delivery"
_LOOKED_UP = {"brand": render_card._BRANDS}
"""By which field renderers look something up."""


def reference(name: str) -> Schema:
    """A reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def listed(items: Schema | None, *, found: bool = False) -> Schema:
    """A page of objects; of no objects at all where there are no `items`."""
    page, data = _page(found), {"type": "array", "maxItems": 0} if items is None else {"type": "array", "items": items}
    return {**page, "properties": {**page["properties"], "data": data}}


@cache
def _page(found: bool) -> Schema:
    return observed((render_found if found else render_list,), Values())[False].schema()


@cache
def object_schemas() -> dict[str, Schema]:
    """By what objects say that they are; `error` is any error, and `deleted_NAME` what is left of an object."""
    seen = _seen()
    raw = {name: each.schema() for name, each in seen.items()}
    made = {name: _named(schema, raw, at_top=True) for name, schema in raw.items()}
    for name, schema in made.items():
        _narrow(schema, schemas().get(name))
        if (kind := KINDS.get(name)) is not None:
            _identify(schema, kind)
            for path, expandable in kind.expandable_in(NEWEST).items():
                _expand(schema, path.split("."), expandable)
    told = sorted(name for name in made if (kind := KINDS.get(name.removeprefix("deleted_"))) is not None and _is_told_of(kind))
    made[_EVENT]["properties"]["data"]["properties"]["object"] = {"anyOf": [reference(name) for name in told]}
    return made


def shown(endpoint: Endpoint[Any]) -> Shown:
    """What an operation answers with: what it declares, or what its path says."""
    if endpoint.shows is not None:
        return endpoint.shows
    *_, last = parts = endpoint.path.split("/")
    names = {kind.path.rpartition("/")[2]: kind.name for kind in KINDS.values() if kind is not CARD}
    name = next(names[part] for part in reversed(parts) if part in names)
    if endpoint.method == "DELETE":
        return Shown(f"deleted_{name}")
    return Shown(name, listed=endpoint.method == "GET" and (last in names or last == "search"))


def is_expandable(kind: Kind[Any], path: str) -> bool:
    """Whether there is ever something at a path that can be shown whole."""
    schema = object_schemas()[kind.name]
    for name in path.split("."):
        schema = schema.get("properties", {}).get(name, {})
    return "anyOf" in schema or "properties" in schema


def _is_told_of(kind: Kind[Any]) -> bool:
    begins = kind.noun.struct.TOLD_AS or kind.name
    return any(name.startswith(f"{begins}.") for name in EVENT_TYPES)


def _seen() -> dict[str, Seen]:
    seen: dict[str, Seen] = {}
    renderers: dict[str, Callable[..., Any]] = {name: kind.render for name, kind in KINDS.items()}
    renderers |= {"account": render_account, "balance": render_balance, "notifications.trial": render_trial, LINE: render_line}
    renderers |= {
        LedgerAccount.OBJECT: render_ledger_account,
        LedgerTransfer.OBJECT: render_ledger_transfer,
        TrialBalance.OBJECT: render_trial_balance,
    }
    for name, render in renderers.items():
        for is_deleted, shape in observed((render,), Values(looked_up=_LOOKED_UP)).items():
            seen[f"deleted_{name}" if is_deleted else name] = shape
    for name in sorted({shown(each).name for each in endpoints() if each.method == "DELETE"} - seen.keys()):
        left = observed((render_deleted,), Values())[True]
        left.properties["object"] = Seen(times=left.times, types={"string"}, constants={name.removeprefix("deleted_")})
        seen[name] = left
    seen[_EVENT] = observed((_any_event,), Values(plain=True))[False]
    seen[_DELIVERY] = observed((render_delivery,), Values())[False]
    log = seen[_DELIVERY].properties["attempt_log"]
    log.items = observed((render_attempt,), Values())[False]
    seen[CLI_SESSION] = observed((render_session,), Values())[False]
    seen[_ATTEMPT] = observed((_attempt,), Values())[False]
    refusals = (_refused, _refused_card, _refused_by_state, _failed_payment, _failed_setup, _failed_charge)
    seen["error"] = observed(refusals, Values(plain=True))[False]
    seen["error"].properties["error"].properties["type"].constants |= {error_type for _, _, error_type, _ in errors._MAPPING}
    return seen


def _attempt(attempt: LoggedAttempt, exchange: Exchange, by_itself: bool) -> Any:
    return render_logged(attempt) | (render_exchange(exchange) if by_itself else {})


def _any_event(event: Event, pending_webhooks: int, api_version: str, subject: Charge) -> Any:
    snapshot = Raw(msgspec.json.encode(subject))
    return render_event(replace(event, object_type=CHARGE.name, snapshot=snapshot), pending_webhooks, api_version)


def _refused(message: str, code: str | None, param: str | None) -> Any:
    return json.loads(errors.wire_error(InvalidRequest(message, code=code, param=param)).body)


def _refused_card(message: str, code: str, decline_code: str | None, param: str | None) -> Any:
    return json.loads(errors.wire_error(CardError(message, code=code, decline_code=decline_code, param=param)).body)


def _refused_by_state(message: str, intent: PaymentIntent | SetupIntent) -> Any:
    return json.loads(errors.wire_error(UnexpectedState(message, intent)).body)


def _failed_payment(intent: PaymentIntent) -> Any:
    return json.loads(errors.payment_failed_body(intent))


def _failed_setup(intent: SetupIntent) -> Any:
    return json.loads(errors.setup_failed_body(intent))


def _failed_charge(charge: Charge) -> Any:
    return json.loads(errors.charge_failed_body(charge))


def _named(schema: Any, raw: dict[str, Schema], *, at_top: bool = False) -> Any:
    """Refer to objects that lie whole in others."""
    if isinstance(schema, list):
        return [_named(each, raw) for each in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    known = cast("Schema", schema)
    name = known.get("properties", {}).get("object", {}).get("enum", [""])[0] if isinstance(known.get("properties"), dict) else ""
    if not at_top and name in KINDS and _is_whole(known, raw[name]):
        of_type = known["type"]
        return {"anyOf": [reference(name), {"type": "null"}]} if "null" in of_type else reference(name)
    return {key: _named(value, raw) for key, value in known.items()}


def _is_whole(schema: Schema, whole: Schema) -> bool:
    return set(whole["required"]) <= schema["properties"].keys() <= whole["properties"].keys()


def _narrow(schema: Schema, stripes: Schema | None) -> None:
    """Make enumerations of strings of which Stripe says which there are."""
    while stripes is not None and "$ref" in stripes:
        stripes = schemas()[stripes["$ref"].rpartition("/")[2]]
    if stripes is None:
        return
    types = schema.get("type", ())
    if "string" in types and "enum" not in schema and stripes.get("type") == "string" and stripes.get("enum"):
        schema["enum"] = [*(each for each in stripes["enum"] if each), *([None] if "null" in types else [])]
    alternatives = [each for each in stripes.get("anyOf", ()) if "$ref" in each or "properties" in each]
    if "properties" in schema and len(alternatives) == 1:
        _narrow(schema, alternatives[0])
    for name, below in schema.get("properties", {}).items():
        _narrow(below, stripes.get("properties", {}).get(name))
    if "items" in schema:
        _narrow(schema["items"], stripes.get("items"))


def _identify(schema: Schema, kind: Kind[Any]) -> None:
    shown: Schema = schema["properties"]
    if kind.noun.place == "id" and "id" in shown:  # of customer sessions, a secret alone
        shown["id"]["pattern"] = _pattern((kind.name,))


def _pattern(names: tuple[str, ...]) -> str | None:
    """How ids of kinds begin; None where merchants choose some of them."""
    kinds = [KINDS[name] for name in names]
    if not kinds or any(kind.noun.place != "id" for kind in kinds):
        return None
    prefixes = sorted({kind.noun.prefix for kind in kinds})
    return f"^{prefixes[0]}_" if len(prefixes) == 1 else f"^({'|'.join(prefixes)})_"


def _expand(schema: Schema, path: list[str], expandable: Expandable) -> None:
    """Say that a field, if there is one, is an id or what it names."""
    properties = schema.get("properties", {})
    name = path[0]
    if len(path) > 1:
        _expand(properties.get(name, {}), path[1:], expandable)
    elif expandable.listed and expandable.kinds:
        properties[name] = listed(reference(expandable.kinds[0]))
    elif expandable.kinds and "string" in properties.get(name, {}).get("type", ()):
        pattern = _pattern(expandable.kinds)
        named: Schema = {"type": "string"} if pattern is None else {"type": "string", "pattern": pattern}
        whole = [
            reference(each) for kind in expandable.kinds for each in (kind, *([f"deleted_{kind}"] if KINDS[kind].shows_deleted else []))
        ]
        properties[name] = {"anyOf": [named, *whole, *([{"type": "null"}] if "null" in properties[name]["type"] else [])]}
