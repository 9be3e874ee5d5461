"""`python -m payments.storage settings`: what is set for a merchant, where only tasks reach the database."""

import json
from typing import Any

import pytest

from payments.domain.api_version import NEWEST, OLDEST
from payments.storage.database import Connection
from payments.storage.keys import create_merchant, find_account
from payments.storage.webhook_endpoints import count_for_one_more
from tests.integration.test_maintenance import run


def settings(database_url: str | None, **order: Any) -> tuple[int, list[dict[str, Any]], str]:
    return run(database_url, "settings", json.dumps(order))


async def test_a_merchants_version_is_set_and_shown(database_url: str, connection: Connection) -> None:
    first, second = [await create_merchant(connection, name) for name in ("First", "Second")]
    status, (line,), errors = settings(database_url, merchant=second, api_version=OLDEST)
    assert (status, errors, line["event"], line["merchant_id"]) == (0, "", "settings", second)
    assert (line["account"]["name"], line["account"]["api_version"]) == ("Second", OLDEST)
    assert (await find_account(connection, first)).api_version == NEWEST
    _, (line,), _ = settings(database_url)
    assert (line["merchant_id"], line["account"]["api_version"]) == (first, NEWEST), "the first one, as it was"


async def test_how_many_webhook_endpoints_a_merchant_may_have_is_set(database_url: str, connection: Connection) -> None:
    first, second = [await create_merchant(connection, name) for name in ("First", "Second")]
    assert (await find_account(connection, first)).webhook_endpoints_max == 16
    status, (line,), _ = settings(database_url, webhook_endpoints=32)
    assert (status, line["account"]["webhook_endpoints_max"]) == (0, 32)
    async with connection.transaction():
        assert await count_for_one_more(connection, first, livemode=False) == (0, 32)
        assert await count_for_one_more(connection, second, livemode=False) == (0, 16)


@pytest.mark.parametrize(
    ("order", "status", "message"),
    [
        ({"merchant": 99}, 1, "There is no merchant 99. There are: 1"),
        ({"api_version": "1999-01-01"}, 1, "Invalid Stripe API version: 1999-01-01"),
        ({"webhook_endpoints": 0}, 1, "1 to 256 webhook endpoints"),
        ({"webhook_endpoints": 257}, 1, "1 to 256 webhook endpoints"),
        ({"fee": 1}, 2, "unknown field `fee`"),
        ({"merchant": "first"}, 2, "$.merchant"),
    ],
)
async def test_what_can_not_be_set_is_one_line_and_changes_nothing(
    database_url: str, connection: Connection, order: dict[str, Any], status: int, message: str
) -> None:
    merchant_id = await create_merchant(connection, "First")
    got, lines, errors = settings(database_url, **order)
    assert got == status
    assert message in (lines[0]["message"] if status == 1 else errors)
    assert (await find_account(connection, merchant_id)).api_version == NEWEST
