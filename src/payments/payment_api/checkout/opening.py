"""Where the pages of sessions and links are, and sessions that buyers open themselves."""

import secrets
from dataclasses import dataclass
from typing import Any

from payments.runtime.topology import CHECKOUT_PATH, PAYMENT_LINK_PATH


@dataclass(frozen=True, slots=True)
class Addresses:
    """Makes addresses of pages."""

    public_url: str
    """Where our hosted pages are."""

    def of_session(self, identity: dict[str, Any]) -> dict[str, Any]:
        """Return a new session's secret, and the address of its page."""
        secret = secrets.token_urlsafe(24)
        path = CHECKOUT_PATH.format(mode=_mode(identity), merchant=identity["merchant_id"], session=identity["id"], secret=secret)
        return {"secret": secret, "url": self.public_url + path}

    def of_link(self, identity: dict[str, Any]) -> str:
        """Return the address of a new link's page."""
        return self.public_url + PAYMENT_LINK_PATH.format(mode=_mode(identity), merchant=identity["merchant_id"], link=identity["id"])


def _mode(identity: dict[str, Any]) -> str:
    return "live" if identity["livemode"] else "test"
