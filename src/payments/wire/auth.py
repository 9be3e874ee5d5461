"""Who is calling: API keys by Bearer or Basic authentication.

A key's principal is remembered for a second, so a busy merchant costs one look-up per second and a revoked key is refused within one.
"""

import asyncio
import base64
import binascii

from payments.domain.errors import AuthenticationFailed
from payments.domain.principal import Principal
from payments.runtime.clock import Clock
from payments.storage.database import Pool
from payments.storage.keys import find_principal, key_hash

REMEMBERED_SECONDS = 1.0
"""How long a revoked key may still be accepted."""
_REMEMBERED_KEYS_MAX = 10_000

_NO_KEY = (
    "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth "
    "(e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
)


class Authenticator:
    """Finds the principal of an `Authorization` header."""

    def __init__(self, pool: Pool, pepper: bytes, clock: Clock) -> None:
        """`pepper` is the key of the keyed hash under which API keys are stored."""
        self._pool = pool
        self._pepper = pepper
        self._clock = clock
        self._hashes: dict[str, bytes] = {}
        self._remembered: dict[bytes, tuple[float, asyncio.Future[Principal | None]]] = {}

    async def authenticate(self, authorization: str | None) -> Principal:
        """Return the caller; raises `AuthenticationFailed`."""
        key = _key_of(authorization)
        principal = await self._find(self._hash(key))
        if principal is None:
            shown = f"{key[:8]}{'*' * 12}{key[-4:]}" if len(key) >= 16 else "*" * len(key)
            raise AuthenticationFailed(f"Invalid API Key provided: {shown}")
        return principal

    def _hash(self, key: str) -> bytes:
        """Hash a key; the hashes of keys in use are remembered, for an HMAC a request adds up."""
        hashed = self._hashes.get(key)
        if hashed is None:
            if len(self._hashes) >= _REMEMBERED_KEYS_MAX:
                self._hashes.clear()
            hashed = self._hashes[key] = key_hash(key, self._pepper)
        return hashed

    async def _find(self, hashed: bytes) -> Principal | None:
        """Look the key up; concurrent callers with one key share one look-up."""
        now = self._clock.now()
        known = self._remembered.get(hashed)
        if known is not None and now < known[0]:
            return known[1].result() if known[1].done() else await asyncio.shield(known[1])
        if len(self._remembered) >= _REMEMBERED_KEYS_MAX:
            self._remembered.clear()
        lookup = asyncio.ensure_future(find_principal(self._pool, hashed))
        self._remembered[hashed] = (now + REMEMBERED_SECONDS, lookup)
        try:
            return await asyncio.shield(lookup)
        except BaseException:
            self._remembered.pop(hashed, None)
            raise


def _key_of(authorization: str | None) -> str:
    scheme, _, credentials = (authorization or "").partition(" ")
    match scheme.lower():
        case "bearer":
            key = credentials.strip()
        case "basic":
            try:
                key = base64.b64decode(credentials, validate=True).decode("ascii").partition(":")[0]
            except (binascii.Error, UnicodeDecodeError):
                raise AuthenticationFailed("Invalid Basic authentication header.") from None
        case _:
            key = ""
    if not key:
        raise AuthenticationFailed(_NO_KEY)
    return key
