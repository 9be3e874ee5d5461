"""What a host wants otherwise in our messages: another type, other fields or none. Hosts agree on the standard, and each has a book of its own about it."""

from typing import Annotated

from msgspec import Meta, Struct

from payments.acquirers.iso8583.codec import FIELDS, Codec, Fields, MalformedError

FIXED = frozenset({"1", "2", "4", "7", "11", "37", "49"})
"""Fields that nobody may set: they say which message it is, and about how much of whose money."""


_LINE = frozenset({"sign_on", "sign_off", "echo"})
_ABOUT_CARDS = "2:16 3:6 4:12 7:10 11:6 12:6 13:4 14:4 18:4 22:3 25:2 32:11 37:12 38:6 39:2 41:8 42:15 43:40 49:3 90:42 95:42"
_ABOUT_THE_LINE = "7:10 11:6 70:3"
"""The fields that our messages may have, and how long they are, to try a host's wishes on."""


class Form(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One message."""

    type: Annotated[str, Meta(pattern=r"^0[0-9]{2}0\Z")] | None = None
    fields: dict[str, str] = {}
    """By number, beside those that it has anyway; an empty one is left out."""


class Forms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All messages that are sent."""

    verification: Form = Form()
    hold: Form = Form()
    payment: Form = Form()
    capture: Form = Form()
    refund: Form = Form()
    release: Form = Form()
    """A hold, or what is left of it, is given up."""
    reversal: Form = Form()
    """What had no clear answer is undone: that message, and this on top."""
    sign_on: Form = Form()
    sign_off: Form = Form()
    echo: Form = Form()

    def mistake(self, codec: Codec) -> str | None:
        """Return what of it can't be sent, by `codec`."""
        for name in self.__struct_fields__:
            form: Form = getattr(self, name)
            for field in form.fields:
                if field not in FIELDS or field in FIXED:
                    return f"messages.{name}: field {field} can't be set"
            try:
                codec.encode(formed(_sample(_ABOUT_THE_LINE if name in _LINE else _ABOUT_CARDS), form))
            except MalformedError as mistake:
                return f"messages.{name}: {mistake}"
        return None


AS_IT_IS = Forms()
"""The standard's."""


def formed(message: Fields, form: Form) -> Fields:
    """Return a message as the host wants it."""
    fields = message | form.fields | ({} if form.type is None else {"t": form.type})
    return {name: value for name, value in fields.items() if value}


def _sample(lengths: str) -> Fields:
    return {"t": "0000"} | {name: "0" * int(length) for name, _, length in (each.partition(":") for each in lengths.split())}
