"""A Django project that keeps a copy of a merchant's payments with dj-stripe: synced when asked for, and kept by webhooks.

Each step prints one line; the first that fails ends the program. It runs in an environment of its own, see requirements.txt.
"""

import io
import os
import threading
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from importlib.metadata import version
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
import stripe
from django.apps import apps
from django.conf import settings
from django.core.management import CommandError, call_command
from django.core.wsgi import get_wsgi_application
from django.db.models import QuerySet
from django.urls import reverse

LEFT_OUT = {
    "AccountV2": "dj-stripe asks Stripe's own address for it, whatever STRIPE_API_HOST says",
}
"""Models of dj-stripe's that are never synced → why."""

NOT_IN_TAP_YET = {
    "ActiveEntitlement": "/v1/entitlements/active_entitlements",
    "ApplicationFee": "/v1/application_fees",
    "ApplicationFeeRefund": "/v1/application_fees",
    "CountrySpec": "/v1/country_specs",
    "Coupon": "/v1/coupons",
    "Dispute": "/v1/disputes",
    "EarlyFraudWarning": "/v1/radar/early_fraud_warnings",
    "Feature": "/v1/entitlements/features",
    "File": "/v1/files",
    "FileLink": "/v1/file_links",
    "Invoice": "/v1/invoices",
    "InvoiceItem": "/v1/invoiceitems",
    "IssuingAuthorization": "/v1/issuing/authorizations",
    "IssuingCard": "/v1/issuing/cards",
    "IssuingCardholder": "/v1/issuing/cardholders",
    "IssuingDispute": "/v1/issuing/disputes",
    "IssuingTransaction": "/v1/issuing/transactions",
    "LineItem": "/v1/invoices",
    "Payout": "/v1/payouts",
    "Price": "/v1/prices",
    "Product": "/v1/products",
    "PromotionCode": "/v1/promotion_codes",
    "Review": "/v1/reviews",
    "Session": "/v1/checkout/sessions",
    "SetupIntent": "/v1/setup_intents",
    "ShippingRate": "/v1/shipping_rates",
    "Subscription": "/v1/subscriptions",
    "SubscriptionItem": "/v1/subscriptions",
    "SubscriptionSchedule": "/v1/subscription_schedules",
    "TaxCode": "/v1/tax_codes",
    "TaxId": "/v1/tax_ids",
    "TaxRate": "/v1/tax_rates",
    "Transfer": "/v1/transfers",
    "TransferReversal": "/v1/transfers",
    "VerificationReport": "/v1/identity/verification_reports",
    "VerificationSession": "/v1/identity/verification_sessions",
}
"""Models → the list that they are synced from. Such a model is left out for as long as Tap doesn't know that address, and synced from then on."""

EVENTS_SECONDS_MAX = 120
"""Ends the waiting for what would never come."""

Made = dict[str, set[str]]
"""Model → ids of objects."""


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
    django.setup()
    print(f"dj-stripe {version('dj-stripe')} with Django {django.__version__} and Stripe's library {stripe.VERSION}")
    client = stripe.StripeClient(settings.STRIPE_TEST_SECRET_KEY, base_addresses={"api": settings.STRIPE_API_HOST})

    call_command("migrate", run_syncdb=True, verbosity=0)
    done("tables")

    before = pay(client)
    done("payments")

    for model in models_to_sync(client):
        if sync(model):
            done(f"sync {model}")
    are_kept(before)
    done("sync")

    with webhook_server() as base_url:
        create_endpoint(client, base_url)
        done("endpoint")
        after = pay(client)
        wait_for_webhooks(client)
    # Of refunds, webhooks tell dj-stripe only what they change on their charge.
    are_kept({model: after[model] for model in ("Customer", "PaymentMethod", "PaymentIntent", "Charge")})
    if sorted(charge.amount_refunded for charge in kept("Charge", after)) != [0, 0, 500]:
        raise AssertionError("The refund is not on its charge")
    done("events")


def done(step: str) -> None:
    print(step, "ok", flush=True)


