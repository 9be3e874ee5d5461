"""Webhook endpoints: create, retrieve, update, rotate the secret, delete, list."""

from collections.abc import Collection
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

from payments.domain.api_version import check_version
from payments.domain.errors import InvalidRequest
from payments.domain.principal import Principal
from payments.domain.webhook_endpoint import TOLD, WebhookEndpoint, check_ordering
from payments.notification_service.channels.webhook import secret_context
from payments.notification_service.signing import new_secret
from payments.notification_service.targets import check_url
from payments.runtime.clock import Clock
from payments.runtime.ids import new_id
from payments.runtime.seal import Sealer
from payments.storage import webhook_endpoints as store
from payments.storage.database import Connection
from payments.storage.deliveries import Deliveries
from payments.wire.api import Call, Endpoint, Endpoints, Reply, reply
from payments.wire.changes import changed, made
from payments.wire.idempotency import Idempotency
from payments.wire.kind import Kind
from payments.wire.kinds import WEBHOOK_ENDPOINT
from payments.wire.params import MetadataParam, NoParams, Text
from payments.wire.reading import PageParams, Reader
from payments.wire.render import render_webhook_endpoint
from payments.wire.render_lists import render_deleted
from payments.wire.resource import listing, retrieve

ReceiverT = TypeVar("ReceiverT", bound=WebhookEndpoint)

_SECRETS_MAX = 6
"""That sign at once: each makes every delivery's header longer."""
_ROTATION_SECONDS = 24 * 3600
_ROTATION_SECONDS_MAX = 7 * 24 * 3600

EVENT_TYPES = frozenset(files("payments.notification_service").joinpath("event_types.txt").read_text(encoding="utf-8").split()) | {*TOLD}
"""Every event type of Stripe's API, whether Tap has it already or not, so that an endpoint made for Stripe can be made here unchanged; and Tap's own."""


class _CreateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: Annotated[str, Meta(max_length=5_000)]
    enabled_events: list[str]
    api_version: str | UnsetType = UNSET
    description: Text | UnsetType = UNSET
    metadata: MetadataParam | UnsetType = UNSET


class _UpdateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: Annotated[str, Meta(max_length=5_000)] | UnsetType = UNSET
    enabled_events: list[str] | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET
    description: Text | UnsetType = UNSET
    metadata: MetadataParam | UnsetType = UNSET


