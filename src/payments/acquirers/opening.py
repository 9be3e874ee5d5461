"""Opens what is configured."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack

from payments.acquirers.acquirer import Acquirer
from payments.acquirers.configuration import Configuration, HttpSpec, Iso8583Spec, Spec, StripeSpec
from payments.acquirers.http.acquirer import open_http
from payments.acquirers.iso8583.acquirer import open_iso8583
from payments.acquirers.iso8583.traces import Traces
from payments.runtime.clock import Clock
from payments.runtime.logging import Logger


async def open_configured(
    configuration: Configuration, secrets: Mapping[str, bytes], clock: Clock, log: Logger, stack: AsyncExitStack, traces: Traces
) -> Sequence[Acquirer]:
    """Open the connections of all acquirers beside the sandbox, until `stack` is left; `traces` are for those who want their messages numbered."""
    return [
        await stack.enter_async_context(_opened(spec, secrets, configuration.directory, clock, log, traces))
        for spec in configuration.acquirers
    ]


def _opened(
    spec: Spec, secrets: Mapping[str, bytes], directory: str | None, clock: Clock, log: Logger, traces: Traces
) -> AbstractAsyncContextManager[Acquirer]:
    match spec:
        case HttpSpec():
            return open_http(spec, secrets[spec.name], clock)
        case Iso8583Spec():
            return open_iso8583(spec, clock, log, directory, traces=traces)
        case StripeSpec():
            from payments.acquirers.stripe.acquirer import open_stripe  # noqa: PLC0415 - half a second, which only who has such an acquirer pays

            return open_stripe(spec, secrets[spec.name].decode(), clock, log)
