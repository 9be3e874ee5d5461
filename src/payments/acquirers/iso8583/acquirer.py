"""The acquirer over ISO 8583.

The protocol knows no question about what became of an order. So an authorization or refund without a clear answer is reversed, again and again until the host
confirms that, and is then declined: no money is held, and the customer may pay again. What claims or releases a hold is an advice, which is repeated
under the same numbers until it is answered: it isn't undone.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from payments.acquirers.acquirer import NotSent, Order, SaysNothing
from payments.acquirers.approvals import approved
from payments.acquirers.configuration import Iso8583Spec
from payments.acquirers.declines import GENERIC_DECLINE, PROCESSING_ERROR, declined
from payments.acquirers.iso8583 import messages
from payments.acquirers.iso8583.codec import Fields, MalformedError
from payments.acquirers.iso8583.currencies import NUMBERS
from payments.acquirers.iso8583.framing import Framing
from payments.acquirers.iso8583.line import Line, Place
from payments.acquirers.iso8583.messages import Build, Numbers, Terminal
from payments.acquirers.iso8583.responses import (
    APPROVED,
    DONE,
    DUPLICATE,
    NO_REASON_TO_DECLINE,
    NOT_DECIDED,
    PARTLY,
    REVERSED,
    decline_code,
)
from payments.acquirers.iso8583.traces import Traces
from payments.domain.attempt import AttemptKind
from payments.domain.outcome import Approved, Declined, Final, NotFound, Outcome, Unknown
from payments.runtime.clock import Clock
from payments.runtime.logging import Logger

_NOT_DONE = "transaction_not_allowed"
_LATE_REVERSALS_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Late:
    """What is remembered of a message whose answer may come late: its order, to undo it."""

    order: Order


def terminal_of(spec: Iso8583Spec) -> Terminal:
    """Return the terminal that an acquirer's settings describe."""
    return Terminal(
        terminal_id=spec.terminal_id,
        merchant_id=spec.merchant_id,
        location=spec.merchant_location,
        merchant_category_code=spec.merchant_category_code,
        institution=spec.institution,
        zone=spec.zone,
        reference_numbers=spec.reference_numbers,
        forms=spec.messages,
    )


