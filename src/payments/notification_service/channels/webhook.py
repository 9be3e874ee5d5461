"""Webhooks: a signed POST to a URL of the merchant's."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from payments.domain.webhook_endpoint import WebhookEndpoint
from payments.notification_service.channels.channel import Answered, Message, Verdict
from payments.notification_service.connections import Answer
from payments.notification_service.retries import parse_retry_after
from payments.notification_service.signing import delivery_headers, signature_headers
from payments.runtime import seal_contexts
from payments.runtime.clock import Clock
from payments.runtime.seal import Sealer

Send = Callable[[str, Mapping[str, str], bytes], Awaitable[Answer]]
"""Sends a body with headers to a URL, and returns within `SEND_SECONDS_MAX`."""
_GONE = 410


@dataclass(frozen=True, slots=True)
class Webhook:
    """Sends webhooks."""

    send: Send
    """Goes only to where deliveries may go."""
    sealer: Sealer
    clock: Clock

    async def deliver(self, message: Message) -> Answered:
        """Sign, and send; raises `SealError` for a secret that can't be opened."""
        due = message.due
        secrets = [self._open(due.endpoint, sealed) for sealed in (due.sealed_secret, *due.sealed_previous_secrets) if sealed is not None]
        headers = signature_headers(due.event.id, message.body, int(message.at), secrets)
        headers |= delivery_headers(due.event.object_version, message.attempt)
        answer = await self.send(due.endpoint.url, headers, message.body)
        return Answered(
            verdict=verdict_of(answer.status_code),
            answer=answer,
            asked_seconds=None if answer.retry_after is None else parse_retry_after(answer.retry_after, self.clock.now()),
            felt=None if answer.timed_out else answer.status_code,
            is_gone=answer.status_code == _GONE,
            sent=headers,
        )

    def _open(self, endpoint: WebhookEndpoint, sealed: bytes) -> str:
        return self.sealer.open(sealed, secret_context(endpoint)).decode("ascii")


def verdict_of(status_code: int | None) -> Verdict:
    """Return what an HTTP status means for a delivery; None: there was no answer."""
    if status_code is not None and 200 <= status_code < 300:
        return Verdict.DELIVERED
    return Verdict.REFUSED if status_code == _GONE else Verdict.LATER


def secret_context(endpoint: WebhookEndpoint) -> bytes:
    """What an endpoint's sealed secret is bound to."""
    return seal_contexts.secret_context(endpoint.merchant_id, endpoint.livemode, endpoint.id)
