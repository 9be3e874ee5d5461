"""`tap listen`: events of the stream, shown as they happen and forwarded to a web server on this machine, signed as a webhook is.

It comes again when it is cut off, and goes on where it was: what happened meanwhile is forwarded then.
"""

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from payments.cli.api_client import Api, ApiError, elsewhere
from payments.cli.data_directory import UsageError
from payments.cli.listen_secret import signing_secret
from payments.notification_service.signing import delivery_headers, signature_headers

_PATH = "/v1/events/stream"
_SILENT_SECONDS_MAX = 50.0
"""Three heartbeats."""
_PAUSES_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_FORWARD_SECONDS_MAX = 30.0
_FORWARDS_MAX = 16
"""At once; the stream waits while so many are under way."""
_MESSAGE_BYTES_MAX = 16 * 1024 * 1024
_TOO_MANY = 429


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to listen to, and what to do with it."""

    types: Sequence[str] = ()
    forward_to: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Sent along with what is forwarded."""
    api_version: str | None = None
    print_json: bool = False
    skip_verify: bool = False


@dataclass(frozen=True, slots=True)
class _Message:
    id: str
    sequence: int
    data: bytes

    @property
    def event(self) -> dict[str, Any]:
        return json.loads(self.data)


def forward_url(given: str) -> str:
    """Return the URL that `localhost:4242/webhook`, `4242/webhook` or `/webhook` stands for; raises `UsageError` for what is none."""
    port, slash, path = given.partition("/")
    if given.startswith(("http://", "https://")):
        url = given
    elif given.startswith("/"):
        url = f"http://localhost{given}"
    else:
        url = f"http://localhost:{port}{slash}{path}" if port.isdecimal() else f"http://{given}"
    try:
        parts = urlsplit(url)
        is_url = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        raise UsageError(f"{given} is no URL to forward to: write localhost:4242/webhook.")
    return url


def run_listen(find: Callable[[], Api], options: Options) -> None:
    """Listen until SIGINT or SIGTERM; raises `UsageError` when it can't begin. `find` says where Tap is, each time anew: it may have been started again."""
    find()
    asyncio.run(_until_told(_Listening(find, options)))


async def _until_told(listening: "_Listening") -> None:
    work = asyncio.ensure_future(listening.run())
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await work


