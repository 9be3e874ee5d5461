"""Who is calling."""

from enum import StrEnum

from msgspec import Struct


class KeyKind(StrEnum):
    """What an API key may do: everything, or only what a customer's browser needs, or what a customer's app shows and changes of them."""

    SECRET = "secret"  # noqa: S105 - the name of a kind, not a secret
    PUBLISHABLE = "publishable"
    EPHEMERAL = "ephemeral"


class Principal(Struct, frozen=True, kw_only=True):
    """The merchant and mode that an API key stands for."""

    merchant_id: int
    livemode: bool
    kind: KeyKind
    account_id: str
    """How the API calls the merchant: `acct_…`, the same in both modes."""
    key_id: str
    """Of the key: `key_…`."""
    writes_per_second: int | None = None
    """How fast the key may write; None: as fast as the deployment says."""
    ahead_seconds: int = 0
    """How far deadlines are ahead of the real time, in a sandbox with a test clock."""
    api_version: str
    """The version that the merchant's requests are in when they name none."""
    customer: str | None = None
    """Whose an ephemeral key is; None for any other."""
