"""An ephemeral key: what a merchant's app lets one customer see and change, for an hour."""

from payments.domain.resource import Resource

EPHEMERAL_KEY_SECONDS = 3600
"""How long a key is good."""


class EphemeralKey(Resource, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of a key beside its hash."""

    OBJECT = "ephemeral_key"

    customer: str
    """Whose key it is."""
    expires: int
    """Unix seconds."""
    api_version: str
    """That of the app, which its requests are in when they name none."""