class _Listening:
    def __init__(self, find: Callable[[], Api], options: Options) -> None:
        self._find = find
        self._options = options
        self._last_id = ""
        self._turns = asyncio.Semaphore(_FORWARDS_MAX)
        self._under_way: set[asyncio.Task[None]] = set()
        self._ready = False
        self._secret = ""

    async def run(self) -> None:
        failures = 0
        connector = aiohttp.TCPConnector(ssl=not self._options.skip_verify, limit=0)
        try:
            async with aiohttp.ClientSession(connector=connector) as session:
                while True:
                    try:
                        async for message in self._messages():
                            failures = 0
                            await self._take(session, message)
                    except _RefusedError as refusal:
                        self._refused(refusal, is_first=failures == 0)
                    except (OSError, aiohttp.ClientError, TimeoutError, UsageError) as failure:
                        if not self._ready:
                            raise _as_usage(failure) from None
                        if failures == 0:
                            _say("Tap is away; listening again when it is back …")
                    await asyncio.sleep(_PAUSES_SECONDS[min(failures, len(_PAUSES_SECONDS) - 1)])
                    failures += 1
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    def _refused(self, refusal: "_RefusedError", *, is_first: bool) -> None:
        """Begin anew when what came meanwhile can't be had; raises `UsageError` for what won't get better."""
        if refusal.error.get("param") == "after" and self._last_id:
            _say("Some events since then can't be had any more: see GET /v1/events. Listening from now on.")
            self._last_id = ""
        elif refusal.status < 500 and refusal.status != _TOO_MANY:
            raise refusal
        elif is_first:
            _say(f"{refusal} Trying again …")

    async def _messages(self) -> AsyncGenerator[_Message]:
        """Yield what comes, until the connection ends."""
        api = self._find()
        headers = {"Authorization": api.authorization, "Accept": "text/event-stream"}
        if self._last_id:
            headers["Last-Event-ID"] = self._last_id
        if self._options.api_version is not None:
            headers["Stripe-Version"] = self._options.api_version
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_SILENT_SECONDS_MAX)
        tls: Any = api.tls if api.tls is not None else True
        async with aiohttp.ClientSession(timeout=timeout, read_bufsize=_MESSAGE_BYTES_MAX) as session:
            query = [("types[]", each) for each in self._options.types]
            async with session.get(f"{api.base_url}{_PATH}", params=query, headers=headers, ssl=tls, allow_redirects=False) as answer:
                if location := answer.headers.get("Location"):
                    raise UsageError(elsewhere(api.base_url, location))
                if answer.status != 200:
                    raise await _refusal(answer)
                if answer.content_type != "text/event-stream":
                    raise UsageError(f"{api.base_url} is no Tap: its answer isn't understood.")
                self._say_ready(api, answer.headers.get("Stripe-Version", ""))
                fields: dict[str, str] = {}
                async for line in answer.content:
                    name, _, value = line.decode().rstrip("\n").partition(": ")
                    if name or value:
                        fields[name] = value
                        continue
                    if "data" in fields:
                        yield _Message(fields["id"], int(fields.get("sequence", "0")), fields["data"].encode())
                    # Once it was taken: who is told to end meanwhile gets it again.
                    self._last_id = fields.get("id", self._last_id)
                    fields.clear()

    def _say_ready(self, api: Api, version: str) -> None:
        self._secret = signing_secret(api.key)
        if self._ready:
            _say("Listening again.")
        elif not self._options.print_json:
            print(
                f"> Ready! You are using Stripe API Version [{version}]. Your webhook signing secret is {self._secret} (^C to quit)",
                flush=True,
            )
        self._ready = True

    async def _take(self, session: aiohttp.ClientSession, message: _Message) -> None:
        print(message.data.decode() if self._options.print_json else f"{_now()}   --> {message.event['type']} [{message.id}]", flush=True)
        if self._options.forward_to is not None:
            await self._turns.acquire()
            task = asyncio.create_task(self._forward(session, self._options.forward_to, message), name=f"forward {message.id}")
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            task.add_done_callback(lambda _: self._turns.release())

    async def _forward(self, session: aiohttp.ClientSession, url: str, message: _Message) -> None:
        signed = signature_headers(message.id, message.data, int(time.time()), [self._secret])
        headers = {**self._options.headers, **delivery_headers(message.sequence, 1), **signed}
        timeout = aiohttp.ClientTimeout(total=_FORWARD_SECONDS_MAX)
        try:
            async with session.post(url, data=message.data, headers=headers, timeout=timeout, allow_redirects=False) as answer:
                self._report(f"{_now()}  <--  [{answer.status}] POST {url} [{message.id}]")
        except (OSError, aiohttp.ClientError, ValueError) as failure:
            self._report(f"{_now()}            [ERROR] Failed to POST: {failure or type(failure).__name__} [{message.id}]")

    def _report(self, line: str) -> None:
        if self._options.print_json:
            _say(line)
        else:
            print(line, flush=True)


def _as_usage(failure: Exception) -> UsageError:
    return failure if isinstance(failure, UsageError) else UsageError(f"Tap doesn't answer: {failure or type(failure).__name__}")


class _RefusedError(ApiError):
    """The stream was refused."""


async def _refusal(answer: aiohttp.ClientResponse) -> _RefusedError:
    try:
        error: Any = (await answer.json())["error"]
    except (ValueError, KeyError, aiohttp.ClientError):
        error = {}
    return _RefusedError(answer.status, error)


def _now() -> str:
    return datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _say(line: str) -> None:
    """Tell the user, beside what programs read."""
    print(line, file=sys.stderr, flush=True)
