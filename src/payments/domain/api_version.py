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
"""What objects, and so events and accounts, have at the oldest."""
CALLS_ONLY = ("2020-08-27", "2022-08-01")
"""Versions before that, which a call may name. They show lists unasked that an event, which is what an object was, doesn't have."""
LISTS_UNASKED_BEFORE = OLDEST
"""Before this version a payment intent shows its charges, and a charge its refunds.

Sources: docs.stripe.com/changelog/2022-11-15/removes-charges-attribute-paymentintent and …/deprecates-charges-auto-expand.
"""
NEWEST = VERSIONS[-1]
"""What objects are rendered in at first, and what a new merchant's default is."""

_KNOWN = frozenset(VERSIONS)
_CALLED = _KNOWN.union(CALLS_ONLY)
_PLAIN_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_SHOWN_CHARACTERS_MAX = 50


def check_version(name: str, *, param: str | None = None, of_call: bool = False) -> str:
    """Return a version that is honoured; raises `InvalidRequest` for another one. `of_call`: no more than a call's answer is to be in it."""
    if name in (_CALLED if of_call else _KNOWN):
        return name
    oldest = CALLS_ONLY[0] if of_call else OLDEST
    refusal = f"Invalid Stripe API version: {name[:_SHOWN_CHARACTERS_MAX]}"
    if name in CALLS_ONLY:
        refusal += f". Tap honours it in calls, and {OLDEST} and later here."
    elif _PLAIN_DATE.fullmatch(name) and name < oldest:
        refusal += f". Tap honours {oldest} and later: the newest is {NEWEST}."
    raise InvalidRequest(refusal, param=param)
