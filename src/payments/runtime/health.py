"""Whether a service does what it is there for."""

from collections.abc import Awaitable, Callable

from payments.runtime.background import Background
from payments.runtime.logging import Logger


class Health:
    """Answers two questions: may requests be sent here (`ready`), and should this process be replaced (`alive`)?

    They differ in what another process would mend. A database that is away makes no copy of a service ready, and a new one would be no better.
    """

    def __init__(self, *backgrounds: Background, is_database_well: Callable[[], Awaitable[bool]], log: Logger) -> None:
        """`is_database_well` answers within a few seconds, whatever happens."""
        self._backgrounds = backgrounds
        self._is_database_well = is_database_well
        self._log = log
        self._logged: list[str] = []

    async def unready(self) -> list[str]:
        """Return what isn't as it should be; nothing: the service is ready."""
        faults = [fault for background in self._backgrounds for fault in background.faults()]
        if not await self._is_database_well():
            faults.insert(0, "database")
        if faults != self._logged:
            self._log.event("health", faults=faults)
            self._logged = faults
        return faults

    def unalive(self) -> list[str]:
        """Return what hangs; nothing: the process is alive."""
        return [fault for background in self._backgrounds for fault in background.hanging()]
