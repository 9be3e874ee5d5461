"""The acquirer over ISO 8583: what it sends is as the standard has it, what it takes is taken as far as it can be told what it is, and nothing is lost."""

import asyncio
import dataclasses
import io
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from payments.acquirers.acquirer import NotSent
from payments.acquirers.configuration import ConfigurationError, Iso8583Spec, parse
from payments.acquirers.far_end.faults import Fault
from payments.acquirers.iso8583.acquirer import Iso8583Acquirer, open_iso8583
from payments.acquirers.iso8583.codec import Codec, Fields, MalformedError
from payments.acquirers.iso8583.framing import Framing, OutOfStepError
from payments.acquirers.iso8583.messages import Terminal, answer_type, completion, key_of, release, request, undo, undoing
from payments.acquirers.iso8583.responses import decline_code
from payments.acquirers.iso8583.traces import MadeOfReferences
from payments.domain.attempt import AttemptKind
from payments.domain.outcome import Approved, Declined, Unknown
from payments.runtime.clock import SystemClock
from payments.runtime.logging import Logger
from tests.support.acquirers_to_test import FRAMING, ISO8583_SETTINGS, VISA, Bank, authorization, follow_up, iso8583_bank
from tests.support.scripted_host import Scripted, approval, scripted_host
from tests.support.waiting import eventually

TERMINAL = Terminal(
    terminal_id="TAP00001", merchant_id="000000000000001", location="Shoes", merchant_category_code="5661", institution="123456"
)
NONE: dict[str, int] = {}
"""No number was given: each follows from its reference."""
SHORT: dict[str, Any] = {"timeout_seconds": 0.3, "repeat_seconds": 0.3, "repeats_max": 1}
UNCLEAR = [
    Fault.SILENT,
    Fault.DEAF,
    Fault.DROP,
    Fault.REFUSE,
    Fault.HALF,
    Fault.OTHER_AMOUNT,
    Fault.OTHER_ORDER,
    Fault.FORGED,
    Fault.NONSENSE,
    Fault.ERROR,
    Fault.LATE,
]


@pytest.fixture(params=["ascii", "bcd"])
def codec(request: pytest.FixtureRequest) -> Codec:
    return Codec(request.param, "hex")


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncGenerator[Bank]:
    async with iso8583_bank(tmp_path, **SHORT) as made:
        yield made


def held(bank: Bank) -> int:
    return sum(int(str(each["amount"])) for each in bank.record.totals())


async def sure(ask: Callable[[], Any]) -> Any:
    """Ask until the line is up again and there is an answer."""
    answers: list[Any] = []

    async def answered() -> bool:
        try:
            answers.append(await ask())
        except NotSent:
            return False
        return not isinstance(answers[-1], Unknown)

    await eventually(answered, "the host answers clearly")
    return answers[-1]


@pytest.mark.parametrize("fault", UNCLEAR)
async def test_what_was_not_answered_clearly_is_unknown_and_then_undone(bank: Bank, fault: Fault) -> None:
    bank.does(fault, seconds=1)
    assert isinstance(await bank.acquirer.execute(authorization()), Unknown)
    assert isinstance(await sure(lambda: bank.acquirer.inquire(authorization())), Declined)
    assert held(bank) == 0
    assert isinstance(await sure(lambda: bank.acquirer.execute(authorization("att_2"))), Approved), "the line goes on"


@pytest.mark.parametrize("fault", UNCLEAR)
@pytest.mark.parametrize("kind", [AttemptKind.CAPTURE, AttemptKind.VOID])
async def test_an_advice_is_repeated_until_it_is_answered_and_done_once(bank: Bank, kind: AttemptKind, fault: Fault) -> None:
    assert isinstance(await bank.acquirer.execute(authorization(capture=False)), Approved)
    bank.does(fault, seconds=1)
    order = follow_up(kind, "att_2")
    first = await bank.acquirer.execute(order)
    assert isinstance(first, Approved | Unknown)
    assert isinstance(await sure(lambda: bank.acquirer.inquire(order)), Approved)
    captured = [each["amount"] for each in bank.record.totals() if each["kind"] == "capture"]
    assert captured == ([2000] if kind is AttemptKind.CAPTURE else [])


async def test_an_answer_that_comes_late_is_undone_without_being_asked(bank: Bank) -> None:
    bank.does(Fault.LATE, seconds=0.5)
    assert isinstance(await bank.acquirer.execute(authorization()), Unknown)
    assert held(bank) == 2000

    async def undone() -> bool:
        return held(bank) == 0

    await eventually(undone, "what was approved late is undone")


