"""The connection to a host: kept open, signed on, shared by all messages under way, and made anew when it breaks.

What comes in is taken as far as it can be told what it is. What can't is logged with its place, counted, and refused; the connection goes on unless the length of
a frame makes no sense, since then nobody knows where the next one begins.
"""

import asyncio
import contextlib
import random
import ssl
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from payments.acquirers.acquirer import NotSent
from payments.acquirers.iso8583.codec import Codec, Fields, MalformedError
from payments.acquirers.iso8583.framing import Framing, OutOfStepError
from payments.acquirers.iso8583.messages import ECHO, NETWORK, SIGN_OFF, SIGN_ON, Key, answer_type, key_of, network
from payments.runtime.clock import Clock
from payments.runtime.logging import Logger

_GIVEN_UP_MAX = 1_000
"""Messages whose late answers are still recognised."""
_BACK_OFF_SECONDS = (0.1, 10.0)
_NETWORK_SECONDS_MAX = 10.0
_SIGN_OFF_SECONDS_MAX = 1.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the host is."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    connect_timeout_seconds: float
    echo_seconds: float
    """How often a line on which nothing comes is tried."""


@dataclass(slots=True, kw_only=True)
class Line(Generic[T]):
    """Speaks to the host. `T` is what is remembered of a message whose answer may come late."""

    name: str
    place: Place
    codec: Codec
    framing: Framing
    clock: Clock
    log: Logger
    on_late: Callable[[T, Fields], None]
    """Called with what was remembered of a message that was given up, and its answer."""
    counts: Counter[str] = field(default_factory=Counter[str])
    """What came in that shouldn't have."""
    fault: str | None = "not connected yet"
    _waiting: dict[Key, "asyncio.Future[Fields]"] = field(default_factory=dict[Key, "asyncio.Future[Fields]"])
    _given_up: "OrderedDict[Key, T]" = field(default_factory=OrderedDict[Key, T])
    _writer: asyncio.StreamWriter | None = None
    _signed_on: asyncio.Event = field(default_factory=asyncio.Event)
    _network_messages: int = 0
    _heard: bool = False

    async def keep(self) -> None:
        """Keep the line open, for ever."""
        pause_seconds, pause_seconds_max = _BACK_OFF_SECONDS
        while True:
            try:
                await self._converse()
            except (OSError, TimeoutError, asyncio.IncompleteReadError) as failure:
                self.fault = f"{type(failure).__name__}: {failure}" if isinstance(failure, OutOfStepError) else type(failure).__name__
                self.log.event("acquirer_line_down", acquirer=self.name, fault=self.fault)
            pause_seconds = _BACK_OFF_SECONDS[0] if self._heard else min(2 * pause_seconds, pause_seconds_max)
            await asyncio.sleep(pause_seconds * random.uniform(0.5, 1))  # noqa: S311 - so that copies don't come all at once

    async def ask(self, message: Fields, remembered: T | None = None) -> Fields:
        """Send a message and return its answer, whenever it comes; whoever stops waiting has it `remembered`. Raises `NotSent`, `ConnectionError`."""
        if not self._signed_on.is_set():
            raise NotSent(self.fault or "not signed on")
        return await self._ask(message, remembered)

    async def sign_off(self) -> None:
        """Tell the host that nothing more comes."""
        if self._signed_on.is_set():
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(_SIGN_OFF_SECONDS_MAX):
                    await self._network(SIGN_OFF)

    async def echo(self) -> None:
        """Ask whether the host is there, once the line is up; raises `NotSent`, `ConnectionError`, `TimeoutError`."""
        try:
            async with asyncio.timeout(self.place.connect_timeout_seconds):
                await self._signed_on.wait()
        except TimeoutError:
            raise NotSent(self.fault or "not signed on") from None
        async with asyncio.timeout(_NETWORK_SECONDS_MAX):
            await self._network(ECHO)

    async def _converse(self) -> None:
        self._heard = False
        async with asyncio.timeout(self.place.connect_timeout_seconds):
            reader, writer = await asyncio.open_connection(self.place.host, self.place.port, ssl=self.place.tls)
        self._writer = writer
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read(reader))
                tasks.create_task(self._watch())
        except BaseExceptionGroup as failures:
            raise _first(failures) from None  # the tasks fail by what a line fails by; anything else is a defect, and is told as such
        finally:
            self._signed_on.clear()
            self._writer = None
            writer.transport.abort()
            waiting, self._waiting = self._waiting, {}
            for answer in waiting.values():
                if not answer.done():
                    answer.set_exception(ConnectionResetError("the line broke"))

    async def _watch(self) -> None:
        """Sign on, and try the line whenever nothing comes."""
        async with asyncio.timeout(_NETWORK_SECONDS_MAX):
            await self._network(SIGN_ON)
        self.fault = None
        self._signed_on.set()
        self.log.event("acquirer_line_up", acquirer=self.name)
        while True:
            self._heard = False
            await asyncio.sleep(self.place.echo_seconds)
            if not self._heard:
                async with asyncio.timeout(_NETWORK_SECONDS_MAX):
                    await self._network(ECHO)

    async def _network(self, code: str) -> None:
        self._network_messages += 1
        answer = await self._ask(network(code, self._network_messages, self.clock.now()), None)
        if answer.get("39", "00") != "00":
            raise ConnectionRefusedError(f"the host answers {code} with {answer['39'][:2]}")

    async def _ask(self, message: Fields, remembered: T | None) -> Fields:
        frame = self.framing.pack(self.codec.encode(message))
        writer, key = self._writer, key_of(message)
        if writer is None:
            raise NotSent("not connected")
        answer = asyncio.get_running_loop().create_future()
        self._waiting[key] = answer
        self._given_up.pop(key, None)
        try:
            writer.write(frame)
            return await answer
        finally:
            if self._waiting.get(key) is answer:
                del self._waiting[key]
            if remembered is not None and (answer.cancelled() or not answer.done() or answer.exception() is not None):
                self._remember(key, remembered)

    def _remember(self, key: Key, remembered: T) -> None:
        self._given_up[key] = remembered
        while len(self._given_up) > _GIVEN_UP_MAX:
            self._given_up.popitem(last=False)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while True:
            raw = await self.framing.read(reader)
            self._heard = True
            if not raw:  # some hosts keep a line alive by frames without a message
                continue
            try:
                message = self.codec.decode(raw)
            except MalformedError as mistake:
                self._refuse("malformed", str(mistake))
                continue
            self._take(message)

    def _take(self, message: Fields) -> None:
        if message["t"] == NETWORK:
            self._answer_network(message)
            return
        stan, number = message.get("11", ""), message.get("37", "")
        key = self._key(message["t"], stan, number)
        waiting = self._waiting.pop(key, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(message)
        elif (late := self._given_up.pop(key, None)) is not None:
            self._refuse("late", message["t"])
            self.on_late(late, message)
        else:
            self._refuse("to_nobody", message["t"])

    def _key(self, message_type: str, stan: str, number: str) -> Key:
        """Return what an answer answers. A host that leaves out DE 37 is understood where the STAN says enough."""
        key = message_type, stan, number.strip()
        if number.strip():
            return key
        found = [each for each in (*self._waiting, *self._given_up) if each[:2] == key[:2]]
        return found[0] if len(found) == 1 else key

    def _answer_network(self, message: Fields) -> None:
        """The host tries the line, too."""
        answer = {**{name: value for name, value in message.items() if name in ("7", "11", "70")}, "t": answer_type(NETWORK), "39": "00"}
        if self._writer is not None:
            self._writer.write(self.framing.pack(self.codec.encode(answer)))

    def _refuse(self, what: str, detail: str) -> None:
        self.counts[what] += 1
        self.log.event("acquirer_message_refused", acquirer=self.name, what=what, detail=detail, count=self.counts[what])


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first  # pyright: ignore[reportUnknownArgumentType] - a group's own are
