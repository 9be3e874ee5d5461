"""TLS in front of PostgreSQL: the embedded server is built without it. Speaks the protocol's SSLRequest, and refuses whoever wants none (`rds.force_ssl`)."""

import asyncio
import contextlib
import struct
import threading
from collections.abc import Generator
from contextlib import contextmanager

from rehearsal.authority import Authority

_SSL_REQUEST, _GSSENC_REQUEST = 80877103, 80877104
"""Source: PostgreSQL, "Message Formats"."""


@contextmanager
def tls_front(authority: Authority, upstream_port: int) -> Generator[int]:
    """Listen on 127.0.0.1 for a PostgreSQL server on another port there; yields the port."""
    loop = asyncio.new_event_loop()
    started: asyncio.Future[int] = loop.create_future()
    context = authority.server_context()

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
        sink.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := struct.unpack("!ii", await reader.readexactly(8))) == (8, _GSSENC_REQUEST):
                writer.write(b"N")
            if request != (8, _SSL_REQUEST):
                return
            writer.write(b"S")
            await writer.drain()
            await writer.start_tls(context)
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", upstream_port)
            await asyncio.gather(pump(reader, server_writer), pump(server_reader, writer))
        except (OSError, EOFError):
            pass  # the client went away, or doesn't trust us
        finally:
            writer.close()

    async def run() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            started.set_result(server.sockets[0].getsockname()[1])
            with contextlib.suppress(asyncio.CancelledError):
                await server.serve_forever()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    task = loop.create_task(run())
    thread = threading.Thread(target=loop.run_until_complete, args=(task,))
    thread.start()
    try:
        while not started.done():
            threading.Event().wait(0.01)
        yield started.result()
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()
