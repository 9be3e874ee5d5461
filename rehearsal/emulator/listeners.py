"""Load balancers that listen: on their listeners' own ports, with a DNS name that resolves, and with the certificate that was imported into ACM.

For an emulator in a container of its own: there nobody else wants port 80, and /etc/hosts may be written.
"""

import asyncio
import importlib
import logging
import tempfile
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from rehearsal.emulator import loops, upstream
from rehearsal.emulator.upstream import Record

_log = logging.getLogger("tap.listeners")
_TICK_SECONDS = 0.3
_HOSTS = Path("/etc/hosts")
_MARK = "# load balancer of the emulator"
_Scope = dict[str, Any]
_Receive = Callable[[], Awaitable[Record]]
_Send = Callable[[Record], Awaitable[None]]


@dataclass(slots=True)
class _Listening:
    """A port that is served, by a thread with an event loop of its own."""

    loop: asyncio.AbstractEventLoop
    stop: asyncio.Event

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self.stop.set)


class Listeners:
    """Opens a port for each listener that there is, and closes it with the listener."""

    def __init__(self) -> None:
        self._open: dict[str, _Listening] = {}
        self._names: set[str] = set()

    def start(self) -> None:
        """Begin, for as long as the process lives."""
        loops.forever("listeners", self.tick, seconds=_TICK_SECONDS)

    def tick(self) -> None:
        """Compare what listens with what should."""
        alb = upstream.module("services.alb")
        wanted = {arn: (account, region, each) for (account, region, arn), each in alb._listeners.all_items()}
        for arn in self._open.keys() - wanted.keys():
            self._open.pop(arn).end()
        for arn in wanted.keys() - self._open.keys():
            account, region, listener = wanted[arn]
            self._open[arn] = _serve(account, region, listener)
        names = {str(balancer["DNSName"]) for _, balancer in alb._lbs.all_items()}
        if names != self._names:
            self._names = names
            _write_hosts(names)


def _write_hosts(names: set[str]) -> None:
    kept = [line for line in _HOSTS.read_text().splitlines() if _MARK not in line]
    # Docker bind-mounts the file, so that it is written in place.
    _HOSTS.write_text("\n".join([*kept, *(f"127.0.0.1 {name} {_MARK}" for name in sorted(names))]) + "\n")


def _serve(account: str, region: str, listener: Record) -> _Listening:
    serve = importlib.import_module("hypercorn.asyncio").serve
    config = importlib.import_module("hypercorn.config").Config()
    port = int(listener["Port"])
    config.bind = [f"0.0.0.0:{port}"]
    config.loglevel = "WARNING"
    config.keep_alive_timeout = 60
    ready = threading.Event()
    made: list[_Listening] = []

    async def main(directory: Path) -> None:
        stop = asyncio.Event()
        made.append(_Listening(asyncio.get_running_loop(), stop))
        ready.set()
        if listener["Protocol"] == "HTTPS":
            with upstream.scope(account, region):
                config.certfile, config.keyfile = _certificate_files(listener, directory)
        await serve(_application(account, region, listener["LoadBalancerArn"], port), config, shutdown_trigger=stop.wait)

    def run() -> None:
        try:
            with tempfile.TemporaryDirectory() as directory:
                asyncio.run(main(Path(directory)))
        except (OSError, LookupError):
            _log.exception("port %d can't be opened", port)

    threading.Thread(target=run, name=f"tap-listener-{port}", daemon=True).start()
    ready.wait()
    return made[0]


def _certificate_files(listener: Record, directory: Path) -> tuple[str, str]:
    """Write a listener's certificate with its chain, and its key; raises `LookupError` for one that has none to show, as what ACM itself issues has here."""
    known = upstream.module("services.acm")._certificates.get(next(iter(listener.get("Certificates", [])), ""))
    if not known or not known["_private_key"]:
        raise LookupError(f"{listener['ListenerArn']} has no certificate that was imported with its key")
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    certificate.write_text(f"{known['_pem_body']}\n{known['_pem_chain']}")
    key.touch(mode=0o600)
    key.write_text(known["_private_key"])
    return str(certificate), str(key)


def _application(account: str, region: str, balancer_arn: str, port: int) -> Callable[[_Scope, _Receive, _Send], Awaitable[None]]:
    app, alb = upstream.module("app"), upstream.module("services.alb")

    async def respond(scope: _Scope, receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http":
            return
        body = await _body(receive)
        query = scope.get("query_string", b"").decode()
        raw_path = scope.get("raw_path", scope["path"].encode()).decode()
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        with upstream.scope(account, region):
            balancer = alb._lbs.get(balancer_arn)
            if balancer is None:
                return
            answer = await alb.dispatch_request(
                balancer,
                scope["method"],
                scope["path"],
                headers,
                body,
                parse_qs(query, keep_blank_values=True),
                port,
                client_ip=(scope.get("client") or ("127.0.0.1",))[0],
                raw_query_string=query,
                raw_path=raw_path.split("?")[0],
            )
            await app._send_if_handled(send, answer, receive)

    return respond


async def _body(receive: _Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)
