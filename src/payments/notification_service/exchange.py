"""What is kept of an attempt: what was sent, what came back, and what took how long, within bounds and without secrets.

What receivers answer may hold anything. What looks like a card number, a key or a secret is masked before it is stored, and so are the header fields that carry
such; of our own signatures there is enough to tell which was sent, and not enough to send it again.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from payments.domain.card import Pan
from payments.domain.errors import CardError
from payments.notification_service.connections import SHOWN_BYTES_MAX, Answer, Timing

_FIELDS_MAX = 40
_NAME_CHARACTERS_MAX = 100
_VALUE_CHARACTERS_MAX = 300
_SIGNATURE_CHARACTERS = 8
_MASK = "…"
_SECRET_FIELDS = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "set-cookie2",
        "x-api-key",
        "api-key",
        "x-auth-token",
        "x-amz-security-token",
    }
)
_SIGNATURES = re.compile(r"(v1[=,][0-9A-Za-z+/]{8})[0-9A-Za-z+/=]*")
_SHORT = rf"\1{_MASK}"
_SECRETS = re.compile(r"\b((?:sk|rk|ek)_(?:live|test)_|whsec_|[a-z]{2,6}_[0-9A-Za-z]+_secret_|Bearer |Basic )[0-9A-Za-z+/=._~-]{6,}")
_DIGITS = re.compile(r"(?<![0-9])[0-9](?:[ -]?[0-9]){11,18}(?![0-9])")
_SECRET_CHARACTERS_MIN = 12
"""What is shorter is none of these."""
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_encode = msgspec.json.Encoder().encode


class SentRequest(Struct, frozen=True, kw_only=True):
    """The request. Its body is the event, rendered in a version: the digest tells whether what a receiver has is what was sent."""

    url: str
    """Without its query, which may be a secret."""
    headers: dict[str, str]
    api_version: str
    body_bytes: int
    body_sha256: str


class HeardResponse(Struct, frozen=True, kw_only=True):
    """The head of the answer, and the beginning of its body."""

    headers: dict[str, str]
    body: str
    truncated: bool
    """There was more of the body than this, read or not."""


class Exchange(Struct, frozen=True, kw_only=True):
    """One attempt, as it is stored and shown."""

    request: SentRequest | None
    """None when nothing was sent, which is our own failure, or not to a URL of the merchant's."""
    response: HeardResponse | None
    timing: Timing


def exchange_of(url: str, headers: Mapping[str, str] | None, body: bytes, api_version: str, answer: Answer) -> bytes:
    """Return what is kept of an attempt, encoded; without `headers` there was no request to show."""
    request = response = None
    if headers is not None:
        request = SentRequest(
            url=_shown_url(url),
            headers={name: _SIGNATURES.sub(_SHORT, value) if "v1" in value else value for name, value in headers.items()},
            api_version=api_version,
            body_bytes=len(body),
            body_sha256=hashlib.sha256(body).hexdigest(),
        )
    if answer.status_code is not None:
        text = masked(bytes(answer.body).decode("utf-8", "replace"))
        cut = text.encode()[:SHOWN_BYTES_MAX].decode("utf-8", "ignore")
        response = HeardResponse(headers=_shown_fields(answer.headers), body=cut, truncated=answer.body_is_cut or len(cut) < len(text))
    return _encode(Exchange(request=request, response=response, timing=answer.timing))


def masked(text: str) -> str:
    """Return a text without what looks like a secret, and without characters that a database or a terminal stumbles over."""
    if len(text) < _SECRET_CHARACTERS_MIN and text.isprintable():
        return text
    return _DIGITS.sub(_without_number, _SECRETS.sub(_SHORT, _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)))


def _without_number(found: re.Match[str]) -> str:
    """A number that isn't a card's stays: most aren't."""
    try:
        Pan(found[0])
    except CardError:
        return found[0]
    return _MASK + found[0][-4:]


def _shown_fields(fields: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    shown: dict[str, str] = {}
    for name, value in fields:
        named = _shown_name(name)
        if named not in shown and len(shown) == _FIELDS_MAX:
            break
        text = _MASK if named in _SECRET_FIELDS else masked(value.decode("latin-1"))[:_VALUE_CHARACTERS_MAX]
        shown[named] = f"{shown[named]}, {text}"[:_VALUE_CHARACTERS_MAX] if named in shown else text
    return shown


@lru_cache(256)
def _shown_name(name: bytes) -> str:
    return masked(name.decode("latin-1"))[:_NAME_CHARACTERS_MAX].lower()


@lru_cache(1_024)
def _shown_url(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" + (f"?{_MASK}" if parts.query else "")
