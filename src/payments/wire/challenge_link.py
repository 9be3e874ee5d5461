"""The way to our challenge page, for a payment or a card that is to be kept."""

from urllib.parse import urlencode

from payments.domain.payment_intent import NextAction, PaymentIntent
from payments.domain.setup_intent import SetupIntent
from payments.runtime.topology import CHALLENGE_PARAMETER, CHALLENGE_PATH


def challenge_of(intent: PaymentIntent | SetupIntent, attempt: str, public_url: str) -> NextAction:
    """Send the cardholder to authenticate for what `attempt` was about: the link names it. `public_url`: where our hosted pages are."""
    page = CHALLENGE_PATH.format(mode="live" if intent.livemode else "test", merchant=intent.merchant_id, intent=intent.id)
    return NextAction(
        type="redirect_to_url" if intent.return_url else "use_stripe_sdk",
        url=public_url + page + f"?{urlencode({'client_secret': intent.client_secret, CHALLENGE_PARAMETER: attempt})}",
        return_url=intent.return_url,
    )
