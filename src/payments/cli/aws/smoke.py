"""A payment in test mode through the front door: the proof that an environment works."""

import os
import time
from collections.abc import Callable

import stripe

from payments.cli.aws.environment import DeployedEnvironment
from payments.cli.data_directory import UsageError
from payments.runtime.topology import SANDBOX_KEY_PREFIX, SANDBOX_KEY_VARIABLE

_SECONDS_MAX = 300.0
"""A new load balancer's name takes a while to be known everywhere."""


def sandbox_key(environment: DeployedEnvironment) -> str:
    """Return the secret key of the sandbox merchant, from the secret that the migration task is given."""
    return SANDBOX_KEY_PREFIX + environment.injected_secret(SANDBOX_KEY_VARIABLE)


def pay(base_url: str, key: str, *, pause_seconds: float, sleep: Callable[[float], None] = time.sleep) -> str:
    """Make one payment and return its id; tries again while nobody answers. Raises `UsageError`."""
    if trusted := os.environ.get("SSL_CERT_FILE"):  # whom this machine trusts, where a proxy stands between it and the internet
        stripe.ca_bundle_path = trusted
    client = stripe.StripeClient(key, base_addresses={"api": base_url}, max_network_retries=2)
    deadline = time.monotonic() + _SECONDS_MAX
    idempotency_key = f"smoke-{time.time_ns()}"
    while True:
        try:
            payment = client.v1.payment_intents.create(
                {"amount": 100, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True, "description": "Deployment check"},
                {"idempotency_key": idempotency_key},
            )
        except (stripe.APIConnectionError, stripe.APIError) as failure:
            if time.monotonic() > deadline:
                raise UsageError(f"No payment gets through {base_url}: {_first_line(failure)}") from None
            sleep(pause_seconds)
        except stripe.StripeError as failure:
            raise UsageError(f"The payment through {base_url} was refused: {_first_line(failure)}") from None
        else:
            if payment.status != "succeeded":
                raise UsageError(f"The payment {payment.id} through {base_url} is {payment.status}, not succeeded.")
            return payment.id


def _first_line(failure: stripe.StripeError) -> str:
    return f"{type(failure).__name__}: {(failure.user_message or '').partition(chr(10))[0]}"
