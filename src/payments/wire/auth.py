"""Who is calling: API keys by Bearer or Basic authentication.

A key's principal is remembered for a second, so a busy merchant costs one look-up per second and a revoked key is refused within one.
"""

import asyncio
import base64
import binascii
from dataclasses import dataclass, field

from payments.domain.errors import AuthenticationFailed, Overloaded
from payments.domain.principal import Principal
from payments.runtime.clock import Clock
from payments.runtime.keyring import KeyRing
from payments.storage.database import Pool
from payments.storage.keys import find_principal, is_ephemeral, key_hashes

REMEMBERED_SECONDS = 1.0
"""How long a revoked key may still be accepted."""
_KEYS_IN_USE_MAX = 10_000
"""Keys that were found: who has none can't fill this."""
_WRONG_KEYS_MAX = 1_000
_LOOKUPS_AT_ONCE_MAX = 4
"""Of keys that weren't found before: who tries keys out takes no more of the database than this."""
_UNKNOWN_LOOKUPS_MAX = 256
"""Different keys that wait for their turn."""
KEY_CHARACTERS_MAX = 255

_NO_KEY = (
    "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth "
    "(e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
)


@dataclass(slots=True)
class _Known:
    """A key that was found."""

    hashes: tuple[bytes, ...] = field(repr=False)
    ephemeral: bool
    until: float
    lookup: "asyncio.Future[Principal | None]"


class Authenticator:
    """Finds the principal of an `Authorization` header."""

    def __init__(self, pool: Pool, pepper: KeyRing, clock: Clock) -> None:
        """`pepper` has the keys of the keyed hashes under which API keys are stored."""
        self.clock = clock
        self._pool = pool
        self._pepper = pepper
        self._in_use: dict[str, _Known] = {}
        self._wrong: dict[tuple[bytes, ...], float] = {}
        self._lookups: dict[tuple[bytes, ...], asyncio.Future[Principal | None]] = {}
        self._lookup_turns = asyncio.Semaphore(_LOOKUPS_AT_ONCE_MAX)

    async def authenticate(self, authorization: str | None) -> Principal:
        """Return the caller; raises `AuthenticationFailed`, and `Overloaded` while too many unknown keys are being tried."""
        key = _key_of(authorization)
        known = self._in_use.get(key)
        principal = await (self._find_unknown(key) if known is None else self._find_known(key, known))
        if principal is None:
            raise AuthenticationFailed(f"Invalid API Key provided: {_masked(key)}")
        return principal

    async def _find_known(self, key: str, known: _Known) -> Principal | None:
        """Look a key up again that was found before; concurrent callers with one key share one look-up."""
        if self.clock.now() >= known.until:
            known.until = self.clock.now() + REMEMBERED_SECONDS
            known.lookup = asyncio.ensure_future(find_principal(self._pool, *known.hashes, ephemeral=known.ephemeral))
        try:
            principal = known.lookup.result() if known.lookup.done() else await asyncio.shield(known.lookup)
        except BaseException:
            known.until = 0
            raise
        if principal is None:
            self._in_use.pop(key, None)
        return principal

    async def _find_unknown(self, key: str) -> Principal | None:
        """Look up a key that wasn't found before; a wrong one isn't remembered but by its hash, for a second."""
        if len(key) > KEY_CHARACTERS_MAX:
            return None
        hashes = key_hashes(key, self._pepper)
        if self.clock.now() < self._wrong.get(hashes, 0):
            return None
        lookup = self._lookups.get(hashes)
        if lookup is None:
            if len(self._lookups) >= _UNKNOWN_LOOKUPS_MAX:
                raise Overloaded
            lookup = self._lookups[hashes] = asyncio.ensure_future(self._look_up(hashes, ephemeral=is_ephemeral(key)))
            lookup.add_done_callback(lambda _: self._lookups.pop(hashes))
        principal = await asyncio.shield(lookup)
        until = self.clock.now() + REMEMBERED_SECONDS
        if principal is None:
            if len(self._wrong) >= _WRONG_KEYS_MAX:
                self._wrong.clear()
            self._wrong[hashes] = until
            return None
        if len(self._in_use) >= _KEYS_IN_USE_MAX:
            self._in_use.clear()
        found: asyncio.Future[Principal | None] = asyncio.get_running_loop().create_future()
        found.set_result(principal)
        self._in_use[key] = _Known(hashes, is_ephemeral(key), until, found)
        return principal

    async def _look_up(self, hashes: tuple[bytes, ...], *, ephemeral: bool) -> Principal | None:
        async with self._lookup_turns:
            return await find_principal(self._pool, *hashes, ephemeral=ephemeral)


def _masked(key: str) -> str:
    return f"{key[:8]}{'*' * 12}{key[-4:]}" if 16 <= len(key) <= KEY_CHARACTERS_MAX else "*" * min(len(key), 16)


def _key_of(authorization: str | None) -> str:
    scheme, _, credentials = (authorization or "").partition(" ")
    match scheme.lower():
        case "bearer":
            key = credentials.strip()
        case "basic":
            try:
                key = base64.b64decode(credentials.strip(), validate=True).decode("ascii").partition(":")[0]
            except (binascii.Error, UnicodeDecodeError):
                raise AuthenticationFailed("Invalid Basic authentication header.") from None
        case _:
            key = ""
    if not key:
        raise AuthenticationFailed(_NO_KEY)
    return key
