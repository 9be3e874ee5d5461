"""API versions: a client may name one; what it changes is decided by comparing dates."""

import re

from payments.domain.errors import InvalidRequest

CURRENT = "2026-10-28.endive"
"""The version that responses and events follow."""
PAYMENT_METHOD_TYPES_REFUSED_FROM = "2026-09-30"
"""From this version on `payment_method_types` is no parameter any more."""

_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(\.[a-z_]{1,40})?")


def requested_version(header: str | None) -> str:
    """Return the version that a request asks for; raises `InvalidRequest` for something that is none."""
    if header is None or header == CURRENT:
        return CURRENT
    if not _VERSION.fullmatch(header):
        raise InvalidRequest(f"Invalid Stripe API version: {header[:50]}")
    return header
