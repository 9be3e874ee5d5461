"""Where deliveries may go: a merchant's URL must not reach into our own network.

What is checked is the address that a socket is about to be opened to, whatever the URL calls it. What a URL says is looked at when an endpoint is made,
too, but only so that its merchant hears of a mistake at once.
Sources: IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890, as updated); OWASP, "Server-Side Request Forgery Prevention".
"""

import ipaddress
import re
import socket
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, urlsplit

import idna

from payments.domain.errors import InvalidRequest

_URL_CHARACTERS_MAX = 2_048
_REMEMBERED_MAX = 1_024
_HOST_CHARACTERS_MAX = 253
_LABEL = re.compile(r"[a-z0-9_-]{1,63}")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_SAFE = "/?:@!$&'()*+,;=~%-._"
"""What stays as it is in a path or a query (RFC 3986): anything else is sent percent-encoded."""
_PORTS = {"http": 80, "https": 443}
_PRIVATE_NAMES = frozenset(
    {"localhost", "localdomain", "local", "internal", "home.arpa", "localhost.localdomain", "localhost6", "ip6-localhost"}
)
"""Names that lead to nobody else: RFC 6761, RFC 6762, RFC 8375, ICANN's `.internal`, and what /etc/hosts commonly has."""

_REFUSED_V4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # "this network" (RFC 791)
        "10.0.0.0/8",  # private use (RFC 1918)
        "100.64.0.0/10",  # shared address space (RFC 6598)
        "127.0.0.0/8",  # loopback (RFC 1122)
        "168.63.129.16/32",  # Azure's own services, metadata among them, in every network there
        "169.254.0.0/16",  # link-local (RFC 3927), the metadata of AWS, Google and Azure
        "172.16.0.0/12",  # private use
        "192.0.0.0/24",  # protocol assignments (RFC 6890), the metadata of Oracle
        "192.0.2.0/24",  # documentation (RFC 5737)
        "192.88.99.0/24",  # 6to4 relays, deprecated (RFC 7526)
        "192.168.0.0/16",  # private use
        "198.18.0.0/15",  # benchmarking (RFC 2544)
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast (RFC 5771)
        "240.0.0.0/4",  # reserved (RFC 1112), and limited broadcast
    )
)
_GLOBAL_UNICAST_V6 = ipaddress.IPv6Network("2000::/3")
"""All that IANA hands out. Outside of it: loopback, mapped, translated and IPv4-compatible, unique-local, link-local, site-local, multicast, reserved."""
_REFUSED_V6 = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments (RFC 2928): Teredo, benchmarking, ORCHID
        "2001:db8::/32",  # documentation (RFC 3849)
        "2002::/16",  # 6to4 (RFC 3056): an IPv4 address behind a tunnel
        "3fff::/20",  # documentation (RFC 9637)
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""Where a network without IPv4 reaches all of IPv4 (RFC 6052); the local-use 64:ff9b:1::/48 (RFC 8215) may lead anywhere, and is refused."""


class TargetRefusedError(OSError):
    """The address is not one that deliveries go to."""


class InvalidTargetError(ValueError):
    """The URL is none that a delivery can be sent to."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL, taken apart once: what is looked up, connected to and sent can't differ in how they read it."""

    tls: bool
    host: str
    """A name in ASCII, without a trailing dot; or an address as it is usually written."""
    port: int
    path: str
    """With the query."""

    @property
    def server(self) -> tuple[bool, str, int]:
        """What a connection is to."""
        return self.tls, self.host, self.port

    @property
    def authority(self) -> str:
        """The Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS["https" if self.tls else "http"] else f"{host}:{self.port}"


def is_public(address: str) -> bool:
    """Tell whether an IP address is anybody's on the internet."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.scope_id is not None:
            return False
        if ip not in _NAT64:
            return ip in _GLOBAL_UNICAST_V6 and not any(ip in network for network in _REFUSED_V6)
        ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return not any(ip in network for network in _REFUSED_V4)


@lru_cache(_REMEMBERED_MAX)
def parse_target(url: str) -> Target:
    """Take a URL apart; raises `InvalidTargetError`. That looks nothing up, so what it came to is remembered."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or "@" in parts.netloc or "\\" in url or len(url) > _URL_CHARACTERS_MAX:
            raise InvalidTargetError
        if any(character <= " " or character == "\x7f" for character in url):
            raise InvalidTargetError
        host = parts.hostname or ""
        if ("[" in parts.netloc) != (":" in host):  # brackets are for IPv6 alone
            raise InvalidTargetError
        port = _PORTS[parts.scheme] if parts.port is None else parts.port
        path = quote(parts.path or "/", safe=_SAFE) + (f"?{quote(parts.query, safe=_SAFE)}" if parts.query else "")
        return Target(parts.scheme == "https", _host(host), port, path)
    except InvalidTargetError:
        raise
    except ValueError as failure:
        raise InvalidTargetError from failure


def _host(written: str) -> str:
    """Return the one way to write a host; raises `ValueError` for what is none.

    Browsers, resolvers and libraries differ in which digits and dots they take for ASCII ones, and in which numbers they take for addresses (`0x7f.1`).
    """
    if ":" in written:
        if "%" in written:
            raise InvalidTargetError
        return str(ipaddress.IPv6Address(written))
    if len(written) > _HOST_CHARACTERS_MAX:
        raise InvalidTargetError
    name = written.lower() if written.isascii() else idna.encode(written, uts46=True).decode("ascii").lower()
    name = name.removesuffix(".")
    labels = name.split(".")
    if len(name) > _HOST_CHARACTERS_MAX or not all(_LABEL.fullmatch(label) for label in labels):
        raise InvalidTargetError
    if not _NUMBER.fullmatch(labels[-1]):
        return name
    try:
        return socket.inet_ntoa(socket.inet_aton(name))
    except OSError as failure:
        raise InvalidTargetError from failure


def check_url(url: str, *, livemode: bool, allow_private: bool, ports: Collection[int] = ()) -> None:
    """Raise `InvalidRequest` unless deliveries can go to `url`; `ports`: those that the network lets out, none of them for any."""
    try:
        target = parse_target(url)
    except InvalidTargetError:
        message = "Invalid URL: An explicit scheme (such as https) must be provided."
        raise InvalidRequest(message, code="url_invalid", param="url") from None
    if livemode and not target.tls:
        raise InvalidRequest("Invalid URL: live mode webhook endpoints must be HTTPS.", code="url_invalid", param="url")
    if ports and target.port not in ports:
        named = ", ".join(str(port) for port in sorted(ports))
        raise InvalidRequest(f"Invalid URL: webhooks can be sent to the ports {named}.", code="url_invalid", param="url")
    if not allow_private and _is_private(target.host):
        raise InvalidRequest("Invalid URL: URL must be publicly accessible.", code="url_invalid", param="url")


def _is_private(host: str) -> bool:
    """Tell whether a host is written as an address that is not public, or as a name that can't be anybody else's."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        labels = host.split(".")
        return len(labels) == 1 or any(".".join(labels[first:]) in _PRIVATE_NAMES for first in range(len(labels)))
    return not is_public(host)
