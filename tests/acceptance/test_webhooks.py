"""From a payment to the signed webhook, through real processes."""

import asyncio
import urllib.request
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import pytest
import stripe

from tests.support.receiver import receiver
from tests.support.running_tap import RunningTap
from tests.support.stripe_schema import violations
from tests.support.waiting import wait_until


def test_each_step_of_a_payment_arrives_signed_and_in_order(client: stripe.StripeClient) -> None:
    with receiver() as received:
        endpoint = client.v1.webhook_endpoints.create({"url": received.url, "enabled_events": ["*"]})
        assert violations(endpoint.to_dict()) == []
        received.secret = str(endpoint.secret)
        intent = client.v1.payment_intents.create(
            {"amount": 2000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True, "capture_method": "manual"}
        )
        client.v1.payment_intents.capture(intent.id)
        client.v1.refunds.create({"payment_intent": intent.id})
        expected = {
            "payment_intent.created",
            "charge.succeeded",
            "payment_intent.amount_capturable_updated",
            "charge.captured",
            "payment_intent.succeeded",
            "charge.refunded",
            "refund.created",
        }
        wait_until(lambda: {delivery.event["type"] for delivery in received.deliveries} >= expected, f"{expected} arrived")
        about_intent = [d for d in received.deliveries if d.event["data"]["object"]["id"] == intent.id]
        in_order = sorted(about_intent, key=lambda d: int(d.headers["Tap-Object-Sequence"]))
        assert [delivery.event["type"] for delivery in in_order] == [
            "payment_intent.created",
            "payment_intent.amount_capturable_updated",
            "payment_intent.succeeded",
        ]
        assert [delivery.event["data"]["object"]["status"] for delivery in in_order[1:]] == ["requires_capture", "succeeded"]
        assert [fault for delivery in received.deliveries for fault in violations(delivery.event)] == []
        assert received.refused == []
        assert "secret" not in client.v1.webhook_endpoints.retrieve(endpoint.id).to_dict()
        assert client.v1.webhook_endpoints.delete(endpoint.id).deleted


def test_an_endpoint_gets_the_events_that_it_asked_for(client: stripe.StripeClient) -> None:
    with receiver() as received:
        endpoint = client.v1.webhook_endpoints.create({"url": received.url, "enabled_events": ["customer.deleted", "customer.updated"]})
        received.secret = str(endpoint.secret)
        customer = client.v1.customers.create({"name": "Ada", "metadata": {"a": "1", "b": "2"}})
        client.v1.customers.update(customer.id, {"name": "Grace", "metadata": {"a": "", "c": "3"}})
        client.v1.customers.delete(customer.id)
        wait_until(lambda: len(received.deliveries) == 2, "both arrived")
        updated = next(d.event for d in received.deliveries if d.event["type"] == "customer.updated")
        assert updated["data"]["previous_attributes"] == {"name": "Ada", "metadata": {"a": "1", "c": None}}
        assert updated["request"]["id"].startswith("req_")
        client.v1.webhook_endpoints.update(endpoint.id, {"disabled": True})
        assert client.v1.webhook_endpoints.retrieve(endpoint.id).status == "disabled"


def test_events_are_listed_with_their_pending_webhooks(client: stripe.StripeClient) -> None:
    endpoint = client.v1.webhook_endpoints.create({"url": "http://127.0.0.1:9/nobody", "enabled_events": ["customer.created"]})
    customer = client.v1.customers.create({"description": "pending"})
    listed = client.v1.events.list({"type": "customer.*", "limit": 5})
    event = next(each for each in listed.data if each.data.object["id"] == customer.id)
    assert violations(event.to_dict()) == []
    assert client.v1.events.retrieve(event.id).type == "customer.created"

    def undelivered() -> set[str]:
        return {each.id for each in client.v1.events.list({"types": ["customer.created"], "delivery_success": False}).data}

    wait_until(lambda: event.id in undelivered(), "the undelivered event is listed as such")
    client.v1.webhook_endpoints.delete(endpoint.id)


