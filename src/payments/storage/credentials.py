"""The database's password, which is rotated while the services run.

A session outlives a change of its password; a new one is refused with the old password. Then, and only then, the secret is read again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar
from urllib.parse import unquote, urlsplit

import asyncpg

from payments.runtime.clock import Clock
from payments.runtime.logging import Logger
from payments.runtime.secrets_manager import SecretLocation, SecretUnavailableError, Stage, read_secret
from payments.runtime.topology import DatabaseSecretField

PAUSE_SECONDS = 3.0
"""How long no login is tried, and the secret isn't read, after the password that it has was refused too."""

LOGIN_REFUSALS = (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError)

T = TypeVar("T")


class LoginRefusedError(asyncpg.InvalidPasswordError):
    """The database refuses the password in the secret."""

    def __init__(self) -> None:
        super().__init__("The database refuses the login, with the password that Secrets Manager has now too, or it can't be read.")


class Credentials:
    """The password of one database, shared by all connections of a process, so that it is read once for all of them."""

    def __init__(self, location: SecretLocation, database_url: str, clock: Clock, log: Logger) -> None:
        """Begin with the password in the URL; `location` has the ones that follow."""
        self._location = location
        self._clock = clock
        self._log = log
        self._password = unquote(urlsplit(database_url).password or "")
        self._reading: asyncio.Task[bool] | None = None
        self._read_at = self._refused_at = float("-inf")

    def __repr__(self) -> str:
        return f"Credentials({self._location.arn})"

    @property
    def password(self) -> str:
        """The one that a login was accepted with last, or is worth a try."""
        return self._password

    async def log_in(self, attempt: Callable[[str], Awaitable[T]]) -> T:
        """Run `attempt` with the password, and once more when the secret has another one; raises `LoginRefusedError`."""
        if self._within_pause(self._refused_at):
            raise LoginRefusedError
        refused = self._password
        try:
            return await attempt(refused)
        except LOGIN_REFUSALS as refusal:
            if not await self._another_than(refused):
                self._refused_at = self._clock.now()
                raise LoginRefusedError from refusal
        try:
            return await attempt(self._password)
        except LOGIN_REFUSALS as refusal:
            self._refused_at = self._clock.now()
            raise LoginRefusedError from refusal

    def _within_pause(self, since: float) -> bool:
        return 0 <= self._clock.now() - since < PAUSE_SECONDS

    async def _another_than(self, refused: str) -> bool:
        """Tell whether there is another password to try, after reading the secret if nobody did since `refused` was."""
        if self._password != refused:
            return True
        if self._reading is None:
            if self._within_pause(self._read_at):
                return False
            self._read_at = self._clock.now()
            self._reading = asyncio.create_task(self._read(refused), name="read the database's secret")
        # Whoever waits may be given up on, as health checks are; the others want the password all the same.
        return await asyncio.shield(self._reading)

    async def _read(self, refused: str) -> bool:
        """Rotation by AWS changes the database first, and makes its version the current one a few seconds later: until then it is pending.

        Ours makes it the current one first: until the database has it, the previous one is right.
        """
        try:
            for stage in (Stage.CURRENT, Stage.PENDING, Stage.PREVIOUS):
                secret = await read_secret(self._location, stage, self._clock)
                password = None if secret is None else secret.get(DatabaseSecretField.PASSWORD)
                if isinstance(password, str) and password != refused:
                    self._password = password
                    self._log.event("database password read again", stage=stage)
                    return True
        except SecretUnavailableError as failure:
            self._log.event("error", where="database password", kind=type(failure).__name__, message=str(failure))
        except Exception as failure:  # noqa: BLE001 - whatever it was, there is no other password to try
            self._log.error("database password", failure)
        finally:
            self._reading = None
        return False


def credentials_of(location: SecretLocation | None, database_url: str, clock: Clock, log: Logger) -> Credentials | None:
    """Return what keeps up with rotation; None without a secret, when the URL's password is the only one."""
    return None if location is None else Credentials(location, database_url, clock, log)
