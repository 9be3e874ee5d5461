"""Whether what runs here can work: as little as `tap status` needs, which is to be quick."""

import asyncio
import http.client
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from payments.cli.front_door import client_context
from payments.runtime.topology import HEALTH_PATH

_SECONDS_MAX = 3.0


async def is_healthy(url: str, root_certificate: str | Path | None = None) -> bool:
    """Tell whether a service answers that it can work."""
    return await asyncio.to_thread(_is_healthy, url, root_certificate)


def _is_healthy(url: str, root_certificate: str | Path | None) -> bool:
    # By the standard library's client: any other takes longer to load than this takes.
    address = urlsplit(url)
    try:
        connect = http.client.HTTPConnection
        if root_certificate is not None:
            connect = partial(http.client.HTTPSConnection, context=client_context(root_certificate))
        connection = connect(address.hostname or "", address.port, timeout=_SECONDS_MAX)
        try:
            connection.request("GET", HEALTH_PATH)
            return connection.getresponse().status == http.HTTPStatus.OK
        finally:
            connection.close()
    except (http.client.HTTPException, OSError, ValueError):  # a timeout is one of them, and so is a certificate that isn't there yet
        return False