def pay(client: stripe.StripeClient) -> Made:
    """A customer with a card: one payment that is refunded in part, one of which only a part is captured, and one that is declined."""
    customer = client.v1.customers.create({"email": "ada@example.com", "name": "Ada Lovelace"})
    card = client.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    order = {"amount": 2000, "currency": "usd", "customer": customer.id, "payment_method": card.id, "confirm": True}
    paid = client.v1.payment_intents.create({**order, "expand": ["latest_charge"]})
    refund = client.v1.refunds.create({"payment_intent": paid.id, "amount": 500})
    held = client.v1.payment_intents.create({**order, "capture_method": "manual"})
    captured = client.v1.payment_intents.capture(held.id, {"amount_to_capture": 1500, "expand": ["latest_charge"]})
    try:
        client.v1.payment_intents.create({**order, "payment_method": "pm_card_visa_chargeDeclined"})
    except stripe.CardError as declined:
        failed = declined.error.payment_intent
    return {
        "Customer": {customer.id},
        "PaymentMethod": {card.id},
        "PaymentIntent": {paid.id, captured.id, failed.id},
        "Charge": {paid.latest_charge.id, captured.latest_charge.id, failed.latest_charge},
        "Refund": {refund.id},
        "BalanceTransaction": {
            paid.latest_charge.balance_transaction,
            captured.latest_charge.balance_transaction,
            refund.balance_transaction,
        },
    }


def models_to_sync(client: stripe.StripeClient) -> list[str]:
    """All of dj-stripe's models but for those that Tap has nothing for; the command itself passes over what isn't Stripe's."""
    models = [model.__name__ for model in apps.get_app_config("djstripe").get_models()]
    unknown = {*LEFT_OUT, *NOT_IN_TAP_YET}.difference(models)
    if unknown:
        raise AssertionError(f"dj-stripe has no such models: {unknown}")
    absent = [model for model, path in NOT_IN_TAP_YET.items() if not has(client, path)]
    for model, reason in LEFT_OUT.items():
        print(f"left out: {model}, since {reason}")
    print(f"left out, since Tap has no such addresses: {', '.join(absent)}")
    return [model for model in models if model not in absent and model not in LEFT_OUT]


def has(client: stripe.StripeClient, path: str) -> bool:
    try:
        client.raw_request("get", path)
    except stripe.InvalidRequestError as error:
        return not error.user_message.startswith("Unrecognized request URL")
    return True


def sync(model: str) -> bool:
    """What `manage.py djstripe_sync_models MODEL` does, which passes over models that aren't Stripe's: return whether it did anything."""
    said, complaints = io.StringIO(), io.StringIO()
    try:
        call_command("djstripe_sync_models", model, fail_on_error=True, stdout=said, stderr=complaints)
    except CommandError as error:
        raise AssertionError(complaints.getvalue()) from error
    return bool(said.getvalue())


def kept(model: str, made: Made) -> QuerySet:
    """What dj-stripe has of what was made."""
    return apps.get_model("djstripe", model).objects.filter(id__in=made[model])


def are_kept(made: Made) -> None:
    for model, ids in made.items():
        missing = ids.difference(kept(model, made).values_list("id", flat=True))
        if missing:
            raise AssertionError(f"{model} without {missing}")


@contextmanager
def webhook_server() -> Generator[str]:
    """The Django project on a free port of loopback; yields its address."""

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def create_endpoint(client: stripe.StripeClient, base_url: str) -> None:
    """As dj-stripe's page in Django's administration does, which only takes public addresses: it finds the endpoint by the id in its URL."""
    from djstripe.models import WebhookEndpoint
    from djstripe.settings import djstripe_settings

    djstripe_uuid = str(uuid.uuid4())
    endpoint = client.v1.webhook_endpoints.create(
        {
            "url": base_url + reverse("djstripe:djstripe_webhook_by_uuid", kwargs={"uuid": djstripe_uuid}),
            "enabled_events": ["*"],
            "api_version": djstripe_settings.STRIPE_API_VERSION,
            "metadata": {"djstripe_uuid": djstripe_uuid},
        }
    )
    WebhookEndpoint.sync_from_stripe_data(endpoint, api_key=settings.STRIPE_TEST_SECRET_KEY)


def wait_for_webhooks(client: stripe.StripeClient) -> None:
    """Until dj-stripe's webhook processed every event that Tap lists, but for those from before: they were synced."""
    from djstripe.models import Event, WebhookEventTrigger

    listed = {event.id for event in client.v1.events.list({"limit": 100}).auto_paging_iter()}
    awaited = listed.difference(Event.objects.filter(webhookeventtrigger=None).values_list("id", flat=True))
    deadline = time.monotonic() + EVENTS_SECONDS_MAX
    while missing := awaited.difference(WebhookEventTrigger.objects.filter(processed=True).values_list("event__id", flat=True)):
        failed = WebhookEventTrigger.objects.exclude(exception="").first()
        if failed is not None:
            raise AssertionError(f"A webhook failed: {failed.traceback}")
        if time.monotonic() > deadline:
            raise AssertionError(f"{len(missing)} of {len(awaited)} events were not received")
        time.sleep(0.1)


if __name__ == "__main__":
    main()
