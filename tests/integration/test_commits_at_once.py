"""The machine that calls at once, over the handlers and two copies of transaction-processor; and that it is awake: without the comparison it finds the loss."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import asyncpg
import psycopg
import pytest
from hypothesis.errors import FlakyFailure
from hypothesis.stateful import run_state_machine_as_test

from payments.domain.charge import Charge
from payments.storage.books import find_faults
from payments.storage.database import connect
from payments.storage.payments import Begin, Settlement
from payments.storage.versions import Compared
from tests.support.at_once import World, bounded, machine
from tests.support.in_process import InProcess, in_process

BOUNDED = bounded(max_examples=25)


@contextmanager
def world(database_url: str) -> Generator[Callable[[], World]]:
    """The services in a loop that runs only while something is called."""
    with asyncio.Runner() as runner:
        context = in_process(database_url, copies=2)
        tap: InProcess = runner.run(context.__aenter__())
        try:
            yield lambda: World(tap, runner.run)
        finally:
            runner.run(context.__aexit__(None, None, None))


async def faults(database_url: str) -> list[Any]:
    async with connect(database_url) as connection:
        return list(await find_faults(connection))


@pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning")
def test_some_order_explains_what_is_called_at_once(database_url: str) -> None:
    with world(database_url) as made:
        run_state_machine_as_test(machine(made), settings=BOUNDED)
    assert asyncio.run(faults(database_url)) == []


@pytest.mark.parametrize("bounded", [True, False])
def test_were_charges_not_compared_the_machine_would_find_more_refunded_than_captured(
    database_url: str, monkeypatch: pytest.MonkeyPatch, bounded: bool
) -> None:
    """With the database's bounds such a refund is refused as a failure of ours; without them it succeeds, and the model finds it."""
    for unit in (Begin, Settlement):
        monkeypatch.setattr(unit, "compared", _but_charges(unit.compared))
    if not bounded:
        with psycopg.connect(database_url) as owner:
            owner.execute("DROP FUNCTION payments.check_refunds CASCADE")
            owner.execute("ALTER TABLE payments.charges DROP CONSTRAINT refunded_is_captured")
    found = asyncpg.CheckViolationError if bounded else AssertionError
    with world(database_url) as made, pytest.raises(found):
        run_until_it_fails(made)


def run_until_it_fails(made: Callable[[], World]) -> None:
    """Raise what the machine finds first: who comes first is the processor's business, too, so that the same calls needn't find it again."""
    try:
        run_state_machine_as_test(machine(made), settings=BOUNDED)
    except FlakyFailure as once:
        raise once.exceptions[0] from None


def _but_charges(compared: Callable[[Any], list[Compared]]) -> Callable[[Any], list[Compared]]:
    return lambda unit: [each for each in compared(unit) if each.kind is not Charge]
