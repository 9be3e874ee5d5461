"""Webhook endpoints: create, retrieve, update, rotate the secret, delete, list."""

from collections.abc import Collection
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated, Any

from msgspec import Meta, Struct
from msgspec.structs import replace

from payments.domain.api_version import check_version
from payments.domain.errors import InvalidRequest, NotFound
from payments.domain.webhook_endpoint import WebhookEndpoint
from payments.notification_service.deliverer import secret_context
from payments.notification_service.signing import new_secret
from payments.notification_service.targets import check_url
from payments.runtime.clock import Clock
from payments.runtime.ids import new_id
from payments.runtime.seal import Sealer
from payments.storage import webhook_endpoints as store
from payments.storage.database import Connection, Pool
from payments.storage.deliveries import Deliveries
from payments.storage.webhook_endpoints import WEBHOOK_ENDPOINTS
from payments.wire.api import Call, Endpoint, Reply, reply
from payments.wire.expansion import check_expandable
from payments.wire.idempotency import Idempotency
from payments.wire.lists import Lists
from payments.wire.params import MetadataParam, Text, merge_metadata, not_supported, unset
from payments.wire.reading import PageParams
from payments.wire.render import render_webhook_endpoint

PATH = "/v1/webhook_endpoints"
ENDPOINTS_MAX = 16
"""Per merchant and mode, as at Stripe."""
_ROTATION_SECONDS = 24 * 3600
_ROTATION_SECONDS_MAX = 7 * 24 * 3600

EVENT_TYPES = frozenset(files("payments.notification_service").joinpath("event_types.txt").read_text(encoding="utf-8").split())
"""Every event type of Stripe's API, whether Tap has it already or not: an endpoint made for Stripe can be made here unchanged."""


class _CreateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: Annotated[str, Meta(max_length=5_000)]
    enabled_events: list[str]
    api_version: str | None = None
    description: Text | None = None
    metadata: MetadataParam | None = None


class _UpdateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: Annotated[str, Meta(max_length=5_000)] | None = None
    enabled_events: list[str] | None = None
    disabled: bool | None = None
    description: Text | None = None
    metadata: MetadataParam | None = None


