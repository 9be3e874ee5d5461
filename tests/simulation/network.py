"""TCP as processes see it: bytes in order, late, or a connection that breaks. What runs on it are the real clients and servers, aiohttp, uvicorn and ISO 8583."""

import asyncio
import contextvars
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

from tests.simulation.faults import MESSAGE, Faults, Harm
from tests.simulation.loop import Process, SimulatedLoop, current_process

Tell = Callable[[str], None]


class End(asyncio.Transport):
    """One end of a connection."""

    def __init__(self, network: "Network", process: Process, context: Context) -> None:
        super().__init__()
        self._network = network
        self.process = process
        self.context = context
        self.protocol: Any = None
        self.other: End | None = None
        self._closing = False
        self._reading = True
        self._held: list[bytes] = []
        self._last_arrival = 0.0

    def write(self, data: Any) -> None:
        if not self._closing and self.other is not None:
            self._network.send(self, bytes(data))

    def close(self) -> None:
        self._end(None, after=self._last_arrival)

    def abort(self) -> None:
        self._end(ConnectionResetError("reset"), after=0.0)

    def _end(self, failure: Exception | None, after: float) -> None:
        if self._closing:
            return
        self._closing = True
        loop, other = self._network.loop, self.other
        loop.call_soon(self.protocol.connection_lost, None, context=self.context)
        if other is not None:
            moment = max(loop.time() + self._network.faults.latency(), after)
            loop.call_at(moment, other.lose, failure, context=other.context)

    def lose(self, failure: Exception | None) -> None:
        """Hear that the other end is gone."""
        if self._closing:
            return
        self._closing = True
        if failure is None:
            self.protocol.eof_received()
        self.protocol.connection_lost(failure)

    def arrive(self, data: bytes) -> None:
        """Take what the other end sent."""
        if self._closing:
            return
        if self._reading:
            self.protocol.data_received(data)
        else:
            self._held.append(data)

    def arrival(self, seconds: float) -> float:
        """Return when what is sent now arrives: not before what was sent earlier."""
        self._last_arrival = max(self._last_arrival, self._network.loop.time() + seconds)
        return self._last_arrival

    def is_closing(self) -> bool:
        return self._closing

    def is_reading(self) -> bool:
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        held, self._held = self._held, []
        for data in held:
            self._network.loop.call_soon(self.arrive, data, context=self.context)

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def can_write_eof(self) -> bool:
        return False

    def get_extra_info(self, name: Any, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else default

    def get_protocol(self) -> Any:
        return self.protocol

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol


@dataclass(eq=False, slots=True)
class Listener:
    """A process that takes connections."""

    factory: Callable[[], Any]
    process: Process
    context: Context

    def close(self) -> None:
        """As a server's."""


@dataclass(slots=True)
class Network:
    """Joins processes."""

    loop: SimulatedLoop
    faults: Faults
    tell: Tell
    over: bool = False
    """Nothing arrives any more."""
    _listeners: dict[tuple[str, int], list[Listener]] = field(default_factory=dict[tuple[str, int], list[Listener]])

    def listen(self, factory: Any, host: str, port: int) -> Listener:
        """Take connections; several processes may at one address, as behind a load balancer."""
        process = current_process()
        listener = Listener(factory, process, contextvars.copy_context())
        self._listeners.setdefault((host, port), []).append(listener)
        return listener

    async def connect(self, factory: Any, host: str, port: int) -> tuple[End, Any]:
        """Connect to one of those who listen; raises `ConnectionRefusedError`."""
        await asyncio.sleep(self.faults.latency())
        there = [each for each in self._listeners.get((host, port), ()) if each.process.alive]
        self._listeners[host, port] = there
        if not there or self.over:
            raise ConnectionRefusedError(host)
        listener = self.faults.chance.choice(there)
        process = current_process()
        near = End(self, process, contextvars.copy_context())
        far = End(self, listener.process, listener.context.copy())
        near.other, far.other = far, near
        near.protocol, far.protocol = factory(), far.context.run(listener.factory)
        process.at_end.append(near.abort)
        listener.process.at_end.append(far.abort)
        near.protocol.connection_made(near)
        self.loop.call_soon(far.protocol.connection_made, far, context=far.context)
        return near, near.protocol

    def send(self, sender: End, data: bytes) -> None:
        """Have bytes arrive, or not."""
        receiver = sender.other
        if receiver is None or self.over:
            return
        harm = self.faults.next(MESSAGE)
        self.tell(f"{sender.process.name} sends {len(data)} bytes to {receiver.process.name}{'' if harm is Harm.NONE else f': {harm}'}")
        if harm is Harm.LOST:
            self._break(sender, receiver)
            return
        moment = sender.arrival(self.faults.delay() if harm is Harm.DELAYED else self.faults.latency())
        self.loop.call_at(moment, receiver.arrive, data, context=receiver.context)
        if harm is Harm.ANSWER_LOST:
            self.loop.call_at(moment, self._break, receiver, sender, context=receiver.context)

    def _break(self, *ends: End) -> None:
        for end in ends:
            self.loop.call_later(self.faults.latency(), end.lose, ConnectionResetError("reset"), context=end.context)


class Connector(aiohttp.BaseConnector):
    """Connects aiohttp's client."""

    async def _create_connection(self, req: Any, traces: Any, timeout: Any) -> ResponseHandler:  # noqa: ARG002 - aiohttp's signature
        try:
            _, protocol = await self._loop.create_connection(self._factory, req.url.host, req.url.port)
        except OSError as failure:
            raise aiohttp.ClientConnectorError(req.connection_key, failure) from failure
        return protocol
