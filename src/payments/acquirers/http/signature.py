"""Signatures of both directions: HMAC-SHA256 with a secret that both sides have.

A request's is over its time, method, path and body. An answer's is over the signature of its request, the status and the body: so an answer that was
given to another request, by whoever stands in between, is none to this one.
"""

import hmac
import re
from collections.abc import Mapping

KEY_HEADER = "Tap-Key"
TIME_HEADER = "Tap-Timestamp"
SIGNATURE_HEADER = "Tap-Signature"
WINDOW_SECONDS = 300
"""A request that is older, or from later, is refused: it may be a replay. What comes twice within it has a reference that is known already."""
_TIME = re.compile("[0-9]{1,12}")


def sign_request(secret: bytes, time: int, method: str, path: str, body: bytes) -> str:
    """Return the signature of a request sent at `time`, unix seconds; `path` as it is in the request line."""
    return _sign(secret, b"\n".join([str(time).encode(), method.encode(), path.encode(), body]))


def request_headers(key_id: str, secret: bytes, time: int, method: str, path: str, body: bytes) -> dict[str, str]:
    """Return the headers that a request is signed by."""
    return {KEY_HEADER: key_id, TIME_HEADER: str(time), SIGNATURE_HEADER: sign_request(secret, time, method, path, body)}


def request_fault(secrets: Mapping[str, bytes], headers: Mapping[str, str], method: str, path: str, body: bytes, now: float) -> str | None:
    """Return what is wrong with a request's signature, None when nothing is; `secrets` by key id."""
    secret = secrets.get(headers.get(KEY_HEADER, ""))
    if secret is None:
        return "unknown_key"
    time = headers.get(TIME_HEADER, "")
    if not _TIME.fullmatch(time):
        return "bad_timestamp"
    if not _equal(sign_request(secret, int(time), method, path, body), headers.get(SIGNATURE_HEADER, "")):
        return "bad_signature"
    return "outside_of_window" if abs(now - int(time)) > WINDOW_SECONDS else None


def sign_answer(secret: bytes, request_signature: str, status: int, body: bytes) -> str:
    """Return the signature of an answer."""
    return _sign(secret, b"\n".join([request_signature.encode(), str(status).encode(), body]))


def is_signed_answer(secret: bytes, request_signature: str, status: int, body: bytes, signature: str) -> bool:
    """Tell whether an answer is the acquirer's, to this request."""
    return _equal(sign_answer(secret, request_signature, status, body), signature)


def _sign(secret: bytes, message: bytes) -> str:
    return "v1=" + hmac.digest(secret, message, "sha256").hex()


def _equal(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace"))
