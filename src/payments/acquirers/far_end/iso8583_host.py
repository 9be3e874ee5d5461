"""The bank's side of ISO 8583, and of what may go wrong with it."""

import asyncio
import contextlib
import os

import msgspec

from payments.acquirers.far_end.faults import BELATED_SECONDS, Fault, Faults
from payments.acquirers.far_end.judge import Conflict, Decision, Judge
from payments.acquirers.far_end.record import BankOrder, Record
from payments.acquirers.iso8583.codec import Codec, Fields, MalformedError
from payments.acquirers.iso8583.currencies import NUMBERS, minor_units_of
from payments.acquirers.iso8583.framing import Framing, OutOfStepError
from payments.acquirers.iso8583.messages import answer_type
from payments.runtime.clock import Clock

_CURRENCIES = {number: currency for currency, number in NUMBERS.items()}
_RESPONSE_CODES = {
    "generic_decline": "05",
    "insufficient_funds": "51",
    "lost_card": "41",
    "stolen_card": "43",
    "expired_card": "54",
    "incorrect_cvc": "82",
    "card_velocity_exceeded": "61",
    "processing_error": "96",
}
_ECHOED = ("2", "3", "4", "7", "11", "12", "13", "32", "37", "41", "42", "49", "70", "90", "95")
_NOT_FOUND, _DUPLICATE, _FORMAT_ERROR = "25", "94", "30"
_FORM = {"100": "authorize", "200": "authorize", "220": "capture"}
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Decision).decode


class Iso8583Host:
    """Serves one or several lines."""

    def __init__(self, *, codec: Codec, framing: Framing, judge: Judge, record: Record, faults: Faults, clock: Clock) -> None:
        self._codec = codec
        self._framing = framing
        self._judge = judge
        self._record = record
        self._faults = faults
        self._clock = clock
        self._lines: set[asyncio.Task[None]] = set()

    async def serve(self, host: str, port: int) -> asyncio.Server:
        """Listen."""
        return await asyncio.start_server(self._line, host, port)

    def close(self) -> None:
        """Break all lines."""
        for line in list(self._lines):
            line.cancel()

    async def _line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._lines.add(task)
            task.add_done_callback(self._lines.discard)
        answers: set[asyncio.Task[None]] = set()
        try:
            while True:
                raw = await self._framing.read(reader)
                with contextlib.suppress(MalformedError):
                    message = self._codec.decode(raw)
                    answer = asyncio.create_task(self._answer(message, writer))
                    answers.add(answer)
                    answer.add_done_callback(answers.discard)
        except (OSError, asyncio.IncompleteReadError, OutOfStepError, asyncio.CancelledError):
            pass
        finally:
            for answer in list(answers):
                answer.cancel()
            writer.transport.abort()

    async def _answer(self, message: Fields, writer: asyncio.StreamWriter) -> None:
        if message["t"] in ("0800", "0801"):
            self._send(writer, _reply(message, "00"))
            return
        fault = self._faults.next()
        if fault is Fault.REFUSE:
            writer.transport.abort()
        elif fault is not Fault.DEAF:
            if fault in (Fault.SLOW, Fault.BELATED):
                await asyncio.sleep(self._faults.order.seconds if fault is Fault.SLOW else BELATED_SECONDS)
            await self._reply(fault, self._decide(message), writer)

    async def _reply(self, fault: Fault, reply: Fields, writer: asyncio.StreamWriter) -> None:
        """Answer, or do whatever goes wrong instead."""
        match fault:
            case Fault.DIE:
                os._exit(9)
            case Fault.SILENT:
                return
            case Fault.DROP:
                writer.transport.abort()
                return
            case Fault.HALF:
                writer.write(self._framing.pack(self._codec.encode(reply))[:-7])
                writer.close()
                return
            case Fault.NONSENSE:
                # The bitmap claims fields that aren't there.
                writer.write(self._framing.pack(self._codec.encode({"t": reply["t"], "11": reply["11"], "70": "301"})[:-3]))
                return
            case Fault.LATE:
                await asyncio.sleep(self._faults.order.seconds)
            case Fault.TWICE:
                self._send(writer, reply)
            case _:
                reply |= _wrong(fault, reply)
        self._send(writer, reply)

    def _send(self, writer: asyncio.StreamWriter, message: Fields) -> None:
        if not writer.is_closing():
            writer.write(self._framing.pack(self._codec.encode(message)))

    def _decide(self, message: Fields) -> Fields:
        form = message["t"][1:3] + "0"
        if form == "420":
            return self._reverse(message)
        if form not in _FORM or any(name not in message for name in ("2", "3", "4", "7", "11", "37", "41", "42", "49")):
            return _reply(message, _FORMAT_ERROR)
        refund = message["3"].startswith("20")
        currency = _CURRENCIES.get(message["49"])
        if currency is None:
            return _reply(message, _FORMAT_ERROR)
        order = BankOrder(
            reference=_reference(message["t"][:3] + "0", message["11"], message["7"]),
            kind="refund" if refund else _FORM[form],
            amount=minor_units_of(int(message["4"]), currency),
            currency=currency,
            original=_original(message),
            capture=form == "200",
            number=message["2"],
        )
        try:
            decision = _decode(self._judge.decide(order, _encode, unreferenced=refund))
        except Conflict:
            return _reply(message, _DUPLICATE)
        if not decision.approved:
            return _reply(message, _RESPONSE_CODES.get(decision.decline_code or "", "57"))
        return _reply(message, "00") | {"38": message.get("38") or f"{int(message['11']):06d}"}

    def _reverse(self, message: Fields) -> Fields:
        original = _original(message)
        found = None if original is None else self._record.find(original)
        if original is None or found is None or not found.approved:
            if original is not None and found is None:
                # It may come yet: then it is another order under a reference that is taken.
                order = BankOrder(reference=original, kind="reversed", amount=0, currency="")
                self._record.insert(order, original, approved=False, answer=_encode(Decision(approved=False)), now=self._clock.now())
            return _reply(message, _NOT_FOUND)
        if "95" not in message:
            standing = self._record.standing(found.root)
            if found.kind == "authorize" and not found.claims and standing.claimed:
                return _reply(message, "12")  # money was claimed of it: it can't be undone whole
            self._record.reverse(original)
            return _reply(message, "00")
        order = BankOrder(
            reference=_reference("0420", message["11"], message["7"]),
            kind="void",
            amount=found.amount - minor_units_of(int(message["95"][:12]), found.currency),
            currency=found.currency,
            original=original,
        )
        decision = _decode(self._judge.decide(order, _encode))
        return _reply(message, "00" if decision.approved else "12")


def _reply(message: Fields, code: str) -> Fields:
    return {name: message[name] for name in _ECHOED if name in message} | {"t": answer_type(message["t"]), "39": code}


def _wrong(fault: Fault, reply: Fields) -> Fields:
    """Return what is wrong in a reply."""
    match fault:
        case Fault.OTHER_AMOUNT:
            return {"4": f"{int(reply['4']) + 1:012d}"}
        case Fault.OTHER_ORDER:
            return {"11": f"{(int(reply['11']) + 1) % 1_000_000:06d}"}
        case Fault.FORGED:
            return {"2": "4000000000000002"}
        case Fault.ERROR:
            return {"39": "68"}
        case _:
            return {}


def _reference(message_type: str, stan: str, time: str) -> str:
    return f"{message_type}-{stan}-{time}"


def _original(message: Fields) -> str | None:
    data = message.get("90")
    return None if data is None else _reference(data[:4], data[4:10], data[10:20])
