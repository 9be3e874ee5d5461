"""A host that speaks ISO 8583 and says what the test says, and Tap's acquirer at the other end of the line."""

import asyncio
import io
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from payments.acquirers.configuration import Iso8583Spec
from payments.acquirers.iso8583.acquirer import Iso8583Acquirer, open_iso8583
from payments.acquirers.iso8583.codec import Codec, Fields
from payments.acquirers.iso8583.messages import answer_type
from payments.acquirers.iso8583.traces import MadeOfReferences
from payments.runtime.clock import SystemClock
from payments.runtime.logging import Logger
from tests.support.acquirers_to_test import FRAMING, ISO8583_SETTINGS


class Scripted:
    """The host. What isn't about the line is for the test to answer."""

    def __init__(self, codec: Codec, also: Fields) -> None:
        self.codec = codec
        self.also = also
        """What is in its answers to messages about the line, too."""
        self.writers: list[asyncio.StreamWriter] = []
        self.came: asyncio.Queue[Fields] = asyncio.Queue()
        self.network: list[Fields] = []
        self.answers: asyncio.Queue[Fields] = asyncio.Queue()
        """To what it asked itself."""

    async def line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while True:
                message = self.codec.decode(await FRAMING.read(reader))
                if message["t"] == "0800":
                    self.network.append(message)
                    self.say({**message, "t": answer_type(message["t"]), "39": "00", **self.also})
                elif message["t"] in ("0810", "0830"):
                    self.answers.put_nowait(message)
                else:
                    self.came.put_nowait(message)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def say(self, message: Fields) -> None:
        self.raw(FRAMING.pack(self.codec.encode(message)))

    def raw(self, data: bytes) -> None:
        self.writers[-1].write(data)


def approval(message: Fields, **changes: str) -> Fields:
    """Return an answer as hosts make it: all that was asked, and a yes."""
    return {**message, "t": answer_type(message["t"]), "38": "123456", "39": "00", **changes}


@asynccontextmanager
async def scripted_host(also: Fields | None = None, **settings: Any) -> AsyncGenerator[tuple[Scripted, Iso8583Acquirer]]:
    """Both, the line up; `also` is in the host's answers about the line."""
    given = {"kind": "iso8583", **ISO8583_SETTINGS, **settings}
    host = Scripted(msgspec.convert(given, Iso8583Spec).codec, also or {})
    server = await asyncio.start_server(host.line, "127.0.0.1", 0)
    spec = msgspec.convert({**given, "port": server.sockets[0].getsockname()[1]}, Iso8583Spec)
    spec.check()
    async with open_iso8583(spec, SystemClock(), Logger("test", io.BytesIO()), traces=MadeOfReferences()) as acquirer:
        assert await acquirer.health() is None
        yield host, acquirer
    server.close()
    for writer in host.writers:
        writer.close()
