"""`/v1/notifications/attempts`: each attempt of a delivery, with what was sent, what came back, and what took how long."""

from dataclasses import dataclass
from functools import partial

import msgspec

from payments.domain.errors import NotFound
from payments.notification_service.exchange import Exchange
from payments.storage import delivery_log
from payments.storage.database import Pool
from payments.storage.delivery_log import LoggedAttempt
from payments.wire.api import Call, Endpoint, Endpoints, Reply, reply
from payments.wire.expansion import check_expandable
from payments.wire.kind import Shown
from payments.wire.lists import Lists
from payments.wire.params import NoParams
from payments.wire.reading import FilterId, PageParams, found_cursor
from payments.wire.render_lists import render_list
from payments.wire.render_people import Rendered

PATH = "/v1/notifications/attempts"
NAME = "notification.attempt"
_decode = msgspec.json.Decoder(Exchange).decode


class _ListParams(PageParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    event: FilterId | None = None
    endpoint: FilterId | None = None


@dataclass(frozen=True, slots=True)
class DeliveryLog:
    """The endpoints."""

    pool: Pool
    lists: Lists

    def endpoints(self) -> Endpoints:
        """What may be called."""
        return [
            Endpoint("GET", PATH, _ListParams, self._list, shows=Shown(NAME, listed=True)),
            Endpoint("GET", f"{PATH}/{{id}}", NoParams, self._retrieve, shows=Shown(NAME)),
        ]

    async def _list(self, call: Call, params: _ListParams) -> Reply:
        check_expandable(call, NAME)
        page, merchant_id, livemode = params.page(), call.principal.merchant_id, call.principal.livemode
        async with self.lists.connection(merchant_id) as connection:
            await found_cursor("attempt", page, partial(delivery_log.find, connection, merchant_id, livemode))
            found, has_more = await delivery_log.page(
                connection, merchant_id, livemode, page, event_id=params.event, endpoint_id=params.endpoint
            )
        return reply(render_list(PATH, [render_logged(each) for each in found], has_more=has_more))

    async def _retrieve(self, call: Call, _: NoParams) -> Reply:
        check_expandable(call, NAME)
        found = await delivery_log.find(self.pool, call.principal.merchant_id, call.principal.livemode, call.path["id"])
        if found is None:
            raise NotFound("attempt", call.path["id"][:100])
        return reply(render_logged(found) | render_exchange(_decode(found.exchange)))


def render_logged(attempt: LoggedAttempt) -> Rendered:
    """Render an attempt as lists show it."""
    return {
        "id": attempt.id,
        "object": NAME,
        "delivery": f"{attempt.event_id}.{attempt.endpoint_id}",
        "event": attempt.event_id,
        "webhook_endpoint": attempt.endpoint_id,
        "attempt": attempt.attempt,
        "attempted_at": int(attempt.attempted_at.timestamp()),
        "duration_ms": attempt.duration_ms,
        "status_code": attempt.status_code,
        "error": attempt.error,
        "delivery_status": attempt.status,
    }


def render_exchange(exchange: Exchange) -> Rendered:
    """Render what else is shown of one attempt by itself. The body that was sent is the event: it is told by its length and digest."""
    request, response, timing = exchange.request, exchange.response, exchange.timing
    return {
        "request": None
        if request is None
        else {
            "method": "POST",
            "url": request.url,
            "headers": request.headers,
            "api_version": request.api_version,
            "body_bytes": request.body_bytes,
            "body_sha256": request.body_sha256,
        },
        "response": None if response is None else {"headers": response.headers, "body": response.body, "truncated": response.truncated},
        "timing": {
            "resolve_ms": timing.resolve_ms,
            "connect_ms": timing.connect_ms,
            "tls_ms": timing.tls_ms,
            "first_byte_ms": timing.first_byte_ms,
            "total_ms": timing.total_ms,
        },
    }