async def test_two_answers_are_one_and_the_second_undoes_nothing(bank: Bank) -> None:
    bank.does(Fault.TWICE)
    assert isinstance(await bank.acquirer.execute(authorization()), Approved)
    assert isinstance(await bank.acquirer.execute(authorization("att_2")), Approved)
    assert held(bank) == 4000
    assert isinstance(bank.acquirer, Iso8583Acquirer)
    assert bank.acquirer.line.counts == {"to_nobody": 1}


async def test_a_reversal_that_comes_before_its_payment_keeps_it_from_being_made(bank: Bank) -> None:
    assert isinstance(await bank.acquirer.inquire(authorization()), Declined)
    assert not isinstance(await bank.acquirer.execute(authorization()), Approved)
    assert held(bank) == 0


async def test_what_is_left_of_a_hold_is_given_up(bank: Bank) -> None:
    await bank.acquirer.execute(authorization(capture=False))
    await bank.acquirer.execute(follow_up(AttemptKind.CAPTURE, "att_2", amount=500))
    assert isinstance(await bank.acquirer.execute(follow_up(AttemptKind.VOID, "att_3", amount=1500)), Approved)
    assert isinstance(await bank.acquirer.execute(follow_up(AttemptKind.CAPTURE, "att_4", amount=500)), Declined)


async def test_a_refund_without_an_answer_is_undone(bank: Bank) -> None:
    await bank.acquirer.execute(authorization())
    bank.does(Fault.SILENT)
    refund = follow_up(AttemptKind.REFUND, "att_2", holds=False)
    assert isinstance(await bank.acquirer.execute(refund), Unknown)
    assert isinstance(await bank.acquirer.inquire(refund), Declined)
    assert held(bank) == 2000


async def test_many_messages_share_the_line(tmp_path: Path) -> None:
    async with iso8583_bank(tmp_path) as bank:
        orders = [authorization(f"att_{number}", amount=4002 if number % 3 == 0 else 1000 + number) for number in range(60)]
        answers = await asyncio.gather(*(bank.acquirer.execute(order) for order in orders))
    assert [isinstance(answer, Declined) for answer in answers] == [order.amount == 4002 for order in orders]


async def test_nothing_is_sent_before_the_line_is_up() -> None:
    spec = msgspec.convert({"kind": "iso8583", **ISO8583_SETTINGS, "connect_timeout_seconds": 0.2}, Iso8583Spec)
    async with open_iso8583(spec, SystemClock(), Logger("test", io.BytesIO()), traces=MadeOfReferences()) as acquirer:
        with pytest.raises(NotSent):
            await acquirer.execute(authorization())
        assert await acquirer.health() == "ConnectionRefusedError"


async def test_what_has_no_field_is_refused_and_not_left_out(bank: Bank) -> None:
    for order in (follow_up(AttemptKind.INCREMENT, "att_2", amount=3000), dataclasses.replace(authorization(), currency="xof")):
        answer = await bank.acquirer.execute(order)
        assert isinstance(answer, Declined)
        assert answer.network_status == "not_sent_to_network"
    assert bank.record.totals() == []


@pytest.mark.parametrize(
    "framing",
    [
        FRAMING,
        Framing(length_bytes=4, length_format="ascii", counts_itself=False, tpdu=b""),
        Framing(length_bytes=4, length_format="binary", counts_itself=True, tpdu=bytes.fromhex("6000010000")),
        Framing(length_bytes=2, length_format="binary", counts_itself=True, tpdu=bytes.fromhex("6000010000")),
    ],
)
async def test_frames_are_as_the_host_wants_them(tmp_path: Path, framing: Framing) -> None:
    settings: dict[str, Any] = {
        "length_bytes": framing.length_bytes,
        "length_format": framing.length_format,
        "length_counts_itself": framing.counts_itself,
        "tpdu": framing.tpdu.hex(),
    }
    async with iso8583_bank(tmp_path, framing=framing, **settings) as bank:
        assert isinstance(await bank.acquirer.execute(authorization()), Approved)


@pytest.mark.parametrize("head", [b"\xff\xff", b"\x27\x10"])
async def test_a_length_that_makes_no_sense_ends_the_line(head: bytes) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(head)
    with pytest.raises(OutOfStepError):
        await FRAMING.read(reader)


def test_an_authorization_is_as_the_standard_has_it() -> None:
    order = authorization(capture=False)
    raw = Codec("ascii", "hex").encode(request(order, TERMINAL, NONE))
    message = Codec("ascii", "hex").decode(raw)
    assert raw.startswith(b"0100" + b"7" + b"2")
    assert (message["t"], message["3"], message["4"], message["49"]) == ("0100", "000000", "000000002000", "840")
    assert (message["7"], message["12"], message["13"], message["14"]) == ("0115080000", "080000", "0115", "3012")
    assert [len(message[name]) for name in ("11", "37", "41", "42", "43")] == [6, 12, 8, 15, 40]
    assert request(authorization(), TERMINAL, NONE)["t"] == "0200"


