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
from payments.acquirers.iso8583.forms import AS_IT_IS, Forms
from payments.acquirers.iso8583.framing import Framing, OutOfStepError
from payments.acquirers.iso8583.messages import ECHO, SIGN_OFF, SIGN_ON, Key, answer_type, key_of, network
from payments.acquirers.iso8583.responses import IN_PROGRESS, NOT_SUPPORTED
from payments.runtime.clock import Clock
from payments.runtime.logging import Logger

_GIVEN_UP_MAX = 1_000
"""Messages whose late answers are still recognised."""
_BACK_OFF_SECONDS = (0.1, 10.0)
_NETWORK_SECONDS_MAX = 10.0
_SIGN_OFF_SECONDS_MAX = 1.0
_SIGN_ON_AGAIN_SECONDS = 60.0
_NETWORK_REQUESTS = frozenset({"0800", "0801", "0820", "0821"})
_ECHOED = ("3", "7", "11", "12", "13", "24", "32", "33", "37", "41", "42", "70", "93", "94", "100")
"""What an answer to the host's own network message has of it: what it may be told apart by, and no keys."""
_HOST_SIGNED_OFF = "the host signed off"
_SECURITY = "1"
"""Codes that begin so (DE 70) are about keys."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the host is."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    connect_timeout_seconds: float
    echo_seconds: float
    """How often a line on which nothing comes is tried; 0: never."""
    signs_on: bool = True
    """Whether the host wants to be told that we are there."""
    forms: Forms = AS_IT_IS
    by_reference_number: bool = True
    """Whether answers have the reference number that was sent."""


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
        if self._signed_on.is_set() and self.place.signs_on:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(_SIGN_OFF_SECONDS_MAX):
                    await self._network(SIGN_OFF)

    async def echo(self) -> None:
        """Ask whether the host is there, once the line is up, where it answers that; raises `NotSent`, `ConnectionError`, `TimeoutError`."""
        try:
            async with asyncio.timeout(self.place.connect_timeout_seconds):
                await self._signed_on.wait()
        except TimeoutError:
            raise NotSent(self.fault or "not signed on") from None
        if self.place.echo_seconds:
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
        """Sign on, and again after the host signed off; try the line whenever nothing comes."""
        await self._sign_on()
        while True:
            self._heard = False
            await asyncio.sleep(self.place.echo_seconds or _SIGN_ON_AGAIN_SECONDS)
            if not self._signed_on.is_set():
                await self._sign_on()
            elif self.place.echo_seconds and not self._heard:
                async with asyncio.timeout(_NETWORK_SECONDS_MAX):
                    await self._network(ECHO)

    async def _sign_on(self) -> None:
        if self.place.signs_on:
            async with asyncio.timeout(_NETWORK_SECONDS_MAX):
                await self._network(SIGN_ON)
        self._up()

    def _up(self) -> None:
        self.fault = None
        self._signed_on.set()
        self.log.event("acquirer_line_up", acquirer=self.name)

    async def _network(self, code: str) -> None:
        self._network_messages += 1
        form = {SIGN_ON: self.place.forms.sign_on, SIGN_OFF: self.place.forms.sign_off, ECHO: self.place.forms.echo}[code]
        answer = await self._ask(network(code, self._network_messages, self.clock.now(), form), None)
        if answer.get("39", "00") != "00":
            raise ConnectionRefusedError(f"the host answers {code} with {answer['39'][:2]}")

    async def _ask(self, message: Fields, remembered: T | None) -> Fields:
        frame = self.framing.pack(self.codec.encode(message))
        writer, key = self._writer, self._key_of(message)
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
                self.refuse("malformed", str(mistake))
                continue
            self._take(message)

    def _take(self, message: Fields) -> None:
        if message["t"] in _NETWORK_REQUESTS:
            self._answer_network(message)
            return
        key = self._found(message["t"], message.get("11", ""), message.get("37", ""))
        if message.get("39") == IN_PROGRESS and (key in self._waiting or key in self._given_up):
            self.refuse("in_progress", message["t"])  # a host may ask for patience; the answer is yet to come
            return
        waiting = self._waiting.pop(key, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(message)
        elif (late := self._given_up.pop(key, None)) is not None:
            self.refuse("late", message["t"])
            self.on_late(late, message)
        else:
            self.refuse("to_nobody", message["t"])

    def _key_of(self, message: Fields) -> Key:
        message_type, stan, number = key_of(message)
        return message_type, stan, number if self.place.by_reference_number else ""

    def _found(self, message_type: str, stan: str, number: str) -> Key:
        """Return what an answer answers. One that has a DE 37 where there was none, or none where there was one, is understood where the STAN says enough."""
        key = message_type, stan, number.strip().upper()
        if key in self._waiting or key in self._given_up:
            return key
        found = [each for each in (*self._waiting, *self._given_up) if each[:2] == key[:2] and not (each[2] and key[2])]
        return found[0] if len(found) == 1 else key

    def _answer_network(self, message: Fields) -> None:
        """The host tries the line, too, or says that it comes or goes. There are no keys here to change."""
        code = message.get("70", "")
        if code == SIGN_OFF:
            self.fault = _HOST_SIGNED_OFF
            self._signed_on.clear()
            self.log.event("acquirer_line_down", acquirer=self.name, fault=self.fault)
        elif code == SIGN_ON and self.fault == _HOST_SIGNED_OFF:
            self._up()
        answer = {name: value for name, value in message.items() if name in _ECHOED} | {
            "t": answer_type(message["t"]),
            "39": NOT_SUPPORTED if code.startswith(_SECURITY) else "00",
        }
        if self._writer is not None:
            try:
                self._writer.write(self.framing.pack(self.codec.encode(answer)))
            except MalformedError as mistake:  # what is longer than the standard allows is read, and not written
                self.refuse("malformed", str(mistake))

    def refuse(self, what: str, detail: str) -> None:
        """Count and log what came in that says nothing, or what nobody here understands."""
        self.counts[what] += 1
        self.log.event("acquirer_message_refused", acquirer=self.name, what=what, detail=detail, count=self.counts[what])


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first  # pyright: ignore[reportUnknownArgumentType] - a group's own are
