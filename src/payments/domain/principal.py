"""Who is calling."""

from enum import StrEnum

from msgspec import Struct


class KeyKind(StrEnum):
    """What an API key may do: everything, or only what a customer's browser needs."""

    SECRET = "secret"  # noqa: S105 - the name of a kind, not a secret
    PUBLISHABLE = "publishable"


class Principal(Struct, frozen=True, kw_only=True):
    """The merchant and mode that an API key stands for."""

    merchant_id: int
    livemode: bool
    kind: KeyKind