def test_a_reversal_names_its_original() -> None:
    original = request(authorization(capture=False), TERMINAL, NONE)
    reversal = undo(authorization(capture=False), TERMINAL, NONE, repeats=False)
    assert reversal["90"] == "0100" + original["11"] + original["7"] + "00000123456" + "0" * 11
    assert (reversal["t"], reversal["37"], reversal["39"]) == ("0420", original["37"], "68")
    again = undo(authorization(capture=False), TERMINAL, NONE, repeats=True)
    assert again == {**reversal, "t": "0421"}
    assert key_of(again) == key_of(reversal) == ("0430", reversal["11"], reversal["37"])
    for message in (completion(follow_up(AttemptKind.CAPTURE, "att_2"), TERMINAL, NONE, repeats=False),):
        assert (message["t"], message["90"], message["38"]) == ("0220", reversal["90"], "123456")
    left = release(follow_up(AttemptKind.VOID, "att_3", amount=1500), TERMINAL, NONE, repeats=False)
    assert (left["4"], left["95"][:12]) == ("000000002000", "000000000500")


def test_types_of_answers() -> None:
    pairs = {"0100": "0110", "0200": "0210", "0220": "0230", "0221": "0230", "0420": "0430", "0421": "0430", "0800": "0810"}
    assert {sent: answer_type(sent) for sent in pairs} == pairs


def test_references_make_numbers_that_differ_and_stay() -> None:
    messages = [request(authorization(f"att_{number}"), TERMINAL, NONE) for number in range(3000)]
    assert len({message["37"] for message in messages}) == 3000
    assert all(message["11"] != "000000" for message in messages)
    assert request(authorization("att_7"), TERMINAL, NONE) == messages[7]


def test_a_message_has_the_number_that_was_given_and_so_has_what_undoes_it() -> None:
    order = authorization(capture=False)
    numbers = {order.reference: 7, undoing(order.reference): 8, "att_2": 9}
    assert request(order, TERMINAL, numbers)["11"] == "000007"
    reversal = undo(order, TERMINAL, numbers, repeats=True)
    assert (reversal["11"], reversal["90"][:10]) == ("000008", "0100000007")
    capture = completion(follow_up(AttemptKind.CAPTURE, "att_2"), TERMINAL, numbers, repeats=False)
    assert (capture["11"], capture["90"][:10]) == ("000009", "0100000007")
    before = request(order, TERMINAL, NONE)
    assert {name for name in before if before[name] != request(order, TERMINAL, numbers)[name]} == {"11"}


class Counted:
    """`Traces` in memory, as all copies share them."""

    def __init__(self) -> None:
        self.given: dict[str, int] = {}
        self.away = False

    async def numbers(self, acquirer: str, created: Mapping[str, int]) -> Mapping[str, int]:
        assert acquirer == "host"
        assert all(created.values()), created
        if self.away:
            raise ConnectionError
        return {reference: self.given.setdefault(reference, len(self.given) + 1) for reference in created}


async def test_whoever_takes_over_undoes_what_was_sent_under_its_number(tmp_path: Path) -> None:
    traces = Counted()
    async with iso8583_bank(tmp_path, traces=traces, **SHORT) as bank:
        bank.does(Fault.SILENT)
        assert isinstance(await bank.acquirer.execute(authorization()), Unknown)
        bank.does(Fault.NONE)
        spec = msgspec.convert({"kind": "iso8583", **ISO8583_SETTINGS, "port": bank.port, **SHORT}, Iso8583Spec)
        async with open_iso8583(spec, SystemClock(), Logger("test", io.BytesIO()), traces=traces) as other:
            assert await other.health() is None
            assert isinstance(await other.inquire(authorization()), Declined)
        assert held(bank) == 0
        assert list(traces.given.values()) == [1, 2]

        approved = await bank.acquirer.execute(authorization("att_5", capture=False))
        assert isinstance(approved, Approved)
        claim = dataclasses.replace(follow_up(AttemptKind.CAPTURE, "att_6"), original_reference="att_5")
        assert isinstance(await bank.acquirer.execute(claim), Approved)
        assert isinstance(await bank.acquirer.inquire(claim), Approved)
        assert traces.given["att_6"] == 4


async def test_without_a_number_nothing_is_sent(tmp_path: Path) -> None:
    traces = Counted()
    async with iso8583_bank(tmp_path, traces=traces, **SHORT) as bank:
        traces.away = True
        for ask in (bank.acquirer.execute, bank.acquirer.inquire):
            with pytest.raises(NotSent, match="no trace number: ConnectionError"):
                await ask(authorization())
        assert bank.record.totals() == []


def test_bcd_is_packed_as_others_pack_it() -> None:
    raw = Codec("bcd", "binary").encode({"t": "0100", "2": "4000000000002", "22": "010", "41": "TAP00001"})
    assert raw.hex() == "0100" + "4000040000800000" + "13" + "40000000000020" + "0010" + b"TAP00001".hex()


