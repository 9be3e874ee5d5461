"""What is made of an issuer's yes: one form for all acquirers."""

from typing import Final

from payments.domain.outcome import Approved

NO_CODE: Final = "000000"
"""The authorization code of a yes that came without one."""
CVC_CHECKS: Final = frozenset({"pass", "fail", "unavailable", "unchecked"})
"""Stripe's."""
_LENGTH_MAX = 255


def approved(
    *,
    authorization_code: str | None,
    network_transaction_id: str | None = None,
    cvc_check: str | None = None,
    acquirer_reference: str | None = None,
) -> Approved:
    """Build a yes of what a far end said.

    What of it can't be kept is left out, and never the yes: the money is held. One approval that can't be written would hold up all that is written with it.
    """
    return Approved(
        authorization_code=_kept(authorization_code) or NO_CODE,
        network_transaction_id=_kept(network_transaction_id),
        cvc_check=cvc_check if cvc_check in CVC_CHECKS else None,
        acquirer_reference=_kept(acquirer_reference),
    )


def _kept(text: str | None) -> str | None:
    """Return what can be printed of a text, None for nothing."""
    return "".join(each for each in text or "" if " " <= each <= "~").strip()[:_LENGTH_MAX] or None
