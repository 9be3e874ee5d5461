"""A mail server of a test's own (aiosmtpd), on the test's event loop: it keeps what it took, and answers as it is told to."""

import asyncio
import ssl
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from functools import cache
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from payments.notification_service.mail.server import MailServer
from payments.runtime import own_certificate

LOGIN, PASSWORD = "tap", "s3cret:@/"


@dataclass
class Mailbox:
    """What arrived, and what the next recipients and messages are answered."""

    port: int = 0
    replies: list[str] = field(default_factory=list[str])
    """To recipients, one after the other; when there is none left, they are welcome."""
    after_data: list[str] = field(default_factory=list[str])
    hangs: bool = False
    mails: list[EmailMessage] = field(default_factory=list[EmailMessage])
    recipients: list[str] = field(default_factory=list[str])

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]) -> str:  # noqa: N802 - aiosmtpd's name
        if self.hangs:
            await asyncio.Event().wait()
        if self.replies and (reply := self.replies.pop(0)):
            return reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - likewise
        if self.after_data:
            return self.after_data.pop(0)
        message = message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        self.mails.append(message)
        self.recipients += envelope.rcpt_tos
        return "250 OK"

    def server(self, **changes: Any) -> MailServer:
        """How it is named, without TLS unless that is changed."""
        given: dict[str, Any] = {
            "host": "localhost",
            "port": self.port,
            "tls": False,
            "plain": True,
            "username": None,
            "password": None,
            "sender": "receipts@shop.example",
            "per_second": 1000.0,
        }
        return MailServer(**(given | changes))


@asynccontextmanager
async def mailbox(*, starttls: bool = False, tls: bool = False) -> AsyncGenerator[Mailbox]:
    """Listen on a free port of the loopback interface; with `starttls` it wants that, and a login, first."""
    box = Mailbox()
    context = contexts()[0] if starttls else None

    def made() -> SMTP:
        return SMTP(
            box,
            hostname="localhost",
            tls_context=context,
            require_starttls=starttls,
            auth_required=starttls,
            authenticator=_authenticate if starttls else None,
            loop=asyncio.get_running_loop(),
        )

    server = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0, ssl=contexts()[0] if tls else None)
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()


def _authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
    given = isinstance(data, LoginPassword) and (data.login.decode(), data.password.decode()) == (LOGIN, PASSWORD)
    return AuthResult(success=given, handled=False)


@cache
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS of a server called localhost, and of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = own_certificate._certificate(key, "localhost", time.time()).public_bytes(serialization.Encoding.PEM)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(
            certificate + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        file.flush()
        server.load_cert_chain(file.name)
    client = ssl.create_default_context(cadata=certificate.decode())
    return server, client
