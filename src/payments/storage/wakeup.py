"""LISTEN and NOTIFY between services. They only wake: what there is to do is in tables, and is found by polling if a notice is lost."""

import asyncio

from payments.storage.database import CONNECTION_FAILURES, Pool

CHANNEL = "tap_outbox"
_INTERVAL_SECONDS = 0.05


class Waker:
    """Tells notification-service that the outbox has events.

    Never inside a payment's commit: NOTIFY takes a lock on the whole server until the transaction is durable. And not for every event: notices within
    50 ms are one.
    """

    def __init__(self, pool: Pool) -> None:
        """Notify through `pool`."""
        self._pool = pool
        self._task: asyncio.Task[None] | None = None
        self._again = False

    def wake(self) -> None:
        """Have a notice sent soon."""
        self._again = True
        if self._task is None:
            self._task = asyncio.create_task(self._notify(), name="wake notification-service")

    async def _notify(self) -> None:
        try:
            while self._again:
                self._again = False
                try:
                    await self._pool.execute(f"NOTIFY {CHANNEL}")
                except CONNECTION_FAILURES:
                    return  # the poll finds what there is
                await asyncio.sleep(_INTERVAL_SECONDS)
        finally:
            self._task = None
