"""Stripe's API versions, as far as Tap honours them: their names, and their order.

Sources: docs.stripe.com/changelog; the versions that the official SDKs are pinned to.
"""

import re

from payments.domain.errors import InvalidRequest

VERSIONS = (
    "2022-11-15",
    "2023-08-16",
    "2023-10-16",
    "2024-04-10",
    "2024-06-20",
    "2024-09-30.acacia",
    "2024-10-28.acacia",
    "2024-11-20.acacia",
    "2024-12-18.acacia",
    "2025-01-27.acacia",
    "2025-02-24.acacia",
    "2025-03-31.basil",
    "2025-04-30.basil",
    "2025-05-28.basil",
    "2025-06-30.basil",
    "2025-07-30.basil",
    "2025-08-27.basil",
    "2025-09-30.clover",
    "2025-10-29.clover",
    "2025-11-17.clover",
    "2025-12-15.clover",
    "2026-01-28.clover",
    "2026-02-25.clover",
    "2026-03-25.dahlia",
    "2026-04-22.dahlia",
    "2026-05-27.dahlia",
    "2026-06-24.dahlia",
    "2026-07-29.dahlia",
    "2026-08-26.dahlia",
    "2026-09-30.endive",
    "2026-10-28.endive",
)
"""Oldest first. A name begins with its date, so names compare as the versions do."""
OLDEST = VERSIONS[0]
"""`payment_intent.charges`, which the version before it had, is not served any more."""
NEWEST = VERSIONS[-1]
"""What objects are rendered in at first, and what a new merchant's default is."""

_KNOWN = frozenset(VERSIONS)
_PLAIN_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_SHOWN_CHARACTERS_MAX = 50


def check_version(name: str, *, param: str | None = None) -> str:
    """Return a version that is honoured; raises `InvalidRequest` for another one."""
    if name in _KNOWN:
        return name
    refusal = f"Invalid Stripe API version: {name[:_SHOWN_CHARACTERS_MAX]}"
    if _PLAIN_DATE.fullmatch(name) and name < OLDEST:
        refusal += f". Tap honours {OLDEST} and later: the newest is {NEWEST}."
    raise InvalidRequest(refusal, param=param)
