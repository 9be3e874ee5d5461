"""Ports of the loopback interface."""

import errno
import random
import socket

from payments.cli.data_directory import DataDirectory, UsageError
from payments.cli.typed import typed

LOOPBACK = "127.0.0.1"
_PORT_MAX = 65_535
_SERVICE_PORTS = range(20_000, 32_000)
"""Below what the kernel hands out for outgoing connections, so that nothing takes a port between choosing and binding it."""
_SUGGESTED = 8080


def check_port(port: int, directory: DataDirectory) -> None:
    """Raise `UsageError`, with a port that could be had, when this one can't."""
    failure = _refusal(port)
    if failure is None:
        return
    following = [*range(max(port, _SUGGESTED - 1) + 1, _PORT_MAX + 1), *range(_SUGGESTED, port)]
    other = next(each for each in following if _refusal(each) is None)
    raise UsageError(f"{_reason(port, failure)}. Choose another: {typed('up', '--port', other, '--data-dir', directory.path)}")


def free_ports(count: int) -> list[int]:
    """Return ports for services, each free at this moment."""
    chosen: list[int] = []
    for port in random.sample(_SERVICE_PORTS, len(_SERVICE_PORTS)):
        if _refusal(port, reuse=False) is None:
            chosen.append(port)
        if len(chosen) == count:
            return chosen
    raise UsageError(f"No free port between {_SERVICE_PORTS[0]} and {_SERVICE_PORTS[-1]}.")


def _refusal(port: int, *, reuse: bool = True) -> OSError | None:
    """Return why a port can't be listened on; `reuse` takes one whose last connections are only fading away."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as failure:
            return failure
    return None


def _reason(port: int, failure: OSError) -> str:
    match failure.errno:
        case errno.EADDRINUSE:
            return f"Port {port} is busy"
        case errno.EACCES | errno.EPERM:
            return f"Port {port} is not allowed: the system keeps low ports for its administrator"
        case _:
            return f"Port {port} can't be listened on ({failure.strerror})"
