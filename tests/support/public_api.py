"""Every operation of the public API, by the service that mounts it, and what it takes; made of the code, without a database.

`python -m tests.support.public_api` writes what is made of it: the tables of docs/api.md, and the OpenAPI document (tests/support/openapi.py).
"""

import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from payments.notification_service.channels.queues import Allowed
from payments.notification_service.delivery_log import DeliveryLog
from payments.notification_service.destinations import Destinations
from payments.notification_service.event_stream import EventStream
from payments.notification_service.events import Events
from payments.notification_service.replays import Replays
from payments.notification_service.trial import Trial
from payments.notification_service.webhook_endpoints import WebhookEndpoints
from payments.payment_api.public_api import public_api
from payments.payment_api.stripe_cli import StripeCli
from payments.runtime.topology import Service
from payments.transaction_processor.public_api import public_api as money_api
from payments.wire.api import Endpoint
from payments.wire.objects import Objects
from payments.wire.reading import ListParams, PageParams
from payments.wire.stripe_parameters import Parameters, taken_by_stripe
from tests.support.refusal_reasons import REASONS, reasons_for

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
_NOTHING: Any = None
"""What the handlers would work with."""
_VERBS = {"POST": "create", "GET": "list"}
_VERBS_OF_ONE = {"POST": "update", "GET": "retrieve", "DELETE": "delete"}

_GROUPS = {"notifications", "checkout", "ledger", "test_helpers"}
"""Paths that begin with these name a resource with their second word."""

_MADE = "made of the code by `python -m tests.support.public_api`"
_EXAMPLES = 4
_OF_ANY_METHOD = {"allow_redisplay", "billing_details", "metadata", "radar_options", "type"}


@cache
def mounted() -> dict[Service, list[Endpoint[Any]]]:
    """What each service answers."""
    webhook_endpoints = WebhookEndpoints(
        reader=_NOTHING, idempotency=_NOTHING, deliveries=_NOTHING, sealer=_NOTHING, clock=_NOTHING, allow_private=False
    )
    destinations = Destinations(
        reader=_NOTHING, idempotency=_NOTHING, deliveries=_NOTHING, clock=_NOTHING, allowed=Allowed(), has_mail=False
    )
    objects = Objects(idempotency=_NOTHING, reader=_NOTHING, waker=_NOTHING, clock=_NOTHING)
    return {
        Service.PAYMENT_API: [
            *public_api(
                steps=_NOTHING,
                cards=_NOTHING,
                vault=_NOTHING,
                handover=_NOTHING,
                keeping=_NOTHING,
                closing=_NOTHING,
                addresses=_NOTHING,
                objects=_NOTHING,
                reader=_NOTHING,
                pool=_NOTHING,
                account_sealer=_NOTHING,
                pepper=_NOTHING,
                stripe_cli=StripeCli(_NOTHING, ""),
            )
        ],
        Service.TRANSACTION_PROCESSOR: [*money_api(objects=objects, accounts=_NOTHING, bookkeeper=_NOTHING)],
        Service.NOTIFICATION_SERVICE: [
            *webhook_endpoints.endpoints(),
            *destinations.endpoints(),
            *Events(_NOTHING, _NOTHING, _NOTHING, _NOTHING).endpoints(),
            *Replays(reader=_NOTHING, lists=_NOTHING, idempotency=_NOTHING, clock=_NOTHING, on_created=_NOTHING).endpoints(),
            *DeliveryLog(_NOTHING, _NOTHING).endpoints(),
            *EventStream(_NOTHING, _NOTHING, _NOTHING).endpoints(),
            *Trial(0, False, _NOTHING).endpoints(),
        ],
    }


def endpoints() -> list[Endpoint[Any]]:
    """All of them."""
    return [endpoint for each in mounted().values() for endpoint in each]


def taken(params: type[Struct]) -> Parameters:
    """What a struct takes, with what is in its hashes."""
    return {each.encode_name: _inside(each.type) for each in msgspec.structs.fields(params)}


def _inside(annotation: Any) -> Parameters:
    if isinstance(annotation, type) and issubclass(annotation, Struct):
        return taken(annotation)
    return {name: below for each in typing.get_args(annotation) if not isinstance(each, str) for name, below in _inside(each).items()}


def _missing(ours: Parameters, stripes: Parameters, prefix: str = "") -> Iterator[str]:
    for name, below in stripes.items():
        full = f"{prefix}[{name}]" if prefix else name
        if name not in ours:
            yield full
        elif ours[name]:
            yield from _missing(ours[name], below, full)


