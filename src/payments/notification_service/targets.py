"""Where deliveries may go: a merchant's URL must not reach into our own network.

Addresses are checked when a connection is made, each one that a name resolves to, so that a name which changes its address gets nowhere.
Sources: RFC 6890 (special-purpose addresses), OWASP, "Server-Side Request Forgery Prevention".
"""

import ipaddress
import socket
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from payments.domain.errors import InvalidRequest

_URL_CHARACTERS_MAX = 2_048
_SHARED = ipaddress.ip_network("100.64.0.0/10")
"""Carrier-grade NAT (RFC 6598), which Python counts as neither private nor global."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class TargetRefusedError(OSError):
    """The address is not one that deliveries go to."""


def is_public(address: str) -> bool:
    """Tell whether an IP address is anybody's on the internet."""
    try:
        ip = ipaddress.ip_address(address.split("%", maxsplit=1)[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        elif ip.sixtofour is not None:
            ip = ip.sixtofour
        elif ip in _NAT64:
            ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    shared = isinstance(ip, ipaddress.IPv4Address) and ip in _SHARED
    return ip.is_global and not ip.is_multicast and not shared


class PublicResolver(AbstractResolver):
    """Resolves names to public addresses only; raises `TargetRefusedError` when there is any other among them."""

    def __init__(self, resolver: AbstractResolver | None = None) -> None:
        """Ask `resolver`, or the system's."""
        self._resolver = resolver or ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        """Resolve a name."""
        found = await self._resolver.resolve(host, port, family)
        if not all(is_public(result["host"]) for result in found):
            raise TargetRefusedError(f"{host} is not a public address")
        return found

    async def close(self) -> None:
        """Close the resolver asked."""
        await self._resolver.close()


def check_url(url: str, *, livemode: bool, allow_private: bool) -> None:
    """Raise `InvalidRequest` unless deliveries can go to `url`."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if not host or parts.scheme not in ("http", "https") or len(url) > _URL_CHARACTERS_MAX or parts.username is not None:
        raise InvalidRequest("Invalid URL: An explicit scheme (such as https) must be provided.", code="url_invalid", param="url")
    if livemode and parts.scheme != "https":
        raise InvalidRequest("Invalid URL: live mode webhook endpoints must be HTTPS.", code="url_invalid", param="url")
    if not allow_private and is_refused_literal(host):
        raise InvalidRequest("Invalid URL: URL must be publicly accessible.", code="url_invalid", param="url")


def is_refused_literal(host: str) -> bool:
    """Tell whether a host is written as an address that is not public, or names this machine."""
    if host.rstrip(".").lower() == "localhost" or host.rstrip(".").lower().endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False  # a name: it is checked when it is resolved
    return not is_public(host)
