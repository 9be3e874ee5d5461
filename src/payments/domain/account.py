"""A merchant as the API shows it."""

from msgspec import Struct

from payments.domain.payout_schedule import PayoutSchedule

WEBHOOK_ENDPOINTS_DEFAULT = 16
"""As at Stripe."""
WEBHOOK_ENDPOINTS_MAX = 256
"""That can be set: each event is a row for each."""


class Account(Struct, frozen=True, kw_only=True):
    """The merchant that API keys stand for: one account for both modes."""

    id: str
    """`acct_…`; it never changes."""
    name: str
    created: int
    """Unix seconds."""
    api_version: str
    """The version of requests and events that name none."""
    payouts: PayoutSchedule = PayoutSchedule()
    webhook_endpoints_max: int = WEBHOOK_ENDPOINTS_DEFAULT
    """In each mode."""
    receipts: str = "off"
    """In which modes they are mailed to buyers: `off`, `live` or `all`; known where settings are shown."""
    colour: str | None = None
    """Of our pages for their buyers, `#rrggbb`."""
    has_logo: bool = False
