"""Events, and our own view of their deliveries: list, look at attempts, send again."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Annotated, Literal

from msgspec import Meta, Struct

from payments.domain.errors import InvalidRequest, NotFound, ResourceMissing
from payments.domain.event import Event
from payments.notification_service.webhook_endpoints import EVENT_TYPES
from payments.runtime.ids import ID_CHARACTERS_MAX
from payments.storage.database import Pool
from payments.storage.deliveries import Deliveries, Delivery
from payments.storage.events import find_event, page_of_events
from payments.wire.api import Call, Endpoint, Endpoints, Reply, reply
from payments.wire.expansion import check_expandable
from payments.wire.kind import Shown
from payments.wire.lists import Lists
from payments.wire.params import NoParams
from payments.wire.reading import FilterId, ListParams, found_cursor
from payments.wire.render_lists import render_list
from payments.wire.render_people import Rendered
from payments.wire.rendering import render_event

PATH = "/v1/events"
DELIVERIES_PATH = "/v1/notifications/deliveries"
TYPES_MAX = 20
_DELIVERY = "notification.delivery"
_TYPE = re.compile(r"[a-z0-9_.]*\*?")


class _ListParams(ListParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    type: FilterId | None = None
    types: Annotated[list[FilterId], Meta(max_length=TYPES_MAX)] | None = None
    delivery_success: bool | None = None


class _RetryParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    webhook_endpoint: FilterId | None = None
    for_stripecli: bool = False
    """What the Stripe CLI says where it is told no endpoint."""


class _DeliveryListParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    event: FilterId | None = None
    endpoint: FilterId | None = None
    status: Literal["pending", "delivered", "dead"] | None = None
    starting_after: Annotated[str, Meta(min_length=1, max_length=2 * ID_CHARACTERS_MAX)] | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 10


@dataclass(frozen=True, slots=True)
class Events:
    """Handlers of `/v1/events` and `/v1/notifications/deliveries`."""

    pool: Pool
    lists: Lists
    deliveries: Deliveries
    on_redelivery: Callable[[], None]
    """Called when a delivery was made due."""

    def endpoints(self) -> Endpoints:
        """What may be called."""
        return [
            Endpoint("GET", PATH, _ListParams, self._list, shows=Shown("event", listed=True)),
            Endpoint("GET", f"{PATH}/{{id}}", NoParams, self._retrieve, shows=Shown("event")),
            Endpoint("POST", f"{PATH}/{{id}}/retry", _RetryParams, self._retry, shows=Shown("event")),
            Endpoint("GET", DELIVERIES_PATH, _DeliveryListParams, self._list_deliveries, shows=Shown(_DELIVERY, listed=True)),
            Endpoint("GET", f"{DELIVERIES_PATH}/{{id}}", NoParams, self._retrieve_delivery, shows=Shown(_DELIVERY)),
            Endpoint("POST", f"{DELIVERIES_PATH}/{{id}}/redeliver", NoParams, self._redeliver, shows=Shown(_DELIVERY)),
        ]

    async def _retrieve(self, call: Call, _: NoParams) -> Reply:
        check_expandable(call, "event")
        return await self._shown(call, await self._find(call))

    async def _find(self, call: Call) -> Event:
        event = await find_event(self.pool, call.principal.merchant_id, call.principal.livemode, call.path["id"])
        if event is None:
            raise NotFound("event", call.path["id"][:100])
        return event

    async def _shown(self, call: Call, event: Event) -> Reply:
        pending = await self.deliveries.pending_of(self.pool, event.merchant_id, event.livemode, [event.id])
        return reply(render_event(event, pending.get(event.id, 0), call.api_version))

    async def _retry(self, call: Call, params: _RetryParams) -> Reply:
        """Send an event to an endpoint once more: `stripe events resend`."""
        check_expandable(call, "event")
        if params.webhook_endpoint is None:
            if params.for_stripecli:
                raise InvalidRequest(
                    "No CLI endpoints found to retry delivery. Provide a specific webhook endpoint.", param="for_stripecli"
                )
            raise InvalidRequest("Missing required param: webhook_endpoint.", code="parameter_missing", param="webhook_endpoint")
        event = await self._find(call)
        if not await self.deliveries.resend(event.merchant_id, event.livemode, event.id, params.webhook_endpoint):
            raise ResourceMissing("enabled webhook endpoint", params.webhook_endpoint[:100], param="webhook_endpoint")
        self.on_redelivery()
        return await self._shown(call, event)

    async def _list(self, call: Call, params: _ListParams) -> Reply:
        if params.type is not None and params.types is not None:
            raise InvalidRequest("You may only specify one of these parameters: type, types.", param="types")
        check_expandable(call, "event")
        types = meant_types("type", [params.type]) if params.type is not None else meant_types("types", params.types)
        page, merchant_id, livemode = params.page(), call.principal.merchant_id, call.principal.livemode
        async with self.lists.connection(merchant_id) as connection:
            await found_cursor("event", page, partial(find_event, connection, merchant_id, livemode))
            events, has_more = await page_of_events(connection, merchant_id, livemode, page, types=types, delivered=params.delivery_success)
            pending = await self.deliveries.pending_of(connection, merchant_id, livemode, [event.id for event in events])
        data = [render_event(event, pending.get(event.id, 0), call.api_version) for event in events]
        return reply(render_list(PATH, data, has_more=has_more))

    async def _list_deliveries(self, call: Call, params: _DeliveryListParams) -> Reply:
        check_expandable(call, _DELIVERY)
        after = None if params.starting_after is None else _split(params.starting_after)
        async with self.lists.connection(call.principal.merchant_id) as connection:
            found, has_more = await self.deliveries.page(
                connection,
                call.principal.merchant_id,
                call.principal.livemode,
                event_id=params.event,
                endpoint_id=params.endpoint,
                status=params.status,
                after=after,
                limit=params.limit,
            )
        return reply(render_list(DELIVERIES_PATH, [render_delivery(each) for each in found], has_more=has_more))

    async def _retrieve_delivery(self, call: Call, _: NoParams) -> Reply:
        check_expandable(call, _DELIVERY)
        event_id, endpoint_id = _split(call.path["id"])
        merchant_id, livemode = call.principal.merchant_id, call.principal.livemode
        found, _more = await self.deliveries.page(
            self.pool, merchant_id, livemode, event_id=event_id, endpoint_id=endpoint_id, status=None, after=None, limit=1
        )
        if not found:
            raise NotFound("delivery", call.path["id"][:100])
        attempts = await self.deliveries.attempts_of(merchant_id, livemode, event_id, endpoint_id)
        return reply(render_delivery(found[0], [render_attempt(**row) for row in attempts]))

    async def _redeliver(self, call: Call, _: NoParams) -> Reply:
        event_id, endpoint_id = _split(call.path["id"])
        delivery = await self.deliveries.redeliver(call.principal.merchant_id, call.principal.livemode, event_id, endpoint_id)
        if delivery is None:
            raise NotFound("delivery", call.path["id"][:100])
        self.on_redelivery()
        return reply(render_delivery(delivery))


def meant_types(param: str, patterns: list[str] | None) -> list[str] | None:
    """Return the event types that are meant, None for all; a group, as in `charge.*`, is all types that there are of it."""
    if patterns is None:
        return None
    for pattern in patterns:
        if not _TYPE.fullmatch(pattern):
            raise InvalidRequest(
                f"Invalid {param}: {pattern[:100]} is no event type, nor the beginning of one with a trailing *.", param=param
            )
    if "*" in patterns:
        return None
    groups = tuple(pattern[:-1] for pattern in patterns if pattern.endswith("*"))
    named = [pattern for pattern in patterns if not pattern.endswith("*")]
    return list(dict.fromkeys(named + sorted(name for name in EVENT_TYPES if groups and name.startswith(groups))))


def _split(delivery_id: str) -> tuple[str, str]:
    """A delivery's id is its event's and its endpoint's."""
    event_id, dot, endpoint_id = delivery_id.partition(".")
    if not dot or len(delivery_id) > 2 * ID_CHARACTERS_MAX:
        raise NotFound("delivery", delivery_id[:100])
    return event_id, endpoint_id


def render_delivery(delivery: Delivery, attempt_log: list[Rendered] | None = None) -> Rendered:
    """Render a delivery, with the log of its attempts where that is shown."""
    body: Rendered = {
        "id": f"{delivery.event_id}.{delivery.endpoint_id}",
        "object": _DELIVERY,
        "event": delivery.event_id,
        "webhook_endpoint": delivery.endpoint_id,
        "status": delivery.status,
        "attempts": delivery.attempts,
        "next_attempt_at": int(delivery.next_attempt_at.timestamp()) if delivery.status == "pending" and delivery.next_attempt_at else None,
        "created": int(delivery.created_at.timestamp()),
    }
    if attempt_log is not None:
        body["attempt_log"] = attempt_log
    return body


def render_attempt(attempt: int, attempted_at: datetime, duration_ms: int, status_code: int | None, error: str | None) -> Rendered:
    """Render an attempt of a delivery; `status_code` is None when there was no answer, and `error` says why."""
    return {
        "attempt": attempt,
        "attempted_at": int(attempted_at.timestamp()),
        "duration_ms": duration_ms,
        "status_code": status_code,
        "error": error,
    }
