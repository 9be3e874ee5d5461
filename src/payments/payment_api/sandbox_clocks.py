"""Test clocks: create, retrieve, list, advance, delete. One a sandbox, whose time it moves forward.

At Stripe a clock is of the customers that are made with it; here it is of all that a merchant's test mode has: holds that run out, funds that become
available, deadlines that pass. It has no effect on when something was made, and none on the live mode.
"""

from dataclasses import dataclass
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from payments.domain.errors import InvalidRequest
from payments.domain.resource import next_version
from payments.domain.sandbox_clock import AHEAD_SECONDS_MAX, SandboxClock
from payments.storage.database import Connection
from payments.storage.events import append_events
from payments.storage.sandbox_clocks import advance, has_clock, hold_ahead
from payments.wire.api import Call, Endpoint, Endpoints, Reply, reply
from payments.wire.changes import made
from payments.wire.kinds import SANDBOX_CLOCK
from payments.wire.objects import Objects
from payments.wire.params import NoParams
from payments.wire.reading import PageParams, Reader
from payments.wire.rendering import render
from payments.wire.resource import listing, retrieve

_STEP_SECONDS_MAX = 2 * 366 * 24 * 3600
_BEHIND_SECONDS_MAX = 300
"""A client reads its own clock, which may be slow, before it makes one of ours."""
_ONLY_IN_TEST_MODE = "Test clocks are only available in test mode: use a test mode key."


class _CreateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    frozen_time: Annotated[int, Meta(ge=0)]
    name: Annotated[str, Meta(max_length=300)] | UnsetType = UNSET


class _AdvanceParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    frozen_time: Annotated[int, Meta(ge=0)]


@dataclass(frozen=True, slots=True)
class SandboxClocks:
    """`/v1/test_helpers/test_clocks`."""

    objects: Objects
    reader: Reader

    def endpoints(self) -> Endpoints:
        """What may be called."""
        one = f"{SANDBOX_CLOCK.path}/{{id}}"
        return [
            Endpoint("POST", SANDBOX_CLOCK.path, _CreateParams, self._create),
            listing(self.reader, SANDBOX_CLOCK, PageParams),
            retrieve(self.reader, SANDBOX_CLOCK),
            Endpoint("POST", f"{one}/advance", _AdvanceParams, self._advance),
            Endpoint("DELETE", one, NoParams, self._delete),
        ]

    async def _create(self, call: Call, params: _CreateParams) -> Reply:
        if call.principal.livemode:
            raise InvalidRequest(_ONLY_IN_TEST_MODE)

        async def mutate(connection: Connection) -> Reply:
            now = await self._now(connection, call)
            if await has_clock(connection, call.principal.merchant_id):
                raise InvalidRequest("This sandbox has a test clock already. Advance that one, or delete it first.")
            if params.frozen_time < now - _BEHIND_SECONDS_MAX:
                raise _backwards(now)
            identity = self.objects.identity(call, SANDBOX_CLOCK)
            clock = made(SandboxClock(**identity, frozen_time=now, advanced_at=identity["created"]), params)
            if params.frozen_time > now:
                clock = await self._set(connection, call, clock, now, params.frozen_time)
            await SANDBOX_CLOCK.noun.insert(connection, clock)
            await append_events(connection, [self.objects.event(call, "created", clock)])
            return reply(render(clock))

        return await self.objects.once(call, mutate, SANDBOX_CLOCK.name)

    async def _advance(self, call: Call, params: _AdvanceParams) -> Reply:
        before = await self.reader.get(call, SANDBOX_CLOCK, call.path["id"])

        async def mutate(connection: Connection) -> Reply:
            now = await self._now(connection, call)
            if before.status == "advancing":
                raise InvalidRequest(
                    "This test clock is advancing. Wait until its status is ready, and advance it then.", code="test_clock_advancing"
                )
            if params.frozen_time <= max(now, before.frozen_time):
                raise _backwards(max(now, before.frozen_time))
            clock = await self._set(connection, call, next_version(before), now, params.frozen_time)
            await append_events(connection, [await self.objects.store(connection, call, before, clock, "advancing")])
            return reply(render(clock))

        return await self.objects.once(call, mutate, SANDBOX_CLOCK.name)

    async def _delete(self, call: Call, _: NoParams) -> Reply:
        before = await self.reader.get(call, SANDBOX_CLOCK, call.path["id"])
        return await self.objects.change(call, before, next_version(before, deleted=True), "deleted")

    async def _now(self, connection: Connection, call: Call) -> int:
        """Return the sandbox's time, which nobody else moves until the transaction ends."""
        return int(self.objects.clock.now()) + await hold_ahead(connection, call.principal.merchant_id)

    async def _set(self, connection: Connection, call: Call, clock: SandboxClock, now: int, frozen_time: int) -> SandboxClock:
        """Move the sandbox's time forward; raises `InvalidRequest`."""
        real = int(self.objects.clock.now())
        if frozen_time - now > _STEP_SECONDS_MAX:
            raise InvalidRequest("A test clock can be advanced by two years at once.", param="frozen_time")
        if frozen_time - real > AHEAD_SECONDS_MAX:
            raise InvalidRequest("A sandbox can be ten years ahead of the real time.", param="frozen_time")
        await advance(connection, call.principal.merchant_id, frozen_time - real)
        return replace(clock, frozen_time=frozen_time, advanced_at=real, status="advancing")


def _backwards(now: int) -> InvalidRequest:
    return InvalidRequest(f"A test clock moves forward only: frozen_time must be later than {now}.", param="frozen_time")
