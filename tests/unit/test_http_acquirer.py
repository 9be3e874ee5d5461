"""The acquirer over HTTP takes for an outcome what was said clearly, about this order, by whoever has the secret. All else is unknown."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from payments.acquirers.acquirer import NotSent
from payments.acquirers.configuration import HttpSpec
from payments.acquirers.far_end import http_host
from payments.acquirers.far_end.faults import Fault
from payments.acquirers.http.acquirer import open_http
from payments.acquirers.http.signature import WINDOW_SECONDS, request_fault, request_headers, sign_answer
from payments.domain.attempt import AttemptKind
from payments.domain.outcome import Approved, Declined, NotFound, Unknown
from payments.runtime.clock import SystemClock
from tests.support.acquirers_to_test import SECRET, VISA, Bank, authorization, follow_up, http_bank

CARRIED_OUT = [
    Fault.LATE,
    Fault.SILENT,
    Fault.DROP,
    Fault.HALF,
    Fault.OTHER_AMOUNT,
    Fault.OTHER_ORDER,
    Fault.FORGED,
    Fault.NONSENSE,
    Fault.ERROR,
]
NEVER_CAME = [Fault.DEAF, Fault.REFUSE]


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncGenerator[Bank]:
    async with http_bank(tmp_path) as made:
        yield made


@pytest.mark.parametrize("fault", CARRIED_OUT)
async def test_what_was_carried_out_and_answered_badly_is_unknown_until_it_is_asked_about(bank: Bank, fault: Fault) -> None:
    bank.does(fault, seconds=2)
    assert isinstance(await bank.acquirer.execute(authorization()), Unknown)
    assert isinstance(await bank.acquirer.inquire(authorization()), Approved)
    assert bank.record.totals()[0]["orders"] == 1


@pytest.mark.parametrize("fault", NEVER_CAME)
async def test_what_never_came_is_unknown_and_then_not_found(bank: Bank, fault: Fault) -> None:
    bank.does(fault)
    assert isinstance(await bank.acquirer.execute(authorization()), Unknown)
    assert await bank.acquirer.inquire(authorization()) == NotFound()
    assert isinstance(await bank.acquirer.execute(authorization()), Approved)


async def test_what_was_given_up_is_never_carried_out_however_late_it_comes(bank: Bank) -> None:
    assert isinstance(await bank.acquirer.give_up(authorization()), Declined)
    assert isinstance(await bank.acquirer.give_up(authorization()), Declined)
    assert await bank.acquirer.execute(authorization()) == Unknown(reason="status 409")
    assert isinstance(await bank.acquirer.inquire(authorization()), Declined)
    assert bank.record.totals() == []


async def test_what_came_after_all_is_not_given_up(bank: Bank) -> None:
    await bank.acquirer.execute(authorization())
    assert isinstance(await bank.acquirer.give_up(authorization()), Unknown)
    assert isinstance(await bank.acquirer.inquire(authorization()), Approved)


@pytest.mark.parametrize("fault", [*(each for each in CARRIED_OUT if each is not Fault.DROP), Fault.TWICE])
async def test_a_bad_answer_to_a_question_says_nothing_either(bank: Bank, fault: Fault) -> None:
    await bank.acquirer.execute(authorization())
    bank.does(fault, seconds=2)
    answer = await bank.acquirer.inquire(authorization())
    assert isinstance(answer, Approved if fault is Fault.TWICE else Unknown)
    assert isinstance(await bank.acquirer.inquire(authorization()), Approved)


async def test_what_never_came_is_not_carried_out_when_for_ever_is_over(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_host, "_FOREVER_SECONDS", 0.0)
    bank.does(Fault.DEAF)
    assert isinstance(await bank.acquirer.execute(authorization()), Unknown)
    assert bank.record.find("att_1") is None


async def test_an_answer_that_comes_twice_is_one(bank: Bank) -> None:
    bank.does(Fault.TWICE)
    assert isinstance(await bank.acquirer.execute(authorization()), Approved)
    assert isinstance(await bank.acquirer.execute(authorization("att_other", amount=4002)), Declined)


async def test_the_reference_of_another_order_is_not_taken_for_a_repetition(bank: Bank) -> None:
    await bank.acquirer.execute(authorization())
    assert await bank.acquirer.execute(authorization(amount=1)) == Unknown(reason="status 409")


async def test_nobody_there_means_that_nothing_was_sent() -> None:
    spec = HttpSpec(name="bank", mode="live", url="http://127.0.0.1:1", key_id="tap")
    async with open_http(spec, SECRET, SystemClock()) as acquirer:
        with pytest.raises(NotSent):
            await acquirer.execute(authorization())
        with pytest.raises(NotSent):
            await acquirer.inquire(authorization())
        assert await acquirer.health() == "ClientConnectorError"


async def test_a_hold_grows(bank: Bank) -> None:
    await bank.acquirer.execute(authorization(capture=False))
    assert isinstance(await bank.acquirer.execute(follow_up(AttemptKind.INCREMENT, "att_2", amount=3000)), Approved)
    capture = follow_up(AttemptKind.CAPTURE, "att_3", amount=3000, original="att_2")
    assert isinstance(await bank.acquirer.execute(capture), Approved)
    again = dataclasses.replace(capture, reference="att_4", amount=1)
    assert isinstance(await bank.acquirer.execute(again), Declined)


async def test_the_bank_keeps_no_card_numbers(bank: Bank, tmp_path: Path) -> None:
    await bank.acquirer.execute(authorization())
    stored = await asyncio.to_thread(lambda: b"".join(path.read_bytes() for path in tmp_path.iterdir()))
    assert VISA.encode() not in stored
    assert VISA[-4:].encode() in stored


async def answering(status: int, body: bytes, headers: dict[str, str] | None = None) -> tuple[web.AppRunner, HttpSpec]:
    """A bank that signs whatever it says."""

    async def handle(request: web.Request) -> web.Response:
        signature = sign_answer(SECRET, request.headers["Tap-Signature"], status, body)
        return web.Response(status=status, body=body, headers={"Tap-Signature": signature, **(headers or {})})

    application = web.Application()
    application.add_routes([web.route("*", "/{path:.*}", handle)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, HttpSpec(name="bank", mode="live", url=f"http://127.0.0.1:{runner.addresses[0][1]}/tap", key_id="tap")


APPROVED = {"type": "approved", "reference": "att_1", "amount": 2000, "currency": "usd", "authorization_code": "123456"}


def said(**changes: Any) -> bytes:
    return json.dumps({name: value for name, value in {**APPROVED, **changes}.items() if value is not None}).encode()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"[]"),
        (200, b"{}"),
        (200, said(type="maybe")),
        (200, said(amount="2000")),
        (200, said(amount=2000.5)),
        (200, said(authorization_code=None)),
        (200, said(currency="eur")),
        (200, said(reference="att_2")),
        (200, said(amount=-2000)),
        (200, said(type="pending")),
        (200, said(type="not_found")),
        (200, said(padding="x" * 100_000)),
        (200, b"\xff\xfe"),
        (200, said()[:-1]),
        (201, said()),
        (202, said()),
        (302, said()),
        (400, said()),
        (402, said(type="declined")),
        (404, said(type="not_found", reference="att_1")),
        (500, said()),
        (503, b""),
    ],
)
async def test_an_order_has_no_outcome_by(status: int, body: bytes) -> None:
    runner, spec = await answering(status, body, {"Location": "/elsewhere"})
    async with open_http(spec, SECRET, SystemClock()) as acquirer:
        assert isinstance(await acquirer.execute(authorization()), Unknown)
    await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, b""), (404, b"Not found"), (404, said(type="not_found", reference="att_2")), (200, said(type="not_found")), (404, said())],
)
async def test_an_order_is_not_lost_by(status: int, body: bytes) -> None:
    runner, spec = await answering(status, body)
    async with open_http(spec, SECRET, SystemClock()) as acquirer:
        assert isinstance(await acquirer.inquire(authorization()), Unknown)
    await runner.cleanup()


async def test_unknown_fields_and_decline_codes_do_no_harm() -> None:
    for body, expected in ((said(new="field"), Approved), (said(type="declined", decline_code="new_reason"), Declined)):
        runner, spec = await answering(200, body)
        async with open_http(spec, SECRET, SystemClock()) as acquirer:
            answer = await acquirer.execute(authorization())
        assert isinstance(answer, expected)
        assert not isinstance(answer, Declined) or answer.decline_code == "generic_decline"
        await runner.cleanup()


async def test_what_cannot_be_kept_of_an_approval_does_not_undo_it() -> None:
    runner, spec = await answering(
        200, said(authorization_code="12\x00é34" + "x" * 1000, network_transaction_id="\x00", cvc_check="not_checked")
    )
    async with open_http(spec, SECRET, SystemClock()) as acquirer:
        answer = await acquirer.execute(authorization())
    assert answer == Approved(authorization_code=("1234" + "x" * 1000)[:255])
    await runner.cleanup()


@pytest.mark.parametrize(("taken", "asked"), [([], "usd"), (["eur", "usd"], "usd"), (["eur", "chf"], "eur")])
async def test_a_card_is_verified_in_a_currency_that_the_acquirer_takes(taken: list[str], asked: str) -> None:
    runner, spec = await answering(200, said(reference="ver_1", amount=0, currency=asked))
    async with open_http(msgspec.structs.replace(spec, currencies=taken), SECRET, SystemClock()) as acquirer:
        assert isinstance(await acquirer.verify_card(authorization("ver_1", amount=0)), Approved)
    await runner.cleanup()


HEADERS = request_headers("tap", SECRET, 1_800_000_000, "POST", "/orders", b"{}")


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, None),
        ({"now": 1_800_000_000 + WINDOW_SECONDS}, None),
        ({"now": 1_800_000_000 + WINDOW_SECONDS + 1}, "outside_of_window"),
        ({"now": 1_800_000_000 - WINDOW_SECONDS - 1}, "outside_of_window"),
        ({"method": "GET"}, "bad_signature"),
        ({"path": "/orders/"}, "bad_signature"),
        ({"body": b"{} "}, "bad_signature"),
        ({"headers": {**HEADERS, "Tap-Timestamp": "1800000001"}}, "bad_signature"),
        ({"headers": {**HEADERS, "Tap-Timestamp": "²"}}, "bad_timestamp"),
        ({"headers": {**HEADERS, "Tap-Timestamp": "9" * 5000}}, "bad_timestamp"),
        ({"headers": {**HEADERS, "Tap-Key": "other"}}, "unknown_key"),
        ({"headers": {**HEADERS, "Tap-Signature": "\udcff"}}, "bad_signature"),
        ({"headers": {}}, "unknown_key"),
    ],
)
def test_a_request_is_signed_for_one_moment_and_one_place(changes: dict[str, Any], fault: str | None) -> None:
    given: dict[str, Any] = {"headers": HEADERS, "method": "POST", "path": "/orders", "body": b"{}", "now": 1_800_000_000, **changes}
    assert request_fault({"tap": SECRET}, **given) == fault


async def test_the_bank_takes_nothing_that_is_not_signed(bank: Bank) -> None:
    url = str(getattr(bank.acquirer, "_url"))  # noqa: B009 - the tests' own way in
    async with aiohttp.ClientSession() as session, session.post(f"{url}/orders", data=b"{}") as response:
        assert response.status == 401


async def test_many_orders_at_once_get_each_its_own_answer(tmp_path: Path) -> None:
    orders = [authorization(f"att_{number}", amount=4002 if number % 3 == 0 else 1000 + number) for number in range(60)]
    async with http_bank(tmp_path, timeout_seconds=30) as bank:
        answers = await asyncio.gather(*(bank.acquirer.execute(order) for order in orders))
    assert [isinstance(answer, Declined) for answer in answers] == [order.amount == 4002 for order in orders]
