"""Whether what runs here can work: as little as `tap status` needs, which is to be quick."""

from pathlib import Path

import aiohttp

from payments.cli.front_door import client_context
from payments.runtime.topology import HEALTH_PATH


async def is_healthy(url: str, root_certificate: str | Path | None = None) -> bool:
    """Tell whether a service answers that it can work."""
    try:
        trusted = True if root_certificate is None else client_context(root_certificate)
        timeout, connector = aiohttp.ClientTimeout(total=3), aiohttp.TCPConnector(ssl=trusted)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session, session.get(url + HEALTH_PATH) as response:
            return response.status == 200
    except (aiohttp.ClientError, OSError):  # a timeout is one of the latter, and so is a certificate that isn't there yet
        return False