class _RotateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    previous_secret_seconds: Annotated[int, Meta(ge=0, le=_ROTATION_SECONDS_MAX)] = _ROTATION_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEndpoints:
    """Handlers of `/v1/webhook_endpoints`."""

    pool: Pool
    lists: Lists
    idempotency: Idempotency
    deliveries: Deliveries
    sealer: Sealer
    clock: Clock
    allow_private: bool
    ports: Collection[int] = ()

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints."""
        return [
            Endpoint("POST", PATH, self._create),
            Endpoint("GET", PATH, self._list),
            Endpoint("GET", f"{PATH}/{{id}}", self._retrieve),
            Endpoint("POST", f"{PATH}/{{id}}", self._update),
            Endpoint("DELETE", f"{PATH}/{{id}}", self._delete),
            Endpoint("POST", f"{PATH}/{{id}}/rotate_secret", self._rotate_secret),
        ]

    async def _create(self, call: Call) -> Reply:
        not_supported(call.params, frozenset({"connect"}))
        params = call.parse(_CreateParams)
        principal = call.principal
        check_url(params.url, livemode=principal.livemode, allow_private=self.allow_private, ports=self.ports)
        endpoint = WebhookEndpoint(
            id=new_id("we"),
            merchant_id=principal.merchant_id,
            livemode=principal.livemode,
            created=int(self.clock.now()),
            url=params.url,
            enabled_events=_event_types(params.enabled_events),
            api_version=check_version(params.api_version, param="api_version") if params.api_version else None,
            description=params.description or None,
            metadata=merge_metadata({}, params.metadata),
        )
        secret = new_secret()

        async def mutate(connection: Connection) -> Reply:
            if await store.count_for_one_more(connection, principal.merchant_id, principal.livemode) >= ENDPOINTS_MAX:
                mode = "live" if principal.livemode else "test"
                raise InvalidRequest(f"You have reached the maximum of {ENDPOINTS_MAX} {mode} webhook endpoints.")
            await store.insert(connection, endpoint, self.sealer.seal(secret.encode(), secret_context(endpoint)))
            return reply(render_webhook_endpoint(endpoint, secret))

        return await self.idempotency.once(call, mutate)

    async def _find(self, call: Call) -> WebhookEndpoint:
        found = await WEBHOOK_ENDPOINTS.get(self.pool, call.principal.merchant_id, call.principal.livemode, call.path["id"])
        if found is None:
            raise NotFound("webhook endpoint", call.path["id"][:100], param="webhook_endpoint")
        return found

    async def _retrieve(self, call: Call) -> Reply:
        call.no_parameters()
        return reply(render_webhook_endpoint(await self._find(call)))

    async def _list(self, call: Call) -> Reply:
        check_expandable(call, "webhook_endpoint")
        page, merchant_id, livemode = call.parse(PageParams).page(), call.principal.merchant_id, call.principal.livemode
        async with self.lists.connection(merchant_id) as connection:
            for name, cursor in (("starting_after", page.starting_after), ("ending_before", page.ending_before)):
                if cursor is not None and await WEBHOOK_ENDPOINTS.get(connection, merchant_id, livemode, cursor) is None:
                    raise InvalidRequest(f"No such webhook endpoint: '{cursor[:100]}'", code="resource_missing", param=name)
            found, has_more = await WEBHOOK_ENDPOINTS.page(connection, merchant_id, livemode, page, {})
        return reply({"object": "list", "url": PATH, "has_more": has_more, "data": [render_webhook_endpoint(each) for each in found]})

    async def _update(self, call: Call) -> Reply:
        params = call.parse(_UpdateParams)
        endpoint = await self._find(call)
        changes: dict[str, Any] = {}
        if params.url is not None:
            check_url(params.url, livemode=endpoint.livemode, allow_private=self.allow_private, ports=self.ports)
            changes["url"] = params.url
        if params.enabled_events is not None:
            changes["enabled_events"] = _event_types(params.enabled_events)
        if params.disabled is not None:
            changes["enabled"] = not params.disabled
        if params.description is not None:
            changes["description"] = unset(params.description)
        changed = replace(endpoint, version=endpoint.version + 1, metadata=merge_metadata(endpoint.metadata, params.metadata), **changes)

        async def mutate(connection: Connection) -> Reply:
            await store.update(connection, changed)
            if not changed.enabled:
                await self.deliveries.bury(connection, changed.merchant_id, changed.livemode, changed.id)
            return reply(render_webhook_endpoint(changed))

        return await self.idempotency.once(call, mutate)

    async def _rotate_secret(self, call: Call) -> Reply:
        params = call.parse(_RotateParams)
        endpoint = await self._find(call)
        secret = new_secret()

        async def mutate(connection: Connection) -> Reply:
            sealed = self.sealer.seal(secret.encode(), secret_context(endpoint))
            await store.rotate_secret(connection, endpoint, sealed, params.previous_secret_seconds)
            return reply(render_webhook_endpoint(endpoint, secret))

        return await self.idempotency.once(call, mutate)

    async def _delete(self, call: Call) -> Reply:
        call.no_parameters()
        endpoint = await self._find(call)

        async def mutate(connection: Connection) -> Reply:
            await self.deliveries.bury(connection, endpoint.merchant_id, endpoint.livemode, endpoint.id)
            await store.delete(connection, endpoint)
            return reply({"id": endpoint.id, "object": "webhook_endpoint", "deleted": True})

        return await self.idempotency.once(call, mutate)


def _event_types(given: list[str]) -> list[str]:
    """Return the types without repetitions; raises `InvalidRequest` for one that no event has."""
    if not given:
        raise InvalidRequest("You must enable at least one event.", param="enabled_events")
    for index, name in enumerate(given):
        if name != "*" and name not in EVENT_TYPES:
            raise InvalidRequest(f"Invalid enabled_events[{index}]: {name[:100]} is no event type.", param=f"enabled_events[{index}]")
    return list(dict.fromkeys(given))
