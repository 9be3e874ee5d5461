"""What a host wants otherwise in our messages: another type, other fields or none. Hosts agree on the standard, and each has a book of its own about it."""

from typing import Annotated

from msgspec import Meta, Struct

from payments.acquirers.iso8583.codec import FIELDS, Codec, Fields, MalformedError

FIXED = frozenset({"1", "2", "4", "7", "11", "37", "49"})
"""Fields that nobody may set: they say which message it is, and about how much of whose money."""


class Form(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One message."""

    type: Annotated[str, Meta(pattern="^0[0-9]{2}0$")] | None = None
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
            for field, value in form.fields.items():
                if field not in FIELDS or field in FIXED:
                    return f"messages.{name}: field {field} can't be set"
                try:
                    codec.encode({"t": "0100"} | ({field: value} if value else {}))
                except MalformedError as mistake:
                    return f"messages.{name}: {mistake}"
        return None


AS_IT_IS = Forms()
"""The standard's."""


def formed(message: Fields, form: Form) -> Fields:
    """Return a message as the host wants it."""
    fields = message | form.fields | ({} if form.type is None else {"t": form.type})
    return {name: value for name, value in fields.items() if value}
