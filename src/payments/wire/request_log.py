"""Records the requests of merchants whose requests somebody watches; costs one look into a dictionary for those of all others.

What is recorded is what a line of the log has, and which error it was: no parameter, no body, no header, no message.
"""

import asyncio
import time
from collections.abc import Callable

import asyncpg
import msgspec
from msgspec import Struct

from payments.domain.principal import Principal
from payments.runtime.background import Background, Beat
from payments.runtime.ids import new_id
from payments.storage import stripe_cli
from payments.storage.database import CONNECTION_FAILURES, Pool
from payments.storage.streams import StreamKey
from payments.storage.stripe_cli import LOG_PREFIX, REQUESTS_CHANNEL, TAILS_CHANNEL, LoggedRequest
from payments.storage.wakeup import Waker
from payments.storage.watched_database import WatchedDatabase

_WAITING_MAX = 1_000
"""Requests that wait to be recorded; of more than that the log has none: a database that is slow costs lines, and no request."""
_GATHER_SECONDS = 0.1
_QUIET_SECONDS = 30.0
_encode = msgspec.json.Encoder().encode


class _Error(Struct, frozen=True):
    type: str = ""
    code: str = ""
    decline_code: str = ""
    param: str = ""
    charge: str = ""


class _Refusal(Struct, frozen=True):
    error: _Error = _Error()


class RequestLog:
    """Of one process."""

    def __init__(self, pool: Pool, *, now: Callable[[], float] = time.monotonic) -> None:
        """`now` returns seconds that never go backwards."""
        self._pool = pool
        self._now = now
        self._waker = Waker(pool, REQUESTS_CHANNEL)
        self._until: dict[StreamKey, float] = {}
        self._waiting: list[tuple[StreamKey, str]] = []
        self._asks = True
        """Somebody may watch whom this process doesn't know of yet."""
        self._noticed = asyncio.Event()

    def notice(self) -> None:
        """Tell that somebody begins to watch."""
        self._asks = True
        self._noticed.set()

    def take(self, principal: Principal, method: str, path: str, status: int, request_id: str, body: bytes, at: float) -> None:
        """Take note of a request that was answered, if somebody watches; `at`: unix seconds."""
        stream = (principal.merchant_id, principal.livemode)
        until = self._until.get(stream)
        if until is None or until < self._now() or len(self._waiting) >= _WAITING_MAX:
            return
        document = {
            "created_at": int(at),
            "livemode": principal.livemode,
            "method": method,
            "request_id": request_id,
            "status": status,
            "url": path,
            "error": _error(body) if status >= 400 else {},
        }
        self._waiting.append((stream, _encode(document).decode()))
        self._noticed.set()

    async def run(self, beat: Beat) -> None:
        """Record until cancelled; asks the database nothing while nobody watches."""
        self._noticed.set()
        while True:
            try:
                async with asyncio.timeout(_QUIET_SECONDS):
                    await self._noticed.wait()
            except TimeoutError:
                beat()
                continue
            self._noticed.clear()
            if self._asks:
                self._asks = False
                await self._ask()
            if self._waiting:
                await asyncio.sleep(_GATHER_SECONDS)
                await self._record()
            beat()

    async def _ask(self) -> None:
        try:
            seconds = await stripe_cli.watched(self._pool)
        except BaseException:
            self._asks = True
            raise
        self._until = {stream: self._now() + left for stream, left in seconds.items()}

    async def _record(self) -> None:
        taken, self._waiting = self._waiting, []
        try:
            # Ids of now: whoever reads looks for what came within some seconds.
            await stripe_cli.record(self._pool, [LoggedRequest(stream, new_id(LOG_PREFIX), document) for stream, document in taken])
        except (asyncpg.PostgresError, *CONNECTION_FAILURES):
            return  # the log has a gap, as it has where nobody watched
        self._waker.wake()


def keep_request_log(database: WatchedDatabase, background: Background) -> RequestLog:
    """Record requests while somebody watches; to be called before the watch over the database begins, on whose connection it hears of them: within the same turn of the loop."""
    request_log = RequestLog(database.pool)
    database.hears[TAILS_CHANNEL] = request_log.notice
    background.keep("request log", request_log.run)
    return request_log


def _error(body: bytes) -> dict[str, str]:
    try:
        error = msgspec.json.decode(body, type=_Refusal).error
    except msgspec.MsgspecError:
        return {}
    return {name: value for name in error.__struct_fields__ if (value := getattr(error, name))}
