"""The way out of a merchant's mail: a link that has the address in it, sealed, so that it unsubscribes that one and nobody else (RFC 8058)."""

import base64
import binascii
import hashlib

from payments.runtime.seal import Sealer, SealError

UNSUBSCRIBE_PATH = "/pay/unsubscribe/{mode}/{merchant}/{token}"
_TOKEN_CHARACTERS_MAX = 1000


def unsubscribe_url(public_url: str, sealer: Sealer, merchant_id: int, livemode: bool, address: str) -> str:
    """Return the link for one address. `public_url`: where our hosted pages are."""
    sealed = sealer.seal(address.encode(), _context(merchant_id, livemode))
    token = base64.urlsafe_b64encode(sealed).decode("ascii").rstrip("=")
    mode = "live" if livemode else "test"
    return public_url + UNSUBSCRIBE_PATH.format(mode=mode, merchant=merchant_id, token=token)


def address_of(sealer: Sealer, merchant_id: int, livemode: bool, token: str) -> str | None:
    """Return the address that a link is for; None for a link that isn't ours."""
    if len(token) > _TOKEN_CHARACTERS_MAX or not token.isascii():
        return None
    try:
        return sealer.open(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)), _context(merchant_id, livemode)).decode()
    except (SealError, binascii.Error, ValueError):
        return None


def digest_of(address: str) -> bytes:
    """Return what is kept of an address that wants no mail: hosts don't care for the case of letters, and hardly any mailbox does."""
    return hashlib.sha256(address.strip().lower().encode()).digest()


def _context(merchant_id: int, livemode: bool) -> bytes:
    return f"unsubscribe {merchant_id} {livemode}".encode()
