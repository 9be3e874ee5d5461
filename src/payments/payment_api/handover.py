"""Hands attempts to transaction-processor: whatever was committed together goes in one call.

An attempt is sent at most once. If the call fails after it may have arrived, the outcome is awaited in the database, where transaction-processor's sweeper
brings it once the lease has run out: sending again could race with it.
"""

import asyncio
from dataclasses import dataclass

import aiohttp
import msgspec

from payments.domain.errors import Overloaded
from payments.domain.event import Event
from payments.domain.outcome import Outcome
from payments.payment_api.directing import Director
from payments.runtime.clock import Clock
from payments.runtime.logging import Logger
from payments.storage.attempts import OpenAttempt
from payments.wire.internal import ATTEMPTS_PATH, VERIFICATIONS_PATH, Answer, Handover, Verdict, Verification

_encode = msgspec.json.Encoder().encode
_decode_answer = msgspec.json.Decoder(Answer).decode
_decode_verdict = msgspec.json.Decoder(Verdict).decode

_CONNECT_RETRY_SECONDS = 0.25
_VERIFICATION_TIMEOUT_SECONDS = 15
_BATCH_MAX = 256
_NO_TARGET = 503
"""What the load balancer between the services answers when it has no copy to send a request to. A copy itself never does, where attempts are taken.
Source: Elastic Load Balancing, "Troubleshoot your Application Load Balancers", HTTP 503."""


class _NobodyThereError(Exception):
    """No copy got the request."""


@dataclass(slots=True)
class _Waiting:
    work: OpenAttempt
    deadline: float
    answer: asyncio.Future[Event | None]


class HandoverClient:
    """Talks to transaction-processor."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        internal_api_key: str,
        clock: Clock,
        log: Logger,
        *,
        director: Director,
        server_name: str | None = None,
    ) -> None:
        """`url` is where transaction-processor is found, `server_name` whose certificate is shown there if that isn't the URL's own name."""
        self._session = session
        self._url = url
        self._headers = {"Authorization": f"Bearer {internal_api_key}", "Content-Type": "application/json"}
        self._director = director
        self._server_name = server_name
        self._clock = clock
        self._log = log
        self._waiting: list[_Waiting] = []
        self._calls: set[asyncio.Task[None]] = set()

    async def carry_out(self, work: OpenAttempt, deadline: float) -> Event | None:
        """Have an attempt carried out; None when its outcome isn't known here. `deadline`, unix seconds: when its lease runs out."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._flush)
        waiting = _Waiting(work, deadline, loop.create_future())
        self._waiting.append(waiting)
        return await waiting.answer

    async def verify(self, question: Verification) -> Outcome:
        """Ask the issuer whether a card is good; raises `Overloaded` when nobody can be asked, `NoAcquirer` when there is nobody who could."""
        question = await self._director.asked(question)
        try:
            async with self._session.post(
                self._url + VERIFICATIONS_PATH,
                data=_encode(question),
                headers=self._headers,
                server_hostname=self._server_name,
                timeout=aiohttp.ClientTimeout(total=_VERIFICATION_TIMEOUT_SECONDS),
            ) as response:
                response.raise_for_status()
                return _decode_verdict(await response.read()).outcome
        except (TimeoutError, aiohttp.ClientError, msgspec.MsgspecError) as failure:
            raise Overloaded("The card can't be verified right now. Please retry.") from failure

    def _flush(self) -> None:
        """Send what is waiting: what one commit let go arrives here in one turn of the loop."""
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), _BATCH_MAX):
            task = asyncio.create_task(self._call(waiting[start : start + _BATCH_MAX]), name="handover")
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)

    async def _call(self, batch: list[_Waiting]) -> None:
        deadline = min(waiting.deadline for waiting in batch)
        body = _encode(Handover(deadline=deadline, attempts=[waiting.work for waiting in batch]))
        answers = {waiting.work.attempt.id: waiting.answer for waiting in batch}
        try:
            await self._post(body, deadline, answers)
        except Exception as failure:  # noqa: BLE001 - whatever it was, the outcome is awaited in the database
            self._log.error("handover", failure)
        finally:
            for answer in answers.values():
                _resolve(answer, None)

    async def _post(self, body: bytes, deadline: float, answers: dict[str, asyncio.Future[Event | None]]) -> None:
        while True:
            try:
                timeout = aiohttp.ClientTimeout(total=max(1.0, deadline - self._clock.now()))
                async with self._session.post(
                    self._url + ATTEMPTS_PATH, data=body, headers=self._headers, server_hostname=self._server_name, timeout=timeout
                ) as response:
                    if response.status == _NO_TARGET:
                        raise _NobodyThereError
                    response.raise_for_status()
                    rest = b""
                    async for chunk in response.content.iter_any():  # by lines it would cost a coroutine for each of them
                        *lines, rest = (rest + chunk).split(b"\n")
                        for line in lines:
                            answer = _decode_answer(line)
                            _resolve(answers[answer.attempt], answer.event)
                    return
            except (aiohttp.ClientConnectorError, _NobodyThereError):
                # Nobody was there, so nothing was sent: this, and only this, may be tried again.
                if self._clock.now() + _CONNECT_RETRY_SECONDS > deadline:
                    raise
                await asyncio.sleep(_CONNECT_RETRY_SECONDS)


def _resolve(answer: asyncio.Future[Event | None], event: Event | None) -> None:
    if not answer.done():  # it may be known already, or the client may have gone
        answer.set_result(event)