def test_dead_letters_are_seen_and_sent_again(client: stripe.StripeClient) -> None:
    with receiver() as received:
        endpoint = client.v1.webhook_endpoints.create({"url": received.url, "enabled_events": ["customer.created"]})
        received.secret = "whsec_" + "d3Jvbmc="  # what the receiver refuses for now
        client.v1.customers.create({})
        wait_until(lambda: received.refused, "it is refused")
        listed = client.raw_request("get", "/v1/notifications/deliveries", endpoint=endpoint.id)
        answer: Any = client.deserialize(listed, api_mode="V1")
        (delivery,) = answer.data
        assert delivery.status == "pending"

        def shown() -> Any:
            return client.deserialize(client.raw_request("get", f"/v1/notifications/deliveries/{delivery.id}"), api_mode="V1")

        wait_until(lambda: shown().attempt_log, "the refusal is recorded")
        received.secret = str(endpoint.secret)
        client.raw_request("post", f"/v1/notifications/deliveries/{delivery.id}/redeliver")
        wait_until(lambda: shown().status == "delivered", "it is delivered")
        assert [attempt["status_code"] for attempt in shown().attempt_log] == [400, 200]
        client.v1.webhook_endpoints.delete(endpoint.id)


def test_what_was_missed_is_sent_again_all_at_once_or_stopped(client: stripe.StripeClient) -> None:
    def call(method: str, path: str, **params: Any) -> Any:
        return client.deserialize(client.raw_request(method, f"/v1/notifications/replays{path}", **params), api_mode="V1")

    with receiver() as received:
        endpoint = client.v1.webhook_endpoints.create({"url": received.url, "enabled_events": ["customer.created"]})
        received.secret = str(endpoint.secret)
        client.v1.customers.create({})
        wait_until(lambda: len(received.deliveries) == 1, "it is delivered")
        key = {"idempotency_key": f"replay {endpoint.id}"}
        replay = call("post", "", webhook_endpoint=endpoint.id, deliveries="all", types=["customer.*"], **key)
        assert (replay.object, replay.status, replay.total, replay.types) == ("notification.replay", "running", 1, ["customer.*"])
        assert call("post", "", webhook_endpoint=endpoint.id, deliveries="all", types=["customer.*"], **key).id == replay.id
        wait_until(lambda: call("get", f"/{replay.id}").status == "succeeded", "it is carried out")
        wait_until(lambda: len(received.deliveries) == 2, "it is delivered again")
        assert received.deliveries[0].event["id"] == received.deliveries[1].event["id"]
        assert replay.id in [each.id for each in call("get", "", limit=100).data]
        with pytest.raises(stripe.InvalidRequestError, match="nothing left to cancel"):
            call("post", f"/{replay.id}/cancel")
        with pytest.raises(stripe.InvalidRequestError, match="no event type"):
            call("post", "", webhook_endpoint=endpoint.id, types=["Customer"])
        client.v1.webhook_endpoints.update(endpoint.id, {"disabled": True})
        with pytest.raises(stripe.InvalidRequestError, match="is disabled"):
            call("post", "", webhook_endpoint=endpoint.id)
        client.v1.webhook_endpoints.delete(endpoint.id)


