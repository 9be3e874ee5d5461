"""Whoever tries a release out has each step carried out by the copies that are tried out; nobody else has."""

import pytest

from payments.domain.event import Event
from payments.storage.attempts import OpenAttempt
from tests.support.in_process import DirectHandover, in_process


def counted(handover: DirectHandover) -> list[str]:
    """Note what is handed over from now on."""
    kinds: list[str] = []
    carry_out = handover.carry_out_work

    async def noted(work: OpenAttempt) -> Event | None:
        kinds.append(work.attempt.kind)
        return await carry_out(work)

    handover.carry_out_work = noted
    return kinds


@pytest.mark.parametrize("on_trial", [True, False])
async def test_every_step_of_a_trial_goes_to_the_copies_that_are_tried_out(database_url: str, *, on_trial: bool) -> None:
    async with in_process(database_url) as made:
        live, tried = counted(made.handover), counted(made.trial)
        made.on_trial = on_trial
        held = await made.post(
            "payment_intents", amount="1000", currency="usd", payment_method="pm_card_visa", confirm="true", capture_method="manual"
        )
        assert (await made.post(f"payment_intents/{held.id}/capture")).body["status"] == "succeeded"
        assert (await made.post("refunds", payment_intent=held.id)).body["status"] == "succeeded"
    used, unused = (tried, live) if on_trial else (live, tried)
    assert used == ["authorize", "capture", "refund"]
    assert unused == []
