"""The rings of keys of a local run, in its data directory."""

import asyncio

import psutil

from payments.cli.data_directory import DataDirectory, UsageError
from payments.cli.key_rings import Purpose
from payments.cli.private_files import write_private
from payments.runtime.seal import FileKeyProvider, Sealer, SealError
from payments.storage.database import connect
from payments.storage.envelope_tasks import count_uses
from payments.storage.resealing import KeyUse, Resealed, reseal


class LocalPlace:
    """What `tap up` runs here."""

    def __init__(self, directory: DataDirectory) -> None:
        """Tap may be running or not, as long as the database isn't asked."""
        self._directory = directory
        self.restart = f"Start Tap again: {self.command('down')}; {self.command('up')}."

    def read(self, purpose: Purpose) -> str:
        """Return a ring as text; raises `UsageError` where there is none."""
        if purpose is Purpose.PEPPER:
            return self._directory.secrets().api_key_pepper
        try:
            return self._directory.envelope_key.read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            raise UsageError(f"Can't read the envelope key in {self._directory.envelope_key}.") from None

    def write(self, purpose: Purpose, text: str) -> None:
        """Keep a ring."""
        if purpose is Purpose.PEPPER:
            kept = self._directory.secrets()
            kept.api_key_pepper = text
            self._directory.save_secrets(kept)
        else:
            write_private(self._directory.envelope_key, text.encode())

    def outdated(self, purpose: Purpose) -> list[str]:
        """Name the services that were started before the ring's file was written last."""
        if not self._directory.is_locked():
            return []
        file = self._directory.secrets_file if purpose is Purpose.PEPPER else self._directory.envelope_key
        written = file.stat().st_mtime
        return [
            name
            for name, service in self._directory.run().services.items()
            if any(_started_before(copy.pid, written) for copy in service.copies)
        ]

    def uses(self) -> list[KeyUse]:
        """Count what there is under each key."""
        return asyncio.run(self._uses())

    async def _uses(self) -> list[KeyUse]:
        async with connect(self._directory.run().database_url) as connection:
            return await count_uses(connection)

    def reseal(self) -> Resealed:
        """Seal anew what isn't under the envelope key in use."""
        return asyncio.run(self._reseal())

    async def _reseal(self) -> Resealed:
        try:
            sealer = Sealer(FileKeyProvider(self._directory.envelope_key))
        except SealError as failure:
            raise UsageError(str(failure)) from None
        async with connect(self._directory.run().database_url) as connection:
            return await reseal(connection, sealer)

    def command(self, *arguments: object) -> str:
        """Return a `tap` command about the directory."""
        return self._directory.command(*arguments)


def _started_before(pid: int | None, moment: float) -> bool:
    """Tell whether a process is older than a moment in Unix seconds; one that is gone is no concern, since the next one reads the ring anew."""
    try:
        return pid is not None and psutil.Process(pid).create_time() < moment
    except psutil.NoSuchProcess:
        return False
