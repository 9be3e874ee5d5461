"""Replays: create, retrieve, list, cancel. What they do is done by whichever copy's `Replayer` comes first."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from payments.domain.errors import InvalidRequest
from payments.domain.replay import Replay
from payments.domain.resource import next_version
from payments.notification_service.destinations import find_receiver
from payments.notification_service.events import TYPES_MAX, meant_types
from payments.runtime.clock import Clock
from payments.runtime.ids import new_id
from payments.storage import replays as store
from payments.storage.database import Connection
from payments.storage.paging import CREATED_MAX, PageRequest
from payments.wire.api import Call, Endpoint, Endpoints, Reply, reply
from payments.wire.idempotency import Idempotency
from payments.wire.kinds import REPLAY
from payments.wire.lists import Lists
from payments.wire.params import NoParams
from payments.wire.reading import CreatedRange, FilterId, PageParams, Reader, range_of
from payments.wire.rendering import render
from payments.wire.resource import listing, retrieve


class _CreateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    webhook_endpoint: FilterId
    deliveries: Literal["dead", "all"] = "dead"
    events_created: CreatedRange | int | None = None
    types: Annotated[list[FilterId], Meta(max_length=TYPES_MAX)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replays:
    """`/v1/notifications/replays`."""

    reader: Reader
    lists: Lists
    idempotency: Idempotency
    clock: Clock
    on_created: Callable[[], None]
    """Called when there is a new one."""

    def endpoints(self) -> Endpoints:
        """What may be called."""
        return [
            Endpoint("POST", REPLAY.path, _CreateParams, self._create),
            listing(self.reader, REPLAY, PageParams),
            retrieve(self.reader, REPLAY),
            Endpoint("POST", f"{REPLAY.path}/{{id}}/cancel", NoParams, self._cancel),
        ]

    async def _create(self, call: Call, params: _CreateParams) -> Reply:
        endpoint = await find_receiver(self.reader, call, params.webhook_endpoint, "webhook_endpoint")
        if not endpoint.enabled:
            raise InvalidRequest(f"The webhook endpoint {endpoint.id} is disabled. Enable it first.", param="webhook_endpoint")
        meant_types("types", params.types)
        earliest, latest = range_of(params.events_created)
        after, before = PageRequest(created_from=earliest, created_to=latest).between("evt")
        replay = Replay(
            id=new_id(REPLAY.noun.prefix),
            merchant_id=endpoint.merchant_id,
            livemode=endpoint.livemode,
            created=int(self.clock.now()),
            webhook_endpoint=endpoint.id,
            deliveries=params.deliveries,
            types=params.types or [],
            created_from=earliest if earliest > 0 else None,
            created_to=latest if latest < CREATED_MAX else None,
            reached=after,
            ends_before=min(before, new_id("evt")),
        )
        async with self.lists.connection(call.principal.merchant_id) as connection:
            replay = replace(replay, total=await store.total(connection, replay))

        async def mutate(connection: Connection) -> Reply:
            under_way = await store.running(connection, replay)
            if under_way is not None:
                raise InvalidRequest(f"{under_way} is still running for {endpoint.id}. Cancel it first, or wait.", param="webhook_endpoint")
            await REPLAY.noun.insert(connection, replay, webhook_endpoint=replay.webhook_endpoint)
            return reply(render(replay))

        answer = await self.idempotency.once(call, mutate)
        self.on_created()
        return answer

    async def _cancel(self, call: Call, _: NoParams) -> Reply:
        replay = await self.reader.get(call, REPLAY, call.path["id"])

        async def mutate(connection: Connection) -> Reply:
            if replay.status == "canceled":
                return reply(render(replay))
            if replay.status != "running":
                raise InvalidRequest(f"{replay.id} has a status of {replay.status}: there is nothing left to cancel.")
            canceled = next_version(replay, status="canceled", cancellation_reason="requested")
            await REPLAY.noun.update(connection, canceled)
            return reply(render(canceled))

        return await self.idempotency.once(call, mutate)
