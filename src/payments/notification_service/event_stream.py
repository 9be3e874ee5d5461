"""`GET /v1/events/stream`: events as they happen, for whoever can't be called.

What a stream is, and why nothing is missed: docs/adr/0027.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta, Struct

from payments.domain.errors import InvalidRequest
from payments.notification_service.events import PATH as EVENTS_PATH
from payments.notification_service.events import meant_types
from payments.notification_service.following import follow
from payments.notification_service.listeners import Listeners, event_body
from payments.runtime.ids import ID_CHARACTERS_MAX
from payments.storage.streams import StreamKey, Streams
from payments.wire.api import Call, Endpoint, Endpoints, Reply
from payments.wire.expansion import check_expandable
from payments.wire.kind import Shown
from payments.wire.lists import Lists
from payments.wire.reading import FilterId
from payments.wire.streaming import Chunks, heartbeat, reconnect_after, server_sent

PATH = f"{EVENTS_PATH}/stream"
HEARTBEAT_SECONDS = 15.0
"""A fourth of the time after which load balancers and front doors give a silent connection up."""
_TYPES_MAX = 100
_RECONNECT_SECONDS = 1.0
_POSITION = re.compile(r"pos_([0-9]{1,18})")
"""Where no event marks it: in heartbeats, and at a stream's beginning."""


class _Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    types: Annotated[list[FilterId], Meta(max_length=_TYPES_MAX)] | None = None
    after: Annotated[str, Meta(min_length=1, max_length=ID_CHARACTERS_MAX)] | None = None


@dataclass(frozen=True, slots=True)
class EventStream:
    """The endpoint."""

    listeners: Listeners
    streams: Streams
    lists: Lists

    def endpoints(self) -> Endpoints:
        """What may be called."""
        return [Endpoint("GET", PATH, _Params, self._listen, shows=Shown("event", streamed=True))]

    async def _listen(self, call: Call, params: _Params) -> Reply:
        check_expandable(call, "event")
        types = meant_types("types", params.types)
        after = call.last_event_id or params.after
        # An `EventSource` says by the header what it has got since the URL was made.
        chunks = self._messages(call, None if types is None else frozenset(types), after)
        return Reply(200, await anext(chunks), chunks=chunks)

    async def _messages(self, call: Call, types: Collection[str] | None, after: str | None) -> Chunks:
        """Yield the beginning first, once it is certain that nothing is missed after it; raises `InvalidRequest` when something would be."""
        async with self.listeners.listening(call.principal) as listener:
            position = listener.stream.position if after is None else await self._position(listener.stream.key, after)
            yield reconnect_after(_RECONNECT_SECONDS) + heartbeat(f"pos_{position}")
            async for place in follow(listener, self.streams, self.lists, position, HEARTBEAT_SECONDS):
                streamed, kept = place.streamed, place.kept
                if streamed is None:
                    yield heartbeat(f"pos_{place.position}")
                elif types is None or streamed.event.type in types:
                    event = streamed.event
                    body = self.listeners.body(kept, call.api_version) if kept is not None else event_body(streamed, call.api_version)
                    yield server_sent(body, event_id=event.id, sequence=event.object_version)

    async def _position(self, stream: StreamKey, after: str) -> int:
        """Return the position that an id stands for; raises `InvalidRequest` when not all that came after it can be had."""
        async with self.lists.connection(stream[0]) as connection:
            extent = await self.streams.extent(connection, stream)
            match = _POSITION.fullmatch(after)
            position = int(match[1]) if match else await self.streams.position_of(connection, stream, after)
        if position is None or not extent.begun_after <= position <= extent.position:
            raise InvalidRequest(
                f"Events after '{after[:100]}' can't be streamed: it was sent to nobody who listened, or more than a day ago. "
                "List what happened since with GET /v1/events, and listen without it.",
                param="after",
            )
        return position