def test_a_secret_is_replaced_while_those_before_it_still_sign(client: stripe.StripeClient) -> None:
    with receiver() as received:
        endpoint = client.v1.webhook_endpoints.create({"url": received.url, "enabled_events": ["customer.created"]})
        secrets = [str(endpoint.secret)]

        def rotate(**params: Any) -> None:
            path = f"/v1/webhook_endpoints/{endpoint.id}/rotate_secret"
            rotated: Any = client.deserialize(client.raw_request("post", path, **params), api_mode="V1")
            secrets.append(rotated.secret)

        for _ in range(5):
            rotate()
        with pytest.raises(stripe.InvalidRequestError, match="signs with 6 secrets already"):
            rotate()
        received.secret = secrets[0]
        client.v1.customers.create({})
        wait_until(lambda: received.deliveries, "it is accepted with the first secret")
        delivery = received.deliveries[0]
        assert len(delivery.headers["webhook-signature"].split()) == delivery.headers["Stripe-Signature"].count("v1=") == 6
        rotate(previous_secret_seconds=0)
        received.secret = secrets[-1]
        client.v1.customers.create({})
        wait_until(lambda: len(received.deliveries) == 2, "it is signed with the newest one alone")
        assert received.deliveries[1].headers["Stripe-Signature"].count("v1=") == 1
        client.v1.webhook_endpoints.delete(endpoint.id)


def test_an_order_that_there_is_not_is_refused(client: stripe.StripeClient) -> None:
    with receiver() as received:
        params: Any = {"url": received.url, "enabled_events": ["*"], "metadata": {"tap_ordering": "per_customer"}}
        with pytest.raises(stripe.InvalidRequestError) as refusal:
            client.v1.webhook_endpoints.create(params)
        assert refusal.value.param == "metadata[tap_ordering]"
        params["metadata"] = {"tap_ordering": "per_object"}
        endpoint = client.v1.webhook_endpoints.create(params)
        received.secret = str(endpoint.secret)
        intent = client.v1.payment_intents.create(
            {"amount": 2000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True, "capture_method": "manual"}
        )
        client.v1.payment_intents.capture(intent.id)

        def of_intent() -> list[str]:
            return [each.event["type"] for each in received.deliveries if each.event["data"]["object"]["id"] == intent.id]

        wait_until(lambda: len(of_intent()) == 3, "all arrived")
        assert of_intent() == ["payment_intent.created", "payment_intent.amount_capturable_updated", "payment_intent.succeeded"]
        client.v1.webhook_endpoints.delete(endpoint.id)


def test_an_event_is_sent_again_to_an_endpoint(client: stripe.StripeClient) -> None:
    """`stripe events resend`: to one that had it, and to one that came later."""
    with receiver() as received:
        endpoint = client.v1.webhook_endpoints.create({"url": received.url, "enabled_events": ["customer.created"]})
        received.secret = str(endpoint.secret)
        customer = client.v1.customers.create({})

        def of_customer() -> list[Any]:
            return [each.event for each in received.deliveries if each.event["data"]["object"]["id"] == customer.id]

        wait_until(of_customer, "it is delivered")
        event = of_customer()[0]["id"]
        again: Any = client.deserialize(
            client.raw_request("post", f"/v1/events/{event}/retry", webhook_endpoint=endpoint.id), api_mode="V1"
        )
        assert (again["object"], again["id"]) == ("event", event)
        wait_until(lambda: len(of_customer()) == 2, "it is delivered again")
        client.v1.webhook_endpoints.delete(endpoint.id)
        later = client.v1.webhook_endpoints.create({"url": received.url, "enabled_events": ["charge.failed"]})
        received.secret = str(later.secret)
        client.raw_request("post", f"/v1/events/{event}/retry", webhook_endpoint=later.id)
        wait_until(lambda: len(of_customer()) == 3, "one that isn't subscribed to it has it too")
        for given, param in (
            ({"webhook_endpoint": endpoint.id}, "webhook_endpoint"),
            ({"for_stripecli": True}, "for_stripecli"),
            ({}, "webhook_endpoint"),
        ):
            with pytest.raises(stripe.InvalidRequestError) as refusal:
                client.raw_request("post", f"/v1/events/{event}/retry", **given)
            assert refusal.value.param == param
        client.v1.webhook_endpoints.delete(later.id)


