"""Send again what an endpoint missed, while payments are made and told to another endpoint of the same merchant: `python -m tests.benchmarks.replay`.

Tells how long the other endpoint waited for what a payment told, without a replay and beside one; how fast the replay was; and that it ends when it is
canceled. A hundred thousand take twenty minutes, since a replay makes at most a hundred due a second.
"""

import argparse
import asyncio
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import stripe

from payments.notification_service.replayer import WAITING_MAX
from payments.runtime.topology import Service
from payments.storage.database import connect
from tests.benchmarks.deliveries import EVENTS_OF_PAYMENT, Sink, sink
from tests.benchmarks.machine import cpu_seconds, processes
from tests.support.running_tap import RunningTap, running_tap
from tests.support.waiting import wait_until

_REPLAYS = "/v1/notifications/replays"
_UNDISTURBED = 20
_PAUSE_SECONDS = 1.0
_TOLD_EVERY = 60
_MISSED = """
    WITH missed AS (
        INSERT INTO payments.events (merchant_id, livemode, id, created, type, object_type, object_id, object_version, snapshot)
        SELECT e.merchant_id, e.livemode, notifications.first_id_from('evt', now() - interval '1 day' + n * interval '10 ms') || lpad(n::text, 10, '0'),
            extract(epoch FROM now())::bigint - 86400, e.type, e.object_type, e.object_id, e.object_version, e.snapshot
        FROM generate_series(1, $2::integer) n, (SELECT * FROM payments.events WHERE type = 'payment_intent.succeeded' LIMIT 1) e
        RETURNING merchant_id, livemode, id
    )
    INSERT INTO notifications.deliveries (merchant_id, livemode, event_id, endpoint_id, status, attempts, queued)
    SELECT merchant_id, livemode, id, $1, 'dead', 10, false FROM missed
"""


def waited_seconds(client: stripe.StripeClient, other: Sink) -> float:
    """Pay; returns after how long all that it told had come to the other endpoint."""
    expected = other.count.value + EVENTS_OF_PAYMENT
    client.v1.payment_intents.create({"amount": 2000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True})
    began = time.monotonic()
    while other.count.value < expected:
        time.sleep(0.001)
    return time.monotonic() - began


def told(waited: list[float]) -> str:
    ordered = sorted(waited)
    return f"median {statistics.median(ordered) * 1000:.0f} ms, 99 % {ordered[math.ceil(len(ordered) * 0.99) - 1] * 1000:.0f} ms, of {len(ordered)}"


async def miss(tap: RunningTap, endpoint_id: str, count: int) -> None:
    async with connect(tap.status()["database_url"]) as database:
        await database.execute(_MISSED, endpoint_id, count)


def measure(tap: RunningTap, missing: Sink, other: Sink, count: int) -> None:
    client = tap.client()
    client.v1.webhook_endpoints.create({"url": other.url, "enabled_events": ["*"]})
    endpoint = client.v1.webhook_endpoints.create({"url": missing.url, "enabled_events": ["customer.created"]})

    def asked(method: Any, path: str, **params: Any) -> Callable[[], dict[str, Any]]:
        return lambda: client.deserialize(client.raw_request(method, path, **params), api_mode="V1").to_dict()

    undisturbed = [waited_seconds(client, other) for _ in range(_UNDISTURBED)]
    print(f"another endpoint waits without a replay: {told(undisturbed)}", flush=True)
    asyncio.run(miss(tap, endpoint.id, count))
    pids = processes(tap)[Service.NOTIFICATION_SERVICE]
    replay = asked("post", _REPLAYS, webhook_endpoint=endpoint.id)()
    began, cpu, beside = time.monotonic(), cpu_seconds(pids), list[float]()
    while (now := asked("get", f"{_REPLAYS}/{replay['id']}")())["status"] == "running":
        beside.append(waited_seconds(client, other))
        if len(beside) % _TOLD_EVERY == 0:
            print(
                f"{time.monotonic() - began:.0f} s: {now['looked_at']} of {now['total']}; another endpoint waits {told(beside)}", flush=True
            )
        time.sleep(_PAUSE_SECONDS)
    wait_until(lambda: missing.count.value >= count, "all were sent")
    seconds = time.monotonic() - began
    print(
        f"{count} sent again in {seconds:.0f} s: {count / seconds:.0f}/s, {(cpu_seconds(pids) - cpu) * 1000 / count:.2f} CPU-ms each; {now['status']}"
    )
    print(f"another endpoint waited beside it: {told(beside)}")
    assert missing.count.value == count, f"{missing.count.value} of {count} came"

    replay = asked("post", _REPLAYS, webhook_endpoint=endpoint.id, deliveries="all")()
    wait_until(lambda: missing.count.value > count, "another one began")
    canceled = asked("post", f"{_REPLAYS}/{replay['id']}/cancel")()
    wait_until(lambda: missing.count.value >= count + canceled["replayed"], "what was due by then was sent")
    print(f"canceled after {canceled['replayed']} were made due: {missing.count.value - count} were sent")
    assert canceled["replayed"] <= missing.count.value - count + WAITING_MAX


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deliveries", type=int, default=100_000)
    options = parser.parse_args()
    with running_tap() as tap, sink() as missing, sink() as other:
        measure(tap, missing, other, options.deliveries)


if __name__ == "__main__":
    main()
