"""`python -m payments.runtime.alive`: a container's own health check, which ends with 1 when another process should take this one's place.

It asks the service beside it in the way that it serves, as the same environment says: with TLS or without.
"""

import http.client
import os
import sys
from collections.abc import Mapping

from payments.runtime.loopback import unverified
from payments.runtime.topology import CONTAINER_PORT, LIVE_PATH, SERVE_TLS_VARIABLE

_SECONDS_MAX = 4.0
"""Within the five seconds that a container's health check has."""


def is_alive(environment: Mapping[str, str]) -> bool:
    """Ask the service on this machine."""
    port = int(environment.get("TAP_PORT", CONTAINER_PORT))
    if environment.get(SERVE_TLS_VARIABLE) == "true":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection("127.0.0.1", port, timeout=_SECONDS_MAX, context=unverified())
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS_MAX)
    try:
        connection.request("GET", LIVE_PATH)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(not is_alive(os.environ))