def refused(endpoint: Endpoint[Any]) -> list[str]:
    """What Stripe takes for an operation, and Tap refuses by name."""
    return list(_missing(taken(endpoint.params), taken_by_stripe(endpoint.operation)))


def own(endpoint: Endpoint[Any]) -> list[str]:
    """What Tap takes and Stripe's description has not."""
    stripes = taken_by_stripe(endpoint.operation)
    return list(_missing(stripes, taken(endpoint.params))) if stripes else []


def collection_of(path: str) -> tuple[str, str, bool]:
    """The resource of a path, what is done with it or in it, and whether that is one object."""
    parts = path.removeprefix("/v1/").split("/")
    names = [part for part in parts if not part.startswith("{")]
    width = 2 if names[0] in _GROUPS else 1
    return "/".join(names[:width]), " ".join(names[width:]), parts[-1].startswith("{")


def operations_table() -> str:
    """Which resources there are, and what may be done with each."""
    rows: dict[str, list[str]] = {}
    for endpoint in endpoints():
        resource, inside, one = collection_of(endpoint.path)
        single = resource in ("account", "balance", "ledger/trial_balance", "notifications/trial")
        if inside and (endpoint.method == "POST" or inside == "search"):
            verb = f"`{inside}`"
        elif inside:
            verb = f"its `{inside}`"
        elif single:
            verb = "retrieve" if endpoint.method == "GET" else "create"
        else:
            verb = (_VERBS_OF_ONE if one else _VERBS)[endpoint.method]
        known = rows.setdefault(resource, [])
        if verb not in known:
            known.append(verb)
    return _table(("resource", "operations"), [(f"`/v1/{name}`", ", ".join(verbs)) for name, verbs in sorted(rows.items())])


def filters_table() -> str:
    """What each list may be narrowed by."""
    rows: list[tuple[str, str]] = []
    for endpoint in endpoints():
        names = [each.encode_name for each in msgspec.structs.fields(endpoint.params)]
        if endpoint.method == "GET" and "limit" in names:
            shown = [name for name in names if name not in PageParams.__struct_fields__]
            if issubclass(endpoint.params, ListParams):
                shown = [*(name for name in shown if name != "created"), "created"]
            rows.append((f"`{endpoint.path}`", ", ".join(f"`{name}`" for name in shown) or "none"))
    return _table(("list", "filters"), sorted(rows))


def refusals_table() -> str:
    """What Stripe takes and Tap refuses by name, without the payment methods that aren't cards: each is a hash of its own."""
    other_methods = taken_by_stripe("POST /v1/payment_intents")["payment_method_data"].keys() - _OF_ANY_METHOD
    hashes = other_methods | {f"payment_method_data[{name}]" for name in other_methods}
    shown = {each.operation: [f"`{name}`" for name in refused(each) if name not in hashes] for each in endpoints()}
    rows = [(f"`{operation}`", " ".join(names)) for operation, names in shown.items() if names]
    return _table(("operation", "refused"), sorted(rows, key=lambda row: row[0].partition(" ")[2]))


def reasons_table() -> str:
    """Why that is so, with an example or two of what is refused for it."""
    found: dict[str, list[str]] = {reason: [] for reason in REASONS}
    for each in endpoints():
        for name in refused(each):
            for reason in reasons_for(each.operation, name):
                if f"`{name}`" not in found[reason]:
                    found[reason].append(f"`{name}`")
    rows = [(reason, " ".join(sorted(names, key=lambda name: (name.count("["), name))[:_EXAMPLES])) for reason, names in found.items()]
    return _table(("why", "for example"), rows)


def _table(head: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    return "\n".join(f"| {left} | {right} |" for left, right in (head, ("---", "---"), *rows))


TABLES = {"operations": operations_table, "filters": filters_table, "refusals": refusals_table, "reasons": reasons_table}
"""By what the page calls them: each stands between two comments that name it."""


def with_tables(page: str) -> str:
    """The page with its tables as they are now."""
    for name, table in TABLES.items():
        head, begin, rest = page.partition(f"<!-- {name}: {_MADE} -->\n")
        _, end, tail = rest.partition(f"<!-- end of {name} -->")
        page = f"{head}{begin}{table()}\n{end}{tail}"
    return page


if __name__ == "__main__":
    from tests.support import openapi  # it is made of this module

    openapi.write()
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