@pytest.mark.parametrize(
    "params",
    [
        {"url": "ftp://example.com", "enabled_events": ["*"]},
        {"url": "example.com", "enabled_events": ["*"]},
        {"url": "https://example.com", "enabled_events": ["payment_intent.celebrated"]},
        {"url": "https://example.com", "enabled_events": []},
        {"url": "https://example.com", "enabled_events": ["*"], "api_version": "2020-01-01"},
    ],
)
def test_an_endpoint_that_makes_no_sense_is_refused(client: stripe.StripeClient, params: stripe.params.WebhookEndpointCreateParams) -> None:
    before = len(client.v1.webhook_endpoints.list().data)
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.webhook_endpoints.create(params)
    assert len(client.v1.webhook_endpoints.list().data) == before


@asynccontextmanager
async def answering_with(endless: bytes) -> AsyncGenerator[str]:
    """A receiver that takes each delivery and goes on and on; with nothing to say, it hangs. Yields its URL."""
    connections: set[asyncio.Task[None]] = set()

    async def go_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            while endless:
                writer.write(endless)
                await writer.drain()
            await reader.read()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.create_task(go_on(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, backlog=512)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    finally:
        server.close()
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


@pytest.mark.parametrize("endless", [b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000])
async def test_one_merchants_receivers_hold_up_nobody_elses_webhooks(tap: RunningTap, client: stripe.StripeClient, endless: bytes) -> None:
    other = tap.client(tap.create_key("--new-merchant", "Other"))
    health = tap.status()["services"]["notification-service"]["url"] + "/health"

    def their_endpoints(url: str) -> list[str]:
        return [other.v1.webhook_endpoints.create({"url": f"{url}/{n}", "enabled_events": ["customer.created"]}).id for n in range(16)]

    def healthy() -> bool:
        with urllib.request.urlopen(health, timeout=60) as answer:
            return answer.status == 200

    def mine_arrive() -> None:
        """Before any attempt of theirs has run out of time: what they hold, they hold all along."""
        with receiver() as received:
            endpoint = client.v1.webhook_endpoints.create({"url": received.url, "enabled_events": ["customer.created"]})
            received.secret = str(endpoint.secret)
            for count in range(1, 6):
                client.v1.customers.create({})
                wait_until(lambda count=count: len(received.deliveries) >= count, "mine arrives")
                assert healthy()
            client.v1.webhook_endpoints.delete(endpoint.id)

    async with answering_with(endless) as url:
        theirs = await asyncio.to_thread(their_endpoints, url)
        for _ in range(10):
            await asyncio.to_thread(other.v1.customers.create, {})
        await asyncio.to_thread(mine_arrive)
        for endpoint_id in theirs:
            await asyncio.to_thread(other.v1.webhook_endpoints.delete, endpoint_id)


def test_a_merchant_has_sixteen_endpoints_at_most_however_fast_they_are_made(tap: RunningTap) -> None:
    other = tap.client(tap.create_key("--new-merchant", "Many"), max_network_retries=0)

    def create(number: int) -> str | None:
        try:
            other.v1.webhook_endpoints.create({"url": f"http://127.0.0.1:9/{number}", "enabled_events": ["charge.failed"]})
        except stripe.InvalidRequestError as refusal:
            return str(refusal.user_message)
        return None

    with ThreadPoolExecutor(8) as pool:
        refusals = [refusal for refusal in pool.map(create, range(24)) if refusal is not None]
    assert refusals == ["You have reached the maximum of 16 test webhook endpoints."] * 8
    assert len(other.v1.webhook_endpoints.list({"limit": 100}).data) == 16


def test_a_delivery_can_be_tried_out_where_it_is_asked_for(client: stripe.StripeClient) -> None:
    """As whoever tries a release out does: that process signs a webhook, sends it to itself, and holds it against its signature."""
    tried = client.raw_request("post", "/v1/notifications/trial")
    assert client.deserialize(tried, api_mode="V1").to_dict() == {"object": "notifications.trial", "delivered": True}