class _RotateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    previous_secret_seconds: Annotated[int, Meta(ge=0, le=_ROTATION_SECONDS_MAX)] = _ROTATION_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEndpoints:
    """`/v1/webhook_endpoints`."""

    reader: Reader
    idempotency: Idempotency
    deliveries: Deliveries
    sealer: Sealer
    clock: Clock
    allow_private: bool
    ports: Collection[int] = ()

    def endpoints(self) -> Endpoints:
        """What may be called."""
        one = f"{WEBHOOK_ENDPOINT.path}/{{id}}"
        return [
            Endpoint("POST", WEBHOOK_ENDPOINT.path, _CreateParams, self._create),
            listing(self.reader, WEBHOOK_ENDPOINT, PageParams),
            retrieve(self.reader, WEBHOOK_ENDPOINT),
            Endpoint("POST", one, _UpdateParams, self._update),
            Endpoint("DELETE", one, NoParams, self._delete),
            Endpoint("POST", f"{one}/rotate_secret", _RotateParams, self._rotate_secret),
        ]

    async def _create(self, call: Call, params: _CreateParams) -> Reply:
        principal = call.principal
        check_url(params.url, livemode=principal.livemode, allow_private=self.allow_private, ports=self.ports)
        endpoint = WebhookEndpoint(
            id=new_id(WEBHOOK_ENDPOINT.noun.prefix),
            merchant_id=principal.merchant_id,
            livemode=principal.livemode,
            created=int(self.clock.now()),
            url=params.url,
            enabled_events=[],
        )
        version = check_version(params.api_version, param="api_version") if params.api_version else None
        endpoint = check_ordering(made(endpoint, params, enabled_events=meant_events(params.enabled_events), api_version=version))
        secret = new_secret()

        async def mutate(connection: Connection) -> Reply:
            await check_count(connection, principal)
            sealed = self.sealer.seal(secret.encode(), secret_context(endpoint))
            await WEBHOOK_ENDPOINT.noun.insert(connection, endpoint, sealed_secret=sealed)
            return reply(render_webhook_endpoint(endpoint, secret))

        return await self.idempotency.once(call, mutate)

    async def _update(self, call: Call, params: _UpdateParams) -> Reply:
        endpoint = await self.reader.get(call, WEBHOOK_ENDPOINT, call.path["id"])
        if params.url is not UNSET:
            check_url(params.url, livemode=endpoint.livemode, allow_private=self.allow_private, ports=self.ports)
        updated = changed(
            endpoint,
            params,
            url=endpoint.url if params.url is UNSET else params.url,
            enabled_events=endpoint.enabled_events if params.enabled_events is UNSET else meant_events(params.enabled_events),
            enabled=endpoint.enabled if params.disabled is UNSET else not params.disabled,
        )
        check_ordering(updated)

        async def mutate(connection: Connection) -> Reply:
            await keep_changes(connection, self.deliveries, WEBHOOK_ENDPOINT, updated)
            return reply(render_webhook_endpoint(updated))

        return await self.idempotency.once(call, mutate)

    async def _rotate_secret(self, call: Call, params: _RotateParams) -> Reply:
        endpoint = await self.reader.get(call, WEBHOOK_ENDPOINT, call.path["id"])
        secret = new_secret()

        async def mutate(connection: Connection) -> Reply:
            in_use = await store.secrets_in_use(connection, endpoint)
            if in_use >= _SECRETS_MAX and params.previous_secret_seconds:
                raise InvalidRequest(
                    f"{endpoint.id} signs with {in_use} secrets already. Wait until one expires, or give previous_secret_seconds=0.",
                    param="previous_secret_seconds",
                )
            sealed = self.sealer.seal(secret.encode(), secret_context(endpoint))
            await store.rotate_secret(connection, endpoint, sealed, params.previous_secret_seconds, new_id("whs"))
            return reply(render_webhook_endpoint(endpoint, secret))

        return await self.idempotency.once(call, mutate)

    async def _delete(self, call: Call, _: NoParams) -> Reply:
        endpoint = await self.reader.get(call, WEBHOOK_ENDPOINT, call.path["id"])

        async def mutate(connection: Connection) -> Reply:
            await remove(connection, self.deliveries, endpoint)
            return reply(render_deleted(endpoint.id, WEBHOOK_ENDPOINT.name))

        return await self.idempotency.once(call, mutate)


async def check_count(connection: Connection, principal: Principal) -> None:
    """Raise `InvalidRequest` when a merchant may have no more endpoints; destinations count as well."""
    count, allowed = await store.count_for_one_more(connection, principal.merchant_id, principal.livemode)
    if count >= allowed:
        mode = "live" if principal.livemode else "test"
        raise InvalidRequest(f"You have reached the maximum of {allowed} {mode} webhook endpoints.")


async def keep_changes(connection: Connection, deliveries: Deliveries, kind: Kind[ReceiverT], updated: ReceiverT) -> None:
    """Store a webhook endpoint or a destination; what waits for one that is disabled becomes dead letters."""
    await kind.noun.update(connection, updated)
    await store.hope(connection, updated)
    if not updated.enabled:
        await deliveries.bury(connection, updated.merchant_id, updated.livemode, updated.id)


async def remove(connection: Connection, deliveries: Deliveries, receiver: WebhookEndpoint) -> None:
    """Delete a webhook endpoint or a destination; what waits for it becomes dead letters."""
    await deliveries.bury(connection, receiver.merchant_id, receiver.livemode, receiver.id)
    await store.delete(connection, receiver)


def meant_events(given: list[str]) -> list[str]:
    """Return the types without repetitions; raises `InvalidRequest` for one that no event has."""
    if not given:
        raise InvalidRequest("You must enable at least one event.", param="enabled_events")
    for index, name in enumerate(given):
        if name != "*" and name not in EVENT_TYPES:
            raise InvalidRequest(f"Invalid enabled_events[{index}]: {name[:100]} is no event type.", param=f"enabled_events[{index}]")
    return list(dict.fromkeys(given))
