"""Changing single objects that no acquirer has a say in: store, tell of it, answer, once per idempotency key."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from payments.domain.event import OBJECT_TYPES, Event, EventObject, ObjectType, event_of
from payments.runtime.clock import Clock
from payments.runtime.ids import new_id
from payments.storage.database import Connection
from payments.storage.events import append_events
from payments.storage.wakeup import Waker
from payments.wire.api import Call, Reply, reply
from payments.wire.expansion import check_expandable
from payments.wire.idempotency import Idempotency
from payments.wire.reading import Reader
from payments.wire.render import Rendered, render

T = TypeVar("T", bound=EventObject)


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """Creates and changes objects."""

    idempotency: Idempotency
    reader: Reader
    waker: Waker
    clock: Clock

    async def change(
        self, call: Call, event_type: str | None, before: T, after: T, store: Callable[[Connection, T], Awaitable[None]]
    ) -> Reply:
        """Store `after` with an event that says what it was before, and answer with it."""
        previous = changed_attributes(render(before), render(after)) if event_type and event_type.endswith(".updated") else None

        async def mutate(connection: Connection) -> Reply:
            await store(connection, after)
            if event_type is not None:
                await self.tell(connection, [self.event(call, event_type, after, previous)])
            return reply(render(after))

        return await self.once(call, mutate, OBJECT_TYPES[type(after)])

    async def once(self, call: Call, mutate: Callable[[Connection], Awaitable[Reply]], answer: ObjectType) -> Reply:
        """Run a mutation that answers with an `answer` once per key, and wake whoever delivers its events."""
        check_expandable(call, answer)
        result = await self.idempotency.once(call, mutate)
        self.waker.wake()
        return await self.reader.expanded(call, result)

    def event(self, call: Call, event_type: str, subject: EventObject, previous: Rendered | None = None) -> Event:
        """Build the event of a change that a call makes."""
        return event_of(new_id("evt"), event_type, subject, created=int(self.clock.now()), origin=call.origin, previous_attributes=previous)

    async def tell(self, connection: Connection, events: Sequence[Event]) -> None:
        """Append events in the transaction of what they tell of."""
        await append_events(connection, events)


def changed_attributes(before: Rendered, after: Rendered) -> Rendered:
    """Return the public fields that changed, with their old values; of a hash only what changed in it, null for what it had not."""
    changed: Rendered = {}
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            changed[name] = changed_attributes(old, new)  # pyright: ignore[reportUnknownArgumentType] - rendered hashes
        else:
            changed[name] = old
    return changed