def test_a_message_survives_the_way(codec: Codec) -> None:
    for message in (
        request(authorization(), TERMINAL, NONE),
        undo(authorization(), TERMINAL, NONE, repeats=True),
        {"t": "0810", "11": "000001", "70": "301"},
    ):
        assert codec.decode(codec.encode(message)) == message


def test_what_is_no_message_is_refused_with_its_place(codec: Codec) -> None:
    raw = codec.encode(request(authorization(), TERMINAL, NONE))
    broken = [raw[:length] for length in range(0, len(raw), 3)] + [raw + b"0", b"\xff" * 40, b"0100" + b"F" * 16, b"x" * 300]
    for each in broken:
        with pytest.raises(MalformedError, match=r"field") as raised:
            codec.decode(each)
        assert VISA not in str(raised.value)


@pytest.mark.parametrize(
    ("code", "expected"),
    [("51", "insufficient_funds"), ("54", "expired_card"), ("05", "do_not_honor"), ("ZZ", "generic_decline"), ("", "generic_decline")],
)
def test_response_codes_are_stripes_decline_codes(code: str, expected: str) -> None:
    assert decline_code(code) == expected


TOML = '[[acquirer]]\nkind = "iso8583"\n' + "".join(
    f"{name} = {msgspec.json.encode(value).decode()}\n" for name, value in ISO8583_SETTINGS.items()
)


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ('["usd","eur"]', "[]", "currencies is needed"),
        ('["usd","eur"]', '["xof"]', "no number is known of the currency xof"),
        ('"127.0.0.1"', '"bank.example"', "tls = false"),
        ('"TAP00001"', '"TAP000001"', "terminal_id"),
        ("port = 1\n", "port = 0\n", "port"),
        ("port = 1\n", 'port = 1\nlength_format = "ascii"\n', "length_bytes = 4"),
        ("port = 1\n", 'port = 1\ntpdu = "60"\n', "tpdu"),
    ],
)
def test_a_line_that_could_not_work_is_not_configured(before: str, after: str, complaint: str) -> None:
    assert parse(TOML, "acquirers.toml", None).acquirers
    with pytest.raises(ConfigurationError, match=complaint):
        parse(TOML.replace(before, after), "acquirers.toml", None)


@pytest.fixture
async def scripted() -> AsyncGenerator[tuple[Scripted, Iso8583Acquirer]]:
    async with scripted_host() as pair:
        yield pair


BEFORE_THE_ANSWER: dict[str, Callable[[Scripted, Fields], None]] = {
    "a bitmap that claims what isn't there": lambda host, _: host.raw(FRAMING.pack(b"0210FFFFFFFFFFFFFFFF")),
    "bytes": lambda host, _: host.raw(FRAMING.pack(b"\x00\xff" * 20)),
    "a frame without a message": lambda host, _: host.raw(b"\x00\x00"),
    "an answer to nobody": lambda host, asked: host.say(approval(asked, **{"11": "999998", "37": "NOBODYASKED0"})),
    "an answer to another type": lambda host, asked: host.say(approval(asked, t="0110")),
    "a request": lambda host, asked: host.say({"t": "0200", "11": asked["11"]}),
    "an echo of the host's own": lambda host, asked: host.say({"t": "0800", "7": asked["7"], "11": "000007", "70": "301"}),
    "a message without numbers": lambda host, _: host.say({"t": "0210", "39": "00"}),
}


@pytest.mark.parametrize("what", BEFORE_THE_ANSWER)
async def test_the_line_goes_on_after(scripted: tuple[Scripted, Iso8583Acquirer], what: str) -> None:
    host, acquirer = scripted
    asked = asyncio.create_task(acquirer.execute(authorization()))
    message = await host.came.get()
    BEFORE_THE_ANSWER[what](host, message)
    host.say(approval(message))
    assert isinstance(await asked, Approved)
    assert len(host.writers) == 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"37": "            "}, Approved),
        ({"38": "      "}, Approved),
        ({"39": "51"}, Declined),
        ({"39": "10", "4": "000000001000"}, Unknown),
        ({"39": "10"}, Unknown),
        ({"39": "32"}, Unknown),
        ({"4": "000000002001"}, Unknown),
        ({"49": "978"}, Unknown),
        ({"39": "94"}, Unknown),
    ],
)
async def test_an_answer_is_taken_for_what_it_says(
    scripted: tuple[Scripted, Iso8583Acquirer], changes: dict[str, str], expected: type
) -> None:
    host, acquirer = scripted
    asked = asyncio.create_task(acquirer.execute(authorization()))
    host.say(approval(await host.came.get(), **changes))
    assert isinstance(await asked, expected)
