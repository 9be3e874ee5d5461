"""Changing single objects that no acquirer has a say in: store, tell of it, answer, once per idempotency key."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from payments.domain.event import Event, event_of
from payments.domain.resource import R, Resource
from payments.runtime.clock import Clock
from payments.runtime.ids import new_id
from payments.storage.database import Connection
from payments.storage.events import append_events
from payments.storage.versions import Versioned, require_unmoved
from payments.storage.wakeup import Waker
from payments.wire.api import Call, Reply, reply
from payments.wire.expansion import check_expandable
from payments.wire.idempotency import Idempotency
from payments.wire.kind import Kind
from payments.wire.kinds import KINDS
from payments.wire.reading import Reader
from payments.wire.render_people import Rendered
from payments.wire.rendering import render


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """Creates and changes objects."""

    idempotency: Idempotency
    reader: Reader
    waker: Waker
    clock: Clock

    def identity(self, call: Call, kind: Kind[Any]) -> dict[str, Any]:
        """Return what a new object of the caller's is known by."""
        return {
            "id": new_id(kind.noun.prefix),
            "merchant_id": call.principal.merchant_id,
            "livemode": call.principal.livemode,
            "created": int(self.clock.now()),
        }

    async def create(
        self, call: Call, subject: Resource, event: str | None = "created", *, relies_on: Sequence[Versioned] = (), **columns: object
    ) -> Reply:
        """Store a new object, tell of it unless `event` is None, and answer with it. `columns` hold what isn't in it; of what it `relies_on` all must be as it
        was read.
        """

        async def mutate(connection: Connection) -> Reply:
            await require_unmoved(connection, *relies_on)
            await KINDS[subject.OBJECT].noun.insert(connection, subject, **columns)
            if event is not None:
                await append_events(connection, [self.event(call, event, subject)])
            return reply(render(subject))

        return await self.once(call, mutate, subject.OBJECT)

    async def change(self, call: Call, before: R, after: R, event: str = "updated", *, relies_on: Sequence[Versioned] = ()) -> Reply:
        """Store `after`, which is one version on, tell of it, and answer with it."""

        async def mutate(connection: Connection) -> Reply:
            await require_unmoved(connection, *relies_on)
            await append_events(connection, [await self.store(connection, call, before, after, event)])
            return reply(render(after))

        return await self.once(call, mutate, after.OBJECT)

    async def store(self, connection: Connection, call: Call, before: R, after: R, event: str = "updated") -> Event:
        """Store `after`, which is one version on; returns the event that tells of it, and of an update what it was before."""
        await KINDS[after.OBJECT].noun.update(connection, after)
        previous = changed_attributes(render(before), render(after)) if event == "updated" else None
        return self.event(call, event, after, previous)

    async def once(self, call: Call, mutate: Callable[[Connection], Awaitable[Reply]], answer: str) -> Reply:
        """Run a mutation that answers with an object of the kind `answer` once per key, and wake whoever delivers its events."""
        check_expandable(call, answer)
        result = await self.idempotency.once(call, mutate)
        self.waker.wake()
        return await self.reader.expanded(call, result)

    def event(self, call: Call, event: str, subject: Resource, previous: Rendered | None = None) -> Event:
        """Build the event of what a call did to an object: `created`, `updated`, …"""
        return event_of(
            new_id("evt"),
            f"{subject.TOLD_AS or subject.OBJECT}.{event}",
            subject,
            created=int(self.clock.now()),
            origin=call.origin,
            previous_attributes=previous,
        )


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
