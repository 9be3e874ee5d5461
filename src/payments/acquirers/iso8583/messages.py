"""Orders as messages. Pure: all that a message has follows from the order and the numbers that were given for it, so that a repetition, by whichever process, is
the same message.

What matches messages is STAN (DE 11), transmission time (DE 7) and reference number (DE 37). The first is counted (`traces.py`), a million a day at most. The
reference number is made of our reference and has 36^12 values. So a host that goes by more than the STAN tells apart what comes after a million, too.
"""

import datetime
import hashlib
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from payments.acquirers.acquirer import Order
from payments.acquirers.iso8583.codec import Fields
from payments.acquirers.iso8583.currencies import NUMBERS as CURRENCY_NUMBERS
from payments.acquirers.iso8583.traces import NUMBERS, made_of
from payments.domain.attempt import AttemptKind

AUTHORIZATION, PURCHASE, ADVICE, ADVICE_REPEAT = "0100", "0200", "0220", "0221"
REVERSAL, REVERSAL_REPEAT, NETWORK = "0420", "0421", "0800"
_ALPHABET = string.digits + string.ascii_uppercase
_PURCHASE_CODE, _REFUND_CODE = "000000", "200000"
_MANUAL_ENTRY = "010"
_MAIL_OR_TELEPHONE, _E_COMMERCE = "08", "59"
_CUSTOMER_CANCELLATION, _TIMED_OUT = "17", "68"
SIGN_ON, SIGN_OFF, ECHO = "001", "002", "301"


Numbers = Mapping[str, int]
"""The STANs that were given, by reference; one without has the number that follows from it."""


class Build(Protocol):
    """Makes a message that is repeated until it is answered."""

    def __call__(self, order: Order, terminal: "Terminal", numbers: Numbers, *, repeats: bool) -> Fields:
        """Return it, or its repetition."""
        ...


Key = tuple[str, str, str]
"""Type of the answer, STAN, reference number; the last is empty for network messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """Who we are to the host."""

    terminal_id: str
    merchant_id: str
    location: str
    """Name (25), city (13) and country (2)."""
    merchant_category_code: str
    institution: str
    """The acquiring institution's number."""


def answer_type(message_type: str) -> str:
    """Return the type that answers: a repetition is answered as the first was."""
    return f"{message_type[:2]}{int(message_type[2]) + 1}0"


def key_of(message: Fields) -> Key:
    """Return what the answer to a message is found by."""
    return answer_type(message["t"]), message["11"], message.get("37", "")


def request(order: Order, terminal: Terminal, numbers: Numbers) -> Fields:
    """Return the message that carries out an authorization or a refund."""
    common = _common(order, terminal, numbers)
    if order.kind is AttemptKind.REFUND:
        return {**common, "t": PURCHASE, "3": _REFUND_CODE, "37": _reference_number(order.reference)}
    message_type = PURCHASE if order.capture and order.amount else AUTHORIZATION
    return {**common, "t": message_type, "37": _reference_number(order.reference)}


def completion(order: Order, terminal: Terminal, numbers: Numbers, *, repeats: bool) -> Fields:
    """Return the advice that claims a hold, or a part of it."""
    return {
        **_common(order, terminal, numbers),
        "t": ADVICE_REPEAT if repeats else ADVICE,
        "37": _reference_number(order.original_reference or ""),
        **_approval(order),
        "90": _original_data(AUTHORIZATION, order.original_reference or "", order.original_created, terminal, numbers),
    }


def release(order: Order, terminal: Terminal, numbers: Numbers, *, repeats: bool) -> Fields:
    """Return the reversal that gives up a hold, or what is left of it after a part was claimed."""
    kept = order.original_amount - order.amount
    return {
        **_common(order, terminal, numbers),
        "t": REVERSAL_REPEAT if repeats else REVERSAL,
        "4": f"{order.original_amount:012d}",
        "37": _reference_number(order.original_reference or ""),
        **_approval(order),
        "39": _CUSTOMER_CANCELLATION,
        "90": _original_data(AUTHORIZATION, order.original_reference or "", order.original_created, terminal, numbers),
        **({"95": f"{kept:012d}".ljust(42, "0")} if kept > 0 else {}),
    }


def undo(order: Order, terminal: Terminal, numbers: Numbers, *, repeats: bool) -> Fields:
    """Return the reversal of an authorization or refund whose answer isn't known."""
    original = request(order, terminal, numbers)
    return {
        **original,
        "t": REVERSAL_REPEAT if repeats else REVERSAL,
        "11": _stan(undoing(order.reference), numbers),
        "39": _TIMED_OUT,
        "90": _original_data(original["t"], order.reference, order.created, terminal, numbers),
    }


def network(code: str, stan: int, now: float) -> Fields:
    """Return a sign-on, sign-off or echo."""
    return {"t": NETWORK, "7": _time(now, "%m%d%H%M%S"), "11": f"{stan % NUMBERS + 1:06d}", "70": code}


def _common(order: Order, terminal: Terminal, numbers: Numbers) -> Fields:
    if order.pan is None:
        raise ValueError("a message needs the card's number")
    return {
        "2": order.pan.reveal(),
        "3": _PURCHASE_CODE,
        "4": f"{order.amount:012d}",
        "7": _time(order.created, "%m%d%H%M%S"),
        "11": _stan(order.reference, numbers),
        "12": _time(order.created, "%H%M%S"),
        "13": _time(order.created, "%m%d"),
        "14": f"{order.exp_year % 100:02d}{order.exp_month:02d}",
        "18": terminal.merchant_category_code,
        "22": _MANUAL_ENTRY,
        "25": _MAIL_OR_TELEPHONE if order.moto else _E_COMMERCE,
        "32": terminal.institution,
        "41": terminal.terminal_id.ljust(8),
        "42": terminal.merchant_id.ljust(15),
        "43": terminal.location.ljust(40),
        "49": CURRENCY_NUMBERS[order.currency],
    }


def _approval(order: Order) -> Fields:
    return {"38": order.authorization_code.ljust(6)} if order.authorization_code else {}


def _original_data(message_type: str, reference: str, created: int, terminal: Terminal, numbers: Numbers) -> str:
    """DE 90: type, STAN, transmission time, acquiring and forwarding institution of the original."""
    return f"{message_type}{_stan(reference, numbers)}{_time(created, '%m%d%H%M%S')}{terminal.institution:0>11}{'':0>11}"


def undoing(reference: str) -> str:
    """Return what the number of an order's reversal is given for."""
    return f"undo {reference}"


def _stan(reference: str, numbers: Numbers) -> str:
    return f"{numbers.get(reference) or made_of(reference):06d}"


def _reference_number(reference: str) -> str:
    number, digits = int.from_bytes(hashlib.blake2b(reference.encode(), digest_size=10, person=b"rrn").digest()), ""
    for _ in range(12):
        number, digit = divmod(number, 36)
        digits += _ALPHABET[digit]
    return digits


def _time(unix_seconds: float, form: str) -> str:
    return datetime.datetime.fromtimestamp(unix_seconds, datetime.UTC).strftime(form)
