"""Orders as messages. Pure: all that a message has follows from the order and the numbers that were given for it, so that a repetition, by whichever process, is
the same message.

What matches messages is STAN (DE 11), transmission time (DE 7) and reference number (DE 37). The first is counted (`traces.py`), a million a day at most. The
reference number is made of our reference and has 36^12 values. So a host that goes by more than the STAN tells apart what comes after a million, too. Some hosts
give reference numbers themselves: then ours has none, and what follows has the host's.
"""

import datetime
import hashlib
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from payments.acquirers.acquirer import Order
from payments.acquirers.iso8583.codec import Fields
from payments.acquirers.iso8583.currencies import NUMBERS as CURRENCY_NUMBERS
from payments.acquirers.iso8583.currencies import amount_of
from payments.acquirers.iso8583.forms import AS_IT_IS, Form, Forms, formed
from payments.acquirers.iso8583.traces import NUMBERS, made_of
from payments.domain.attempt import AttemptKind

AUTHORIZATION, PURCHASE, ADVICE = "0100", "0200", "0220"
REVERSAL, NETWORK = "0420", "0800"
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
"""Type of the answer, STAN, reference number; the last is empty where the message has none of ours."""
ReferenceNumbers = Literal["own", "host"]
"""Who gives them."""


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
    zone: datetime.tzinfo = datetime.UTC
    """Of the time and date at the terminal, DE 12 and 13."""
    reference_numbers: ReferenceNumbers = "own"
    forms: Forms = AS_IT_IS

    def opening_form(self, order: Order) -> tuple[str, Form]:
        """Return the type of the message that begins an order, and what the host wants otherwise in it."""
        match order:
            case Order(kind=AttemptKind.REFUND):
                message_type, form = PURCHASE, self.forms.refund
            case Order(amount=0):
                message_type, form = AUTHORIZATION, self.forms.verification
            case Order(capture=True):
                message_type, form = PURCHASE, self.forms.payment
            case _:
                message_type, form = AUTHORIZATION, self.forms.hold
        return form.type or message_type, form


def answer_type(message_type: str) -> str:
    """Return the type that answers: a repetition is answered as the first was."""
    return f"{message_type[:2]}{int(message_type[2]) + 1}0"


def key_of(message: Fields) -> Key:
    """Return what the answer to a message is found by."""
    return answer_type(message["t"]), message["11"], message.get("37", "")


def request(order: Order, terminal: Terminal, numbers: Numbers) -> Fields:
    """Return the message that carries out an authorization or a refund."""
    message_type, form = terminal.opening_form(order)
    refunds = order.kind is AttemptKind.REFUND
    message = {
        **_common(order, terminal, numbers),
        "t": message_type,
        **({"3": _REFUND_CODE} if refunds else {}),
        "37": _reference_number(order, terminal, order.reference),
    }
    return formed(message, form)


def completion(order: Order, terminal: Terminal, numbers: Numbers, *, repeats: bool) -> Fields:
    """Return the advice that claims a hold, or a part of it."""
    message = {
        **_common(order, terminal, numbers),
        "t": ADVICE,
        "37": _reference_number(order, terminal, order.original_reference or ""),
        **_approval(order),
        "90": _original_hold(order, terminal, numbers),
    }
    return _repeated(formed(message, terminal.forms.capture), repeats=repeats)


def release(order: Order, terminal: Terminal, numbers: Numbers, *, repeats: bool) -> Fields:
    """Return the reversal that gives up a hold, or what is left of it after a part was claimed."""
    kept = order.original_amount - order.amount
    message = {
        **_common(order, terminal, numbers),
        "t": REVERSAL,
        "4": _amount(order.original_amount, order),
        "37": _reference_number(order, terminal, order.original_reference or ""),
        **_approval(order),
        "39": _CUSTOMER_CANCELLATION,
        "90": _original_hold(order, terminal, numbers),
        **({"95": _amount(kept, order).ljust(42, "0")} if kept > 0 else {}),
    }
    return _repeated(formed(message, terminal.forms.release), repeats=repeats)


def undo(order: Order, terminal: Terminal, numbers: Numbers, *, repeats: bool) -> Fields:
    """Return the reversal of an authorization or refund whose answer isn't known."""
    original = request(order, terminal, numbers)
    message = {
        **original,
        "t": REVERSAL,
        "11": _stan(undoing(order.reference), numbers),
        "39": _TIMED_OUT,
        "90": _original_data(original["t"], order.reference, order.created, terminal, numbers),
    }
    return _repeated(formed(message, terminal.forms.reversal), repeats=repeats)


def network(code: str, stan: int, now: float, form: Form) -> Fields:
    """Return a sign-on, sign-off or echo."""
    return formed({"t": NETWORK, "7": _time(now, "%m%d%H%M%S"), "11": f"{stan % NUMBERS + 1:06d}", "70": code}, form)


def _repeated(message: Fields, *, repeats: bool) -> Fields:
    return {**message, "t": f"{message['t'][:3]}1"} if repeats else message


def _common(order: Order, terminal: Terminal, numbers: Numbers) -> Fields:
    if order.pan is None:
        raise ValueError("a message needs the card's number")
    return {
        "2": order.pan.reveal(),
        "3": _PURCHASE_CODE,
        "4": _amount(order.amount, order),
        "7": _time(order.created, "%m%d%H%M%S"),
        "11": _stan(order.reference, numbers),
        "12": _time(order.created, "%H%M%S", terminal.zone),
        "13": _time(order.created, "%m%d", terminal.zone),
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


def _amount(minor_units: int, order: Order) -> str:
    return f"{amount_of(minor_units, order.currency):012d}"


def _approval(order: Order) -> Fields:
    return {"38": order.authorization_code.ljust(6)} if order.authorization_code else {}


def _original_hold(order: Order, terminal: Terminal, numbers: Numbers) -> str:
    message_type = terminal.forms.hold.type or AUTHORIZATION
    return _original_data(message_type, order.original_reference or "", order.original_created, terminal, numbers)


def _original_data(message_type: str, reference: str, created: int, terminal: Terminal, numbers: Numbers) -> str:
    """DE 90: type, STAN, transmission time, acquiring and forwarding institution of the original."""
    return f"{message_type}{_stan(reference, numbers)}{_time(created, '%m%d%H%M%S')}{terminal.institution:0>11}{'':0>11}"


def undoing(reference: str) -> str:
    """Return what the number of an order's reversal is given for."""
    return f"undo {reference}"


def _stan(reference: str, numbers: Numbers) -> str:
    return f"{numbers.get(reference) or made_of(reference):06d}"


def _reference_number(order: Order, terminal: Terminal, reference: str) -> str:
    """DE 37; where the host gives them, that of what the order follows, empty for what follows nothing."""
    if terminal.reference_numbers == "host":
        return order.acquirer_reference.ljust(12) if order.acquirer_reference else ""
    number, digits = int.from_bytes(hashlib.blake2b(reference.encode(), digest_size=10, person=b"rrn").digest()), ""
    for _ in range(12):
        number, digit = divmod(number, 36)
        digits += _ALPHABET[digit]
    return digits


def _time(unix_seconds: float, form: str, zone: datetime.tzinfo = datetime.UTC) -> str:
    return datetime.datetime.fromtimestamp(unix_seconds, zone).strftime(form)
