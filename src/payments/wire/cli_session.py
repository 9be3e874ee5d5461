"""Sessions of Stripe's command line: what it is told, and comes back with to open a web socket.

A session is its own record. What it may do is sealed in its id, so that any copy of the service knows it again, and nothing is stored that could be stolen.
Source: stripe-cli, `pkg/stripeauth/messages.go` and `pkg/websocket/client.go`.
"""

import base64
import binascii

import msgspec
from msgspec import Struct

from payments.domain.principal import KeyKind, Principal
from payments.runtime import seal_contexts
from payments.runtime.seal import Sealer, SealError

WEBHOOKS, REQUEST_LOGS = "webhooks", "request_logs"
SESSION_SECONDS = 24 * 3600
"""Then it is asked to begin another: as long as what it missed can be had."""
ID_CHARACTERS_MAX = 8 * 1024
_SECRET_PARTS = 3


class Session(Struct, frozen=True, kw_only=True):
    """What a session may do."""

    id: str
    merchant_id: int
    livemode: bool
    account_id: str
    key_id: str
    api_version: str
    feature: str
    filters: str
    """As the command line wrote them: JSON, or nothing."""
    expires: int
    """Unix seconds."""

    @property
    def principal(self) -> Principal:
        """Whose it is."""
        return Principal(
            merchant_id=self.merchant_id,
            livemode=self.livemode,
            kind=KeyKind.SECRET,
            account_id=self.account_id,
            key_id=self.key_id,
            api_version=self.api_version,
        )


def sealed(session: Session, sealer: Sealer) -> str:
    """Return the id that a session is called by outside."""
    return base64.urlsafe_b64encode(sealer.seal(msgspec.json.encode(session), seal_contexts.cli_session_context())).decode("ascii")


def opened(given: str | None, sealer: Sealer, now: float) -> Session | None:
    """Return the session that an id stands for; None when it is none of ours, or its time is over."""
    if not given or len(given) > ID_CHARACTERS_MAX:
        return None
    try:
        plain = sealer.open(base64.urlsafe_b64decode(given.encode("ascii")), seal_contexts.cli_session_context())
        session = msgspec.json.decode(plain, type=Session)
    except (SealError, binascii.Error, UnicodeError, msgspec.MsgspecError):
        return None
    return session if now < session.expires else None


def signing_secret(key_id: str, sealer: Sealer) -> str:
    """Return what events are signed with for an API key's sessions: the same for all of them, whichever envelope key is in use."""
    parts = [sealer.fingerprint(key_id.encode(), f"stripe cli signing secret {part}".encode()) for part in range(_SECRET_PARTS)]
    return "whsec_" + base64.b64encode(b"".join(base64.b32decode(part) for part in parts)).decode("ascii")
