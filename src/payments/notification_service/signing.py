"""Signatures of deliveries, in two schemes, so that a receiver can use either's library.

Sources: Stripe, "Verify webhook signatures manually"; Standard Webhooks specification, "Symmetric signatures".
"""

import base64
import hmac
import secrets
from collections.abc import Sequence

_PREFIX = "whsec_"
_SECRET_BYTES = 32


def new_secret() -> str:
    """Make a signing secret: `whsec_` and base64 of 32 bytes, which is a valid secret in both schemes."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode("ascii")


def signature_headers(event_id: str, body: bytes, timestamp: int, signing_secrets: Sequence[str]) -> dict[str, str]:
    """Sign a body with every secret; more than one while a secret is rotated. `timestamp`: unix seconds of this attempt."""
    by_stripe = [hmac.digest(secret.encode(), f"{timestamp}.".encode() + body, "sha256").hex() for secret in signing_secrets]
    standard = [
        base64.b64encode(hmac.digest(_key(secret), f"{event_id}.{timestamp}.".encode() + body, "sha256")).decode("ascii")
        for secret in signing_secrets
    ]
    return {
        "Stripe-Signature": ",".join([f"t={timestamp}", *(f"v1={signature}" for signature in by_stripe)]),
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in standard),
    }


def delivery_headers(object_version: int, attempt: int) -> dict[str, str]:
    """Return what else a delivery says of itself; `attempt` counts from 1."""
    return {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Tap/1.0",
        "Tap-Object-Sequence": str(object_version),
        "Tap-Delivery-Attempt": str(attempt),
    }


def _key(secret: str) -> bytes:
    """Standard Webhooks signs with the bytes that the secret encodes; Stripe with the text itself."""
    return base64.b64decode(secret.removeprefix(_PREFIX))
