"""How many connections a copy of a service may open is known, since a server lets in only so many."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from functools import partial
from typing import Any

import asyncpg
import pytest
from starlette.types import ASGIApp

from payments.acquirers.configuration import Configuration
from payments.acquirers.routing import Routes
from payments.notification_service import main as notification_service
from payments.notification_service.channels.opening import ChannelSettings
from payments.payment_api import main as payment_api
from payments.runtime.logging import Logger
from payments.runtime.settings import Settings
from payments.runtime.topology import SERVICES, Service
from payments.storage.database import CONNECTION_FAILURES, Pool, open_pool
from payments.storage.watched_database import WatchedDatabase
from payments.transaction_processor import main as transaction_processor
from tests.support.waiting import eventually

APPLICATIONS: dict[Service, Callable[[Settings, Logger], AbstractAsyncContextManager[ASGIApp]]] = {
    Service.PAYMENT_API: partial(payment_api.application, routes=Routes()),
    Service.TRANSACTION_PROCESSOR: partial(transaction_processor.application, configuration=Configuration(), acquirer_secrets={}),
    Service.NOTIFICATION_SERVICE: partial(notification_service.application, reaching=ChannelSettings.from_environment({})),
}
SINGLE = {
    Service.PAYMENT_API: {"payment-api watch"},
    Service.TRANSACTION_PROCESSOR: {"transaction-processor watch"},
    Service.NOTIFICATION_SERVICE: {
        "notification-service watch",
        "notification-service delivery watch",
        "notification-service delivery listen",
    },
}
"""Connections beside the pools."""
LIMITS = ("idle_in_transaction_session_timeout", "lock_timeout")


@pytest.mark.parametrize("service", APPLICATIONS)
async def test_no_service_opens_more_connections_than_is_reckoned_with(
    service: Service, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools: list[int] = []
    single: set[str] = set()
    create_pool: Any = asyncpg.create_pool
    connect = WatchedDatabase.connect

    def recorded_pool(*arguments: Any, **options: Any) -> Any:
        pools.append(options["max_size"])
        return create_pool(*arguments, **options)

    def recorded_connection(database: WatchedDatabase, purpose: str) -> Any:
        single.add(f"{database.name} {purpose}")
        return connect(database, purpose)

    monkeypatch.setattr(asyncpg, "create_pool", recorded_pool)
    monkeypatch.setattr(WatchedDatabase, "connect", recorded_connection)
    settings = Settings.from_environment(
        {
            "TAP_DATABASE_URL": database_url,
            "TAP_DATABASE_ROLE": SERVICES[service].database_role,
            "TAP_PUBLIC_URL": "http://127.0.0.1:1",
            "TAP_TRANSACTION_PROCESSOR_URL": "http://127.0.0.1:1",
            "TAP_API_KEY_PEPPER": "00" * 32,
            "TAP_INTERNAL_API_KEY": "internal",
            "TAP_ENVELOPE_KEY": "00" * 32,
        }
    )

    async def all_are_there() -> bool:
        return single == SINGLE[service]

    async with APPLICATIONS[service](settings, Logger(service)):
        await eventually(all_are_there, "it watches and listens")
    assert sum(pools) + len(single) == SERVICES[service].connections_max


async def test_who_stands_still_in_a_transaction_loses_it_before_others_give_up(database_url: str) -> None:
    """Its machine may be frozen: then its system answers for it, and the connection looks well. What it has locked may be everybody's balances."""
    async with open_pool(database_url, role=None, name="test") as pool:
        for_how_long: list[timedelta] = [await pool.fetchval("SELECT current_setting($1)::interval", name) for name in LIMITS]
    idle, lock = for_how_long
    assert timedelta() < idle < lock

    async def stand_still(pool: Pool) -> None:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("LOCK TABLE ledger.balances")
            await pool.fetchval("SELECT count(*) FROM ledger.balances")  # another one waits for the lock, and gets it
            await connection.execute("SELECT")

    async with open_pool(database_url, role=None, name="test", server_settings={LIMITS[0]: "20ms"}) as pool:
        with pytest.raises(CONNECTION_FAILURES):
            await stand_still(pool)
        assert await pool.fetchval("SELECT 1") == 1
