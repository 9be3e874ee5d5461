"""Destinations: queues, topics, buses and mailboxes that events go to. Create, retrieve, update, delete, list."""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from payments.domain.api_version import check_version
from payments.domain.destination import QUEUES, RECEIPT_EVENTS, RECEIPTS, ChannelType, Destination, check_arn
from payments.domain.errors import InvalidRequest
from payments.domain.webhook_endpoint import WebhookEndpoint, check_ordering
from payments.notification_service.channels.queues import Allowed
from payments.notification_service.webhook_endpoints import check_count, keep_changes, meant_events, remove
from payments.runtime.clock import Clock
from payments.runtime.ids import new_id
from payments.storage import webhook_endpoints as store
from payments.storage.database import Connection
from payments.storage.deliveries import Deliveries
from payments.wire.api import Call, Endpoint, Endpoints, Reply, reply
from payments.wire.changes import changed, made
from payments.wire.idempotency import Idempotency
from payments.wire.kinds import DESTINATION, WEBHOOK_ENDPOINT
from payments.wire.params import MetadataParam, NoParams, Text
from payments.wire.people_params import check_email
from payments.wire.reading import PageParams, Reader
from payments.wire.render_lists import render_deleted
from payments.wire.rendering import render
from payments.wire.resource import listing, retrieve


class _CreateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    type: Literal["sqs", "sns", "eventbridge", "email", "receipts"]
    arn: Annotated[str, Meta(max_length=500)] | UnsetType = UNSET
    email: Annotated[str, Meta(max_length=254)] | UnsetType = UNSET
    enabled_events: list[str] | UnsetType = UNSET
    api_version: str | UnsetType = UNSET
    description: Text | UnsetType = UNSET
    metadata: MetadataParam | UnsetType = UNSET


class _UpdateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    enabled_events: list[str] | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET
    description: Text | UnsetType = UNSET
    metadata: MetadataParam | UnsetType = UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class Destinations:
    """`/v1/notifications/destinations`."""

    reader: Reader
    idempotency: Idempotency
    deliveries: Deliveries
    clock: Clock
    allowed: Allowed
    """Which queues a key may name."""
    has_mail: bool
    """Whether there is a server that mail is sent by."""

    def endpoints(self) -> Endpoints:
        """What may be called."""
        one = f"{DESTINATION.path}/{{id}}"
        return [
            Endpoint("POST", DESTINATION.path, _CreateParams, self._create),
            listing(self.reader, DESTINATION, PageParams),
            retrieve(self.reader, DESTINATION),
            Endpoint("POST", one, _UpdateParams, self._update),
            Endpoint("DELETE", one, NoParams, self._delete),
        ]

    async def _create(self, call: Call, params: _CreateParams) -> Reply:
        principal, channel = call.principal, ChannelType(params.type)
        url = self._address(channel, params)
        empty = Destination(
            id=new_id(DESTINATION.noun.prefix),
            merchant_id=principal.merchant_id,
            livemode=principal.livemode,
            created=int(self.clock.now()),
            url=url,
            enabled_events=[],
        )
        version = check_version(params.api_version, param="api_version") if params.api_version else None
        destination = made(empty, params, enabled_events=_events(channel, params.enabled_events), api_version=version)
        check_ordering(destination)

        async def mutate(connection: Connection) -> Reply:
            await check_count(connection, principal)
            if destination.receipts and await store.has_receipts(connection, principal.merchant_id, principal.livemode):
                raise InvalidRequest("There is a destination for receipts already.", param="type")
            await DESTINATION.noun.insert(connection, destination)
            return reply(render(destination))

        return await self.idempotency.once(call, mutate)

    def _address(self, channel: ChannelType, params: _CreateParams) -> str:
        """Return where events go; raises `InvalidRequest` for what the operator doesn't send to."""
        for name, given, wanted in (("arn", params.arn, channel in QUEUES), ("email", params.email, channel is ChannelType.EMAIL)):
            if wanted and not given:
                raise InvalidRequest(f"Missing required param: {name}.", code="parameter_missing", param=name)
            if given is not UNSET and not wanted:
                raise InvalidRequest(f"A destination of type {channel} has no {name}.", param=name)
        if channel in QUEUES:
            arn = check_arn(channel, str(params.arn))
            if not self.allowed.allows(arn):
                raise InvalidRequest("This Tap doesn't send to that ARN: its operator names those that it does in TAP_QUEUES.", param="arn")
            return arn
        if not self.has_mail:
            raise InvalidRequest("This Tap sends no mail: its operator names a server in TAP_SMTP_URL.", param="type")
        return RECEIPTS if channel is ChannelType.RECEIPTS else f"mailto:{check_email(str(params.email), 'email')}"

    async def _update(self, call: Call, params: _UpdateParams) -> Reply:
        destination = await self.reader.get(call, DESTINATION, call.path["id"])
        events = destination.enabled_events if params.enabled_events is UNSET else _events(destination.channel, params.enabled_events)
        enabled = destination.enabled if params.disabled is UNSET else not params.disabled
        updated = changed(destination, params, enabled_events=events, enabled=enabled)
        check_ordering(updated)

        async def mutate(connection: Connection) -> Reply:
            await keep_changes(connection, self.deliveries, DESTINATION, updated)
            return reply(render(updated))

        return await self.idempotency.once(call, mutate)

    async def _delete(self, call: Call, _: NoParams) -> Reply:
        destination = await self.reader.get(call, DESTINATION, call.path["id"])

        async def mutate(connection: Connection) -> Reply:
            await remove(connection, self.deliveries, destination)
            return reply(render_deleted(destination.id, DESTINATION.name))

        return await self.idempotency.once(call, mutate)


def _events(channel: ChannelType, given: list[str] | UnsetType) -> list[str]:
    """Return the types of the events that go there; for receipts it is Tap that knows."""
    if channel is ChannelType.RECEIPTS:
        if given is not UNSET:
            raise InvalidRequest("Receipts are sent of payments and refunds: there are no events to choose.", param="enabled_events")
        return list(RECEIPT_EVENTS)
    if given is UNSET:
        raise InvalidRequest("Missing required param: enabled_events.", code="parameter_missing", param="enabled_events")
    return meant_events(given)


async def find_receiver(reader: Reader, call: Call, receiver_id: str, param: str) -> WebhookEndpoint:
    """Return the webhook endpoint or the destination that has an id; raises `ResourceMissing`."""
    if DESTINATION.may_name(receiver_id):
        return await reader.get(call, DESTINATION, receiver_id, param=param)
    return await reader.get(call, WEBHOOK_ENDPOINT, receiver_id, param=param)
