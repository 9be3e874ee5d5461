"""A client that never gives up, and never makes up a new key for the same operation."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp

RETRIED = frozenset({409, 429, 500, 502, 503, 504})
"""What the official SDKs try again under the same idempotency key."""
TRIES_MAX = 200
_ANSWER_SECONDS_MAX = 40.0
_PAUSE_SECONDS_MAX = 0.5


@dataclass
class Persistent:
    """Sends a request again, as it was, until it is answered."""

    session: aiohttp.ClientSession
    retried: frozenset[int] = RETRIED
    retries: int = 0
    gave_up: list[str] = field(default_factory=list[str])
    """What wasn't answered, however often it was sent."""

    async def send(
        self, method: str, url: str, *, name: str, headers: Mapping[str, str], data: bytes | Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Returns status and body; status 0 when there was no answer. `name`: the operation's."""
        for attempt in range(TRIES_MAX):
            try:
                async with self.session.request(
                    method, url, data=data, headers=headers, timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS_MAX)
                ) as response:
                    if response.status not in self.retried:
                        return response.status, await response.read()
            except (aiohttp.ClientError, TimeoutError):
                pass
            self.retries += 1
            await asyncio.sleep(min(0.05 * (attempt + 1), _PAUSE_SECONDS_MAX))
        self.gave_up.append(name)
        return 0, b""
