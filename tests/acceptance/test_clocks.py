"""A machine's clock may be wrong, and a process may stand still: neither delays, declines, expires or doubles anything."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import stripe

from payments.runtime.topology import Service
from payments.storage.database import connect
from tests.acceptance.test_crash import Seen, Shop, check_payments, settled
from tests.support.copies import copy_of
from tests.support.running_tap import RunningTap, running_tap

DAY = 86_400.0


@pytest.mark.parametrize("ahead_seconds", [-3600, -8, 20, 30 * DAY])
async def test_a_payment_api_whose_clock_is_wrong_is_as_good_as_any(tap: RunningTap, ahead_seconds: float) -> None:
    status = tap.status()
    async with connect(status["database_url"]) as connection:
        with copy_of(tap, Service.PAYMENT_API, clock_ahead_seconds=ahead_seconds) as copy:
            client = stripe.StripeClient(status["secret_key"], base_addresses={"api": copy.url})  # type: ignore[arg-type]
            before: float = await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")
            made: list[Any] = [
                await asyncio.to_thread(
                    client.v1.payment_intents.create,
                    {"amount": 2000, "currency": "usd", "confirm": True, "payment_method": "pm_card_visa"},
                )
                for _ in range(5)
            ]
        after: float = await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")
        assert [intent.status for intent in made] == ["succeeded"] * 5
        assert all(before - 2 <= intent.created <= after + 2 for intent in made), "created is of the database's time"
        taken_over = await connection.fetchval(
            "SELECT count(*) FROM payments.attempts WHERE payment_intent = any($1) AND inquiries > 0", [intent.id for intent in made]
        )
        assert taken_over == 0, "each was carried out by whoever it was handed to, and waited for no sweeper"


async def test_a_transaction_processor_whose_clock_is_ahead_expires_and_releases_nothing_early(
    tap: RunningTap, client: stripe.StripeClient
) -> None:
    held = await asyncio.to_thread(
        client.v1.payment_intents.create,
        {"amount": 2000, "currency": "usd", "confirm": True, "payment_method": "pm_card_visa", "capture_method": "manual"},
    )
    sold = await asyncio.to_thread(
        client.v1.payment_intents.create, {"amount": 2000, "currency": "usd", "confirm": True, "payment_method": "pm_card_visa"}
    )
    async with connect(tap.status()["database_url"]) as connection:
        with copy_of(tap, Service.TRANSACTION_PROCESSOR, clock_ahead_seconds=30 * DAY):
            await asyncio.sleep(2)  # it sweeps as it starts
        assert await connection.fetchval("SELECT status FROM payments.payment_intents WHERE id = $1", held.id) == "requires_capture"
        source = (await asyncio.to_thread(client.v1.payment_intents.retrieve, sold.id)).latest_charge
        released = await connection.fetchval("SELECT released_at FROM payments.balance_transactions WHERE source = $1", source)
        assert released is None


async def test_a_process_that_stood_still_for_longer_than_its_leases_doubles_nothing(new_directory: Path) -> None:
    seen = Seen()
    with running_tap({"TAP_ATTEMPT_LEASE_SECONDS": "3", "TAP_ACQUIRER_TIMEOUT_SECONDS": "2"}, copied_from=new_directory) as tap:
        status = tap.status()
        with copy_of(tap, Service.TRANSACTION_PROCESSOR, clock_ahead_seconds=-7):
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
                shop = Shop(session, status["base_url"], status["secret_key"], seen)
                stop = asyncio.Event()
                clients = [asyncio.create_task(shop.shop(stop)) for _ in range(16)]
                holder = status["services"][Service.TRANSACTION_PROCESSOR]["pid"]
                await asyncio.sleep(1)
                os.kill(holder, signal.SIGSTOP)
                try:
                    await asyncio.sleep(6)
                finally:
                    os.kill(holder, signal.SIGCONT)
                await asyncio.sleep(1)
                stop.set()
                await asyncio.gather(*clients)
            assert shop.gave_up == []
            assert seen.succeeded
            async with connect(status["database_url"]) as connection:
                taken_over = await connection.fetchval("SELECT count(*) FROM payments.attempts WHERE inquiries > 0")
            assert taken_over > 0, "nothing was under way when it stood still: the test shows nothing"
            await settled(status["database_url"])
            # Whatever came too late for its lease is the other copy's.
            await check_payments(status["database_url"], seen)
            books = tap.tap("verify", check=False)
            assert books.returncode == 0, books.stdout
