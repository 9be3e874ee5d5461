"""The operator's mail server: one mail a connection, in bounded time, not faster than it wants, and never in the clear.

Sources: RFC 5321, 4.2.1 (what replies mean); RFC 8314 (TLS from the first byte, or STARTTLS); Amazon SES, "Connecting to the SMTP endpoint".
"""

import asyncio
import ipaddress
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Self
from urllib.parse import unquote, urlsplit

import aiosmtplib

from payments.notification_service.channels.channel import Answered, Verdict, failed
from payments.notification_service.connections import Answer
from payments.notification_service.mail.letters import AddressError, address
from payments.notification_service.sender import SEND_SECONDS_MAX
from payments.runtime.settings import SettingsError
from payments.runtime.topology import MAIL_FROM_VARIABLE, MAIL_PORTS, SMTP_URL_VARIABLE

_URL, _FROM, _PER_SECOND = SMTP_URL_VARIABLE, MAIL_FROM_VARIABLE, "TAP_MAIL_PER_SECOND"
_PORTS = dict(zip(("smtps", "smtp"), MAIL_PORTS, strict=True)) | {"smtp+plain": 25}
_PER_SECOND_DEFAULT = 10.0
"""Less than the fourteen that Amazon SES allows a new account."""
_WAIT_SECONDS_MAX = 5.0
"""For one's turn; who would wait for longer comes again later."""
_DELIVERED, _BUSY, _OVERLOADED, _ONE_OF_MANY = 200, 503, 429, 400
"""What a mail server's replies would be of an HTTP server's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """Where mail is sent by, and from whom."""

    host: str
    port: int
    tls: bool
    """From the first byte; otherwise after STARTTLS."""
    plain: bool
    """No TLS at all: on this machine only."""
    username: str | None
    password: str | None = field(repr=False)
    sender: str
    """The address that mail is from."""
    per_second: float = _PER_SECOND_DEFAULT

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self | None:
        """Return the server of `TAP_SMTP_URL`, as in `smtps://user:password@host:465`; None when there is none. Raises `SettingsError`."""
        if not environment.get(_URL):
            return None
        try:
            parts = urlsplit(environment[_URL])
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise SettingsError(f"{_URL} is no URL") from None
        if (
            parts.scheme not in _PORTS
            or not host
            or parts.path not in ("", "/")
            or parts.query
            or (parts.username is None) != (parts.password is None)
        ):
            raise SettingsError(f"{_URL} is not smtps://user:password@host:port, nor smtp:// for a server with STARTTLS")
        if parts.scheme == "smtp+plain" and not _is_loopback(host):
            raise SettingsError(f"{_URL} has smtp+plain, which is for a server on this machine")
        try:
            sender = address(environment.get(_FROM, "")).addr_spec
        except AddressError:
            raise SettingsError(f"{_FROM} is not the address that mail is from") from None
        try:
            per_second = float(environment.get(_PER_SECOND, _PER_SECOND_DEFAULT))
        except ValueError:
            raise SettingsError(f"{_PER_SECOND} is not a number") from None
        if not 0 < per_second <= 1000:
            raise SettingsError(f"{_PER_SECOND} must be above 0, and 1000 at most")
        return cls(
            host=host,
            port=port or _PORTS[parts.scheme],
            tls=parts.scheme == "smtps",
            plain=parts.scheme == "smtp+plain",
            username=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else unquote(parts.password),
            sender=sender,
            per_second=per_second,
        )


class Mailer:
    """Sends mail by one server."""

    def __init__(
        self,
        server: MailServer,
        *,
        tls: ssl.SSLContext | None = None,
        seconds_max: float = SEND_SECONDS_MAX,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`tls` trusts the system's authorities by default. `now` returns seconds that never go backwards."""
        self.server = server
        self._tls = tls or ssl.create_default_context()
        self._seconds_max = seconds_max
        self._now = now
        self._next_at = 0.0

    async def send(self, mail: EmailMessage, recipient: str) -> Answered:
        """Send one to one address, and say what the server said to it."""
        wait = max(self._next_at - self._now(), 0.0)
        if wait > _WAIT_SECONDS_MAX:
            return Answered(verdict=Verdict.LATER, answer=Answer(error="throttled"), felt=_OVERLOADED, says_of_endpoint=False)
        self._next_at = self._now() + wait + 1 / self.server.per_second
        await asyncio.sleep(wait)
        try:
            async with asyncio.timeout(self._seconds_max - _WAIT_SECONDS_MAX):
                await self._send(mail, recipient)
        except (TimeoutError, aiosmtplib.SMTPTimeoutError):
            return failed("timeout")
        except aiosmtplib.SMTPRecipientsRefused as refusal:
            return _refused(refusal.recipients[0].code)
        except aiosmtplib.SMTPAuthenticationError as refusal:
            return failed(f"smtp_{refusal.code}")  # of any kind: it is mended here, and says nothing of the mail
        except aiosmtplib.SMTPResponseException as refusal:
            return _refused(refusal.code)
        except aiosmtplib.SMTPNotSupported:
            # An address that isn't in ASCII, and a server that takes no other; or one that offers no TLS.
            return failed("SMTPNotSupported")
        except (aiosmtplib.SMTPException, OSError, ValueError) as failure:
            return failed(failure)
        return Answered(verdict=Verdict.DELIVERED, answer=Answer(), felt=_DELIVERED)

    async def _send(self, mail: EmailMessage, recipient: str) -> None:
        server = self.server
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.tls,
            start_tls=not server.tls and not server.plain,  # True: what doesn't offer it gets nothing
            tls_context=None if server.plain else self._tls,
            username=server.username,
            password=server.password,
            timeout=self._seconds_max,
        )
        try:
            await client.connect()
            await client.send_message(mail, sender=server.sender, recipients=[recipient])
            # What was accepted is accepted, whatever becomes of the goodbye.
        finally:
            client.close()


def _refused(code: int) -> Answered:
    """Return what a reply means: 4yz is for later, 5yz for ever; neither says anything of the other addresses."""
    answer = Answer(error=f"smtp_{code}")
    if 500 <= code < 600:
        return Answered(verdict=Verdict.REFUSED, answer=answer, felt=_ONE_OF_MANY, says_of_endpoint=False)
    return Answered(verdict=Verdict.LATER, answer=answer, felt=_BUSY, says_of_endpoint=False)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
