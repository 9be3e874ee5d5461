"""A merchant as the API shows it."""

from msgspec import Struct

from payments.domain.payout_schedule import PayoutSchedule


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