class Iso8583Acquirer(SaysNothing):
    """An `Acquirer`."""

    def __init__(self, spec: Iso8583Spec, tls: ssl.SSLContext | None, clock: Clock, log: Logger, traces: Traces) -> None:
        self._spec = spec
        self._traces = traces
        self._terminal = terminal_of(spec)
        self.line: Line[_Late] = Line(
            name=spec.name,
            place=Place(
                host=spec.host,
                port=spec.port,
                tls=tls,
                connect_timeout_seconds=spec.connect_timeout_seconds,
                echo_seconds=spec.echo_seconds,
                signs_on=spec.sign_on,
                forms=spec.messages,
                by_reference_number=spec.reference_numbers == "own",
            ),
            codec=spec.codec,
            framing=Framing(
                length_bytes=spec.length_bytes,
                length_format=spec.length_format,
                counts_itself=spec.length_counts_itself,
                tpdu=bytes.fromhex(spec.tpdu),
            ),
            clock=clock,
            log=log,
            on_late=self._came_late,
        )
        self._late_reversals: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        """The name that its accounts in the ledger carry."""
        return self._spec.name

    @property
    def needs_card(self) -> bool:
        """Every message has the number."""
        return True

    async def execute(self, order: Order) -> Outcome:
        """Carry out an order. Raises `NotSent`."""
        match order.kind:
            case AttemptKind.CAPTURE:
                return await self._advise(order, repeats=False)
            case AttemptKind.VOID:
                return await self._release(order, repeats=False)
            case AttemptKind.INCREMENT:
                # ISO 8583:1987 has no message for it.
                return declined(_NOT_DONE, sent=False)
            case _ if order.currency not in NUMBERS or order.authentication is not None:
                # A proof of 3-D Secure has no field: without it the merchant would bear what the issuer should.
                return declined(_NOT_DONE, sent=False)
            case _:
                return await self._request(order, verifies=False)

    async def verify_card(self, order: Order) -> Outcome:
        """Ask the issuer for an authorization of nothing."""
        return await self._request(replace(order, currency=self._spec.verifies_in(order.currency)), verifies=True)

    async def inquire(self, order: Order) -> Final | Unknown | NotFound:
        """Bring an order to its end: what claims or releases is repeated until it is answered, all else undone. Raises `NotSent`."""
        match order.kind:
            case AttemptKind.CAPTURE:
                return await self._advise(order, repeats=True)
            case AttemptKind.VOID:
                return await self._release(order, repeats=True)
            case AttemptKind.INCREMENT:
                return declined(_NOT_DONE, sent=False)
            case _ if order.currency not in NUMBERS or order.authentication is not None:
                return declined(_NOT_DONE, sent=False)
            case _:
                return await self._undo(order)

    async def give_up(self, order: Order) -> Final | Unknown | NotFound:
        """Undo it."""
        return await self._undo(order)

    async def health(self) -> str | None:
        """Have the host echo."""
        try:
            await self.line.echo()
        except NotSent as fault:
            return str(fault)
        except (OSError, TimeoutError) as failure:
            return type(failure).__name__
        return None

    async def _request(self, order: Order, *, verifies: bool) -> Final | Unknown:
        message = messages.request(order, self._terminal, await self._numbers(order))
        answer = await self._answer(message, None if verifies else _Late(order=order))
        if isinstance(answer, Unknown):
            return answer
        return self._outcome(answer, takes_nothing=verifies or order.kind is AttemptKind.REFUND)

    async def _advise(self, order: Order, *, repeats: bool) -> Final | Unknown:
        answer = await self._repeated(order, messages.completion, await self._numbers(order), repeats=repeats, is_first=not repeats)
        if isinstance(answer, Unknown):
            return answer
        if answer["39"] == DUPLICATE:  # of something else, such as the capture before: this one was never said until now
            return declined(PROCESSING_ERROR)
        outcome = self._outcome(answer, takes_nothing=False)
        return (
            approved(authorization_code=answer.get("38", "").strip() or order.authorization_code)
            if isinstance(outcome, Approved)
            else outcome
        )

    async def _release(self, order: Order, *, repeats: bool) -> Final | Unknown:
        answer = await self._repeated(order, messages.release, await self._numbers(order), repeats=repeats)
        if isinstance(answer, Unknown):
            return answer
        if not self._reversed(answer):
            return Unknown(reason=f"reversal answered {answer['39']}")
        return approved(authorization_code=order.authorization_code)

    async def _undo(self, order: Order) -> Declined | Unknown:
        answer = await self._repeated(order, messages.undo, await self._numbers(order, undoes=True), repeats=False)
        if isinstance(answer, Unknown):
            return answer
        return declined(PROCESSING_ERROR) if self._reversed(answer) else Unknown(reason=f"reversal answered {answer['39']}")

    def _reversed(self, answer: Fields) -> bool:
        return answer["39"] in REVERSED or answer["39"] in self._spec.reversed_codes

    async def _numbers(self, order: Order, *, undoes: bool = False) -> Numbers:
        """Return the numbers of a message, and of what it follows. Raises `NotSent` where they can't be had: nothing has gone out yet."""
        created = {order.reference: order.created}
        if undoes:
            created[messages.undoing(order.reference)] = order.created
        if order.original_reference is not None:
            created[order.original_reference] = order.original_created
        try:
            return await self._traces.numbers(self.name, created)
        except Exception as failure:
            raise NotSent(f"no trace number: {type(failure).__name__}") from failure

    async def _repeated(self, order: Order, build: Build, numbers: Numbers, *, repeats: bool, is_first: bool = False) -> Fields | Unknown:
        """Send an advice, and again as a repetition, until it is answered or the time is over. Raises `NotSent` while nothing went out.

        A host that calls a repetition a duplicate has the first, and an advice isn't refused: so that is a yes. Unless nobody sent it before (`is_first`),
        what it calls one at once is said again as a repetition.
        """
        answer = await self._answer(build(order, self._terminal, numbers, repeats=repeats), None, timeout_seconds=self._spec.repeat_seconds)
        for _ in range(self._spec.repeats_max):
            if not isinstance(answer, Unknown) and (repeats or is_first or answer["39"] != DUPLICATE):
                break
            repeats = True
            with contextlib.suppress(NotSent):
                answer = await self._answer(
                    build(order, self._terminal, numbers, repeats=True), None, timeout_seconds=self._spec.repeat_seconds
                )
        if repeats and not isinstance(answer, Unknown) and answer["39"] == DUPLICATE:
            return {**answer, "39": DONE}
        return answer

    async def _answer(self, message: Fields, late: _Late | None, *, timeout_seconds: float | None = None) -> Fields | Unknown:
        """Return the answer to a message if it is one; raises `NotSent`."""
        try:
            async with asyncio.timeout(timeout_seconds or self._spec.timeout_seconds):
                answer = await self.line.ask(message, late)
        except TimeoutError:
            return Unknown(reason="timeout")
        except MalformedError as mistake:
            return Unknown(reason=f"a message that can't be sent: {mistake}")
        except ConnectionError as failure:
            return Unknown(reason=type(failure).__name__)
        wrong = [name for name in ("2", "4", "49") if name in answer and answer[name].strip() != message[name].strip()]
        if wrong or "39" not in answer:
            what = f"answer with another field {wrong[0]}" if wrong else "answer without a response code"
            self.line.refuse("contradicts", what)
            return Unknown(reason=what)
        return answer

    def _outcome(self, answer: Fields, *, takes_nothing: bool) -> Final | Unknown:
        code = answer["39"]
        if code in APPROVED or (takes_nothing and code == NO_REASON_TO_DECLINE):
            number = answer.get("37") if self._spec.reference_numbers == "host" else None
            return approved(authorization_code=answer.get("38"), acquirer_reference=number)
        if code in NOT_DECIDED:
            return Unknown(reason=f"response code {code}")
        meaning = self._spec.response_codes.get(code)
        if meaning is None and decline_code(code) == GENERIC_DECLINE:
            self.line.refuse("unknown_code", f"{answer['t']}, field 39: {code}")
        return declined(meaning or decline_code(code))

    def _came_late(self, late: _Late, answer: Fields) -> None:
        """What was given up was approved after all: undo it at once. If that fails, whoever takes the attempt over does it."""
        if answer.get("39") in APPROVED | PARTLY and len(self._late_reversals) < _LATE_REVERSALS_MAX:
            task = asyncio.create_task(self._undo_quietly(late.order), name="reverse late answer")
            self._late_reversals.add(task)
            task.add_done_callback(self._late_reversals.discard)

    async def _undo_quietly(self, order: Order) -> None:
        with contextlib.suppress(NotSent):
            await self._undo(order)

    async def close(self) -> None:
        """Sign off."""
        for task in list(self._late_reversals):
            task.cancel()
        await self.line.sign_off()


@asynccontextmanager
async def open_iso8583(
    spec: Iso8583Spec, clock: Clock, log: Logger, directory: str | None = None, *, traces: Traces
) -> AsyncGenerator[Iso8583Acquirer]:
    """Keep its line open; `directory` is where files that it names are; payments aren't sent before it is."""
    acquirer = Iso8583Acquirer(spec, await asyncio.to_thread(spec.tls_context, directory), clock, log, traces)
    kept = asyncio.create_task(acquirer.line.keep(), name=f"line to {spec.name}")
    try:
        yield acquirer
    finally:
        await acquirer.close()
        kept.cancel()
        await asyncio.gather(kept, return_exceptions=True)
