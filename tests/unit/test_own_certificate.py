"""What a load balancer speaks to: TLS with a certificate that each process makes for itself, and a health check that asks in the same way."""

import asyncio
import contextlib
import http.client
import signal
import socket
import ssl
import tempfile
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from payments.runtime.alive import is_alive
from payments.runtime.own_certificate import own_context
from tests.support.own_server import own_server
from tests.support.serving import Handler, serving

NOW = 1_800_000_000.0


def client(version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """Verifies nothing, as a load balancer does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


class Alive(Handler):
    paths: list[str] = []  # noqa: RUF012 - one test's, which looks at it

    def take(self) -> None:
        self.paths.append(self.path)
        self.answer(200 if self.path == "/health/live" else 503)


def shown(url: str) -> x509.Certificate:
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 10) as plain, client().wrap_socket(plain) as secured:
        certificate = secured.getpeercert(binary_form=True)
    assert certificate is not None
    return x509.load_der_x509_certificate(certificate)


@pytest.mark.parametrize(
    "version",
    [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3],  # a load balancer's listeners decide which it speaks to targets
)
def test_it_speaks_what_load_balancers_speak_to_targets(version: ssl.TLSVersion) -> None:
    with serving(Alive, tls=own_context("payment-api", NOW)) as url:
        connection = http.client.HTTPSConnection("127.0.0.1", int(url.rpartition(":")[2]), timeout=10, context=client(version))
        with contextlib.closing(connection):
            connection.request("GET", "/health/live")
            assert connection.getresponse().status == 200


def test_each_process_has_a_key_of_its_own_and_leaves_it_nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with serving(Alive, tls=own_context("payment-api", NOW)) as one, serving(Alive, tls=own_context("payment-api", NOW)) as other:
        certificates = [shown(one), shown(other)]
    keys = [each.public_key() for each in certificates]
    assert all(isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1" for key in keys)
    assert keys[0] != keys[1]
    assert certificates[0].subject.rfc4514_string() == "CN=payment-api"
    assert certificates[0].not_valid_before_utc.timestamp() < NOW < certificates[0].not_valid_after_utc.timestamp()
    assert not list(tmp_path.iterdir())


def test_what_is_on_the_disk_for_a_moment_opens_with_no_password_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []

    load = ssl.SSLContext.load_cert_chain

    def watched(context: ssl.SSLContext, certfile: Any, keyfile: Any = None, password: Any = None) -> None:
        written.append(Path(certfile).read_bytes())
        assert Path(certfile).stat().st_mode & 0o777 == 0o600
        load(context, certfile, keyfile, password)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", watched)
    own_context("payment-api", NOW)
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in written[0]
    assert b"BEGIN PRIVATE KEY" not in written[0]


@pytest.mark.parametrize("tls", [True, False])
def test_the_containers_check_asks_as_the_service_serves(*, tls: bool) -> None:
    Alive.paths.clear()
    with serving(Alive, tls=own_context("payment-api", NOW) if tls else None) as url:
        port = url.rpartition(":")[2]
        assert is_alive({"TAP_PORT": port, **({"TAP_SERVE_TLS": "true"} if tls else {})})
        assert not is_alive({"TAP_PORT": port, **({} if tls else {"TAP_SERVE_TLS": "true"})}), "the wrong way is no answer"
    assert "/health/live" in Alive.paths
    assert not is_alive({"TAP_PORT": port, "TAP_SERVE_TLS": "true"}), "nobody is there"


def test_the_containers_check_fails_when_the_service_says_so() -> None:
    class Hangs(Handler):
        def take(self) -> None:
            self.answer(503)

    with serving(Hangs) as url:
        assert not is_alive({"TAP_PORT": url.rpartition(":")[2]})


async def app(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})


async def test_a_task_keeps_connections_with_tls_and_ends_them_when_it_leaves() -> None:
    async with own_server(app, certificate_name="payment-api") as (server, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client())

        async def ask() -> bytes:
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(2)
            return head.lower()

        assert b"connection: close" not in await ask()
        assert b"connection: close" not in await ask()
        server.handle_exit(signal.SIGTERM, None)
        assert b"connection: close" in await ask()
        assert await reader.read() == b""
        writer.close()


async def test_a_task_with_tls_answers_nothing_in_the_open() -> None:
    async with own_server(app, certificate_name="payment-api") as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert b"HTTP/1.1" not in await reader.read()
        writer.close()
