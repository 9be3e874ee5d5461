"""The machine that calls at once, against the running system; `tests/integration/test_commits_at_once.py` shows that it is awake."""

import asyncio

import aiohttp
import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.support.at_once import World, bounded, machine
from tests.support.in_process import Answer
from tests.support.running_tap import RunningTap


class Caller:
    """Calls over HTTP."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def call(self, method: str, path: str, **params: str) -> Answer:
        in_query, in_body = (params, None) if method == "GET" else (None, params)
        async with self._session.request(method, path, params=in_query, data=in_body) as response:
            return Answer(response.status, await response.json())


async def open_session(base_url: str, key: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        base_url,
        headers={"Authorization": f"Bearer {key}"},
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=60),
    )


@pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning")
def test_some_order_explains_what_is_called_at_once(tap: RunningTap) -> None:
    key, base_url = tap.create_key("--new-merchant", "At once"), tap.status()["base_url"]
    with asyncio.Runner() as runner:
        session = runner.run(open_session(base_url, key))
        try:
            run_state_machine_as_test(
                machine(lambda: World(Caller(session), runner.run)),
                settings=bounded(max_examples=10),
            )
        finally:
            runner.run(session.close())
    books = tap.tap("verify", check=False)
    assert books.returncode == 0, books.stdout
