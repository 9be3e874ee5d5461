"""When a merchant is paid out without asking. Source: Stripe, "Payout schedule"."""

import calendar
import datetime
from typing import Literal

from msgspec import Struct

Interval = Literal["manual", "daily", "weekly", "monthly"]
INTERVALS: tuple[Interval, ...] = ("manual", "daily", "weekly", "monthly")
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTH_DAYS_MAX = 31
DELAY_DAYS_MAX = 30


class PayoutSchedule(Struct, frozen=True, kw_only=True):
    """On which days, in UTC, everything that is available is paid out."""

    interval: Interval = "manual"
    weekly_anchor: str | None = None
    """`monday`, …; when it is weekly."""
    monthly_anchor: int | None = None
    """Day of the month; the last one in months that haven't as many. When it is monthly."""
    delay_days: int = 2
    """After how many days captured funds become available."""

    def has_payday(self, looked_on: datetime.date | None, day: datetime.date) -> bool:
        """Tell whether a day is a payday, or one since `looked_on`."""
        missed = 0 if looked_on is None else min((day - looked_on).days - 1, _MONTH_DAYS_MAX)
        return any(self.is_payday(day - datetime.timedelta(days=ago)) for ago in range(max(missed, 0) + 1))

    def is_payday(self, day: datetime.date) -> bool:
        """Tell whether a day is one on which the merchant is paid out."""
        match self.interval:
            case "manual":
                return False
            case "daily":
                return True
            case "weekly":
                return WEEKDAYS[day.weekday()] == self.weekly_anchor
            case "monthly":
                return day.day == min(self.monthly_anchor or 1, calendar.monthrange(day.year, day.month)[1])


def check_schedule(schedule: PayoutSchedule, interval: str | None, anchor: str | None, delay_days: int | None) -> PayoutSchedule:
    """Return a schedule with what is given; raises `ValueError` with what to give instead."""
    known: Interval | None = next((each for each in INTERVALS if each == interval), None)
    if interval is not None and known is None:
        raise ValueError(f"Payouts are made {', '.join(INTERVALS[:-1])} or {INTERVALS[-1]}, not {interval}.")
    if delay_days is not None and not 0 <= delay_days <= DELAY_DAYS_MAX:
        raise ValueError(f"Funds become available after 0 to {DELAY_DAYS_MAX} days.")
    now: Interval = known or schedule.interval
    weekly, monthly = (schedule.weekly_anchor, schedule.monthly_anchor) if known is None else (None, None)
    if anchor is not None:
        weekly, monthly = _anchored(now, anchor)
    if now == "weekly" and weekly is None:
        weekly = WEEKDAYS[0]
    if now == "monthly" and monthly is None:
        monthly = 1
    days = schedule.delay_days if delay_days is None else delay_days
    return PayoutSchedule(interval=now, weekly_anchor=weekly, monthly_anchor=monthly, delay_days=days)


def _anchored(interval: Interval, anchor: str) -> tuple[str | None, int | None]:
    if interval == "weekly" and anchor.lower() in WEEKDAYS:
        return anchor.lower(), None
    if interval == "monthly" and anchor.isdecimal() and 1 <= int(anchor) <= _MONTH_DAYS_MAX:
        return None, int(anchor)
    raise ValueError(
        f"Weekly payouts are made on {', '.join(WEEKDAYS)}; monthly ones on a day from 1 to {_MONTH_DAYS_MAX}; others on none."
    )
