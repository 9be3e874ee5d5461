"""One-off tasks for the keys that values are sealed and hashed with: what there is under each, and sealing it anew."""

from dataclasses import asdict
from enum import StrEnum

from payments.runtime.logging import Logger
from payments.runtime.seal import EnvelopeKeys, GivenKeyProvider, Sealer
from payments.runtime.settings import MaintenanceSettings, SettingsError
from payments.runtime.topology import ENVELOPE_KEY_VARIABLE
from payments.storage.database import Connection
from payments.storage.keys import pepper_uses
from payments.storage.maintenance import maintenance_connection
from payments.storage.resealing import KeyUse, envelope_uses, reseal


class EnvelopeTask(StrEnum):
    """What the tasks are called on the command line of `python -m payments.storage`."""

    USES = "key-uses"
    RESEAL = "reseal"


class EnvelopeEvent(StrEnum):
    """What the tasks log; each ends with a line that isn't `USE`."""

    USE = "key use"
    USES = "key uses"
    RESEALED = "resealed"


API_KEYS = "API keys"


async def count_uses(connection: Connection) -> list[KeyUse]:
    """Count what there is under each envelope key, and under each pepper."""
    return [*await envelope_uses(connection), *(KeyUse(API_KEYS, *each) for each in (await pepper_uses(connection)).items())]


async def run_uses(settings: MaintenanceSettings, log: Logger) -> int:
    """Log what there is under each key, and how many lines that were; returns the exit status."""
    async with maintenance_connection(settings, log) as connection:
        uses = await count_uses(connection)
    for use in uses:
        log.event(EnvelopeEvent.USE, **asdict(use))
    log.event(EnvelopeEvent.USES, count=len(uses))
    return 0


async def run_reseal(settings: MaintenanceSettings, log: Logger) -> int:
    """Seal anew what isn't under the key in use, and log what is left; returns the exit status. Raises `SettingsError`."""
    if settings.envelope_key is None:
        raise SettingsError(f"{ENVELOPE_KEY_VARIABLE} is not set")
    async with maintenance_connection(settings, log) as connection:
        resealed = await reseal(connection, sealer_of(settings.envelope_key))
    log.event(EnvelopeEvent.RESEALED, **asdict(resealed))
    return 0


def sealer_of(keys: EnvelopeKeys) -> Sealer:
    """Return what seals under these keys."""
    return Sealer(GivenKeyProvider(keys))
