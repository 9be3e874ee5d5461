"""A network between a client and a server that loses packets without a word, as the one to a lost zone does."""

import asyncio
import contextlib
import threading
from collections.abc import Generator
from contextlib import contextmanager


class LossyNetwork:
    """Forwards connections to a port of this machine. While it is silent it takes whatever is sent, and nothing arrives."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._is_silent = False
        self._streams: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._server: asyncio.Server | None = None
        self.port = 0

    def start(self) -> None:
        self._thread.start()

        async def listen() -> int:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
            return self._server.sockets[0].getsockname()[1]

        self.port = asyncio.run_coroutine_threadsafe(listen(), self._loop).result(60)

    def stop(self) -> None:
        async def end() -> None:
            assert self._server is not None
            self._server.close()
            for task in list(self._streams):
                task.cancel()
            await asyncio.gather(*self._streams, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()

    def fall_silent(self) -> None:
        """Lose everything from now on: what is open is never heard of again, not even its end."""
        self._loop.call_soon_threadsafe(self._set, True)

    def come_back(self) -> None:
        """Forward new connections; those from before stay lost."""
        self._loop.call_soon_threadsafe(self._set, False)

    def _set(self, is_silent: bool) -> None:
        self._is_silent = is_silent
        if is_silent:
            for task in list(self._streams):
                task.cancel()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._streams[task] = writer
        if not self._is_silent:
            # The server's side of it is closed when it is lost: a server notices, and ends its session.
            with contextlib.suppress(asyncio.CancelledError, OSError):
                server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target)
                try:
                    await _until_first_ends(_pump(reader, server_writer), _pump(server_reader, writer))
                    writer.close()
                finally:
                    server_writer.close()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            while await reader.read(65_536):  # taken, and lost
                pass
        with contextlib.suppress(OSError):
            writer.close()
        del self._streams[task]


async def _until_first_ends(*pumps: "asyncio.Future[None] | object") -> None:
    tasks = [asyncio.ensure_future(pump) for pump in pumps]  # type: ignore[arg-type]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


@contextmanager
def lossy_network(port: int) -> Generator[LossyNetwork]:
    network = LossyNetwork(port)
    network.start()
    try:
        yield network
    finally:
        network.stop()
