"""Hosts agree on the standard, and each differs in something: what they do is borne, and what they want is a setting."""

import asyncio
import dataclasses
from typing import Any

import msgspec
import pytest

from payments.acquirers.acquirer import NotSent, Order
from payments.acquirers.configuration import ConfigurationError, Iso8583Spec, parse
from payments.acquirers.declines import DECLINE_CODES, GENERIC_DECLINE
from payments.acquirers.iso8583.acquirer import Iso8583Acquirer, terminal_of
from payments.acquirers.iso8583.codec import Fields
from payments.acquirers.iso8583.forms import Form, Forms
from payments.acquirers.iso8583.framing import Framing
from payments.acquirers.iso8583.messages import Terminal, completion, release, request, undo
from payments.acquirers.iso8583.responses import APPROVED, NOT_DECIDED, decline_code
from payments.domain.attempt import AttemptKind
from payments.domain.outcome import Approved, Declined, Unknown
from tests.support.acquirers_to_test import ISO8583_SETTINGS, authorization, follow_up
from tests.support.scripted_host import Scripted, approval, scripted_host
from tests.support.waiting import eventually

BCD = {"encoding": "bcd"}
REFUND = follow_up(AttemptKind.REFUND, "att_2", holds=False)
CAPTURE, VOID = follow_up(AttemptKind.CAPTURE, "att_2"), follow_up(AttemptKind.VOID, "att_2")


@pytest.mark.parametrize("settings", [{}, BCD])
@pytest.mark.parametrize(
    "changes",
    [
        {"28": "D00000050", "30": "C00000001"},
        {"43": "Bäckerei Müller          Zürich       CH", "63": "Größe"},
        {"48": "x" * 900, "63": "0" * 999, "44": "y" * 25},
        {"52": "0102030405060708", "64": "FF02030405060708", "128": "FF02030405060708"},
        {"55": "\x9f\x36\x02\x00\x1f"},
        {"7": "1128121212", "12": "121212", "13": "1128", "15": "1128"},
        {"41": "1       ", "42": "1              "},
        {"5": "000000000001", "9": "61234567", "10": "61234567", "50": "978", "51": "756"},
        {"90": "0" * 42, "95": "0" * 42, "102": "1234", "126": "visa", "127": "postilion"},
        {"38": "12\x00\x00\x00\x00"},
    ],
)
async def test_an_approval_is_one_whatever_else_is_in_it(settings: dict[str, Any], changes: Fields) -> None:
    async with scripted_host(**settings) as (host, acquirer):
        asked = asyncio.create_task(acquirer.execute(authorization()))
        host.say(approval(await host.came.get(), **changes))
        assert await asked == Approved(authorization_code="12" if "38" in changes else "123456")


async def test_an_approval_needs_no_more_than_what_it_answers_and_what_it_says() -> None:
    async with scripted_host() as (host, acquirer):
        asked = asyncio.create_task(acquirer.execute(authorization()))
        message = await host.came.get()
        host.say({"t": "0210", "11": message["11"], "39": "00"})
        assert await asked == Approved(authorization_code="000000")


async def test_a_card_is_verified_in_a_currency_that_the_host_takes() -> None:
    async with scripted_host(currencies=["eur", "chf"]) as (host, acquirer):
        asked = asyncio.create_task(acquirer.verify_card(authorization(amount=0)))
        message = await host.came.get()
        assert (message["t"], message["4"], message["49"]) == ("0100", "000000000000", "978")
        host.say(approval(message, **{"39": "85"}))
        assert isinstance(await asked, Approved)


@pytest.mark.parametrize("also", [{"37": "HOSTS0000001"}, {"48": "zusätzlich"}, {"12": "121212", "15": "1128", "100": "99"}])
async def test_a_line_comes_up_whatever_else_the_host_says(also: Fields) -> None:
    async with scripted_host(also) as (_, acquirer):
        assert await acquirer.health() is None


async def test_a_reference_number_in_small_letters_is_the_same() -> None:
    async with scripted_host() as (host, acquirer):
        asked = asyncio.create_task(acquirer.execute(authorization()))
        message = await host.came.get()
        host.say(approval(message, **{"37": message["37"].lower()}))
        assert isinstance(await asked, Approved)


async def test_a_host_may_ask_for_patience_before_it_answers() -> None:
    async with scripted_host() as (host, acquirer):
        asked = asyncio.create_task(acquirer.execute(authorization()))
        message = await host.came.get()
        for code in ("09", "09", "51"):
            host.say(approval(message, **{"39": code}))
        answer = await asked
    assert isinstance(answer, Declined)
    assert answer.decline_code == "insufficient_funds"


@pytest.mark.parametrize("order", [CAPTURE, VOID])
async def test_a_repetition_that_the_host_calls_a_duplicate_was_done(order: Order) -> None:
    async with scripted_host(repeat_seconds=0.2) as (host, acquirer):
        asked = asyncio.create_task(acquirer.execute(order))
        first, again = await host.came.get(), await host.came.get()
        assert again == {**first, "t": first["t"][:3] + "1"}
        host.say(approval(again, **{"39": "94"}))
        assert isinstance(await asked, Approved)


async def test_a_capture_that_the_host_takes_for_another_at_once_was_not_done() -> None:
    """As the second of an authorization, by a host that tells advices apart by its reference number."""
    async with scripted_host() as (host, acquirer):
        asked = asyncio.create_task(acquirer.execute(CAPTURE))
        host.say(approval(await host.came.get(), **{"39": "94"}))
        assert isinstance(await asked, Declined)
        assert host.came.empty()


@pytest.mark.parametrize("code", ["00", "10", "32"])
async def test_what_is_approved_late_is_undone_even_if_only_a_part_of_it_is(code: str) -> None:
    async with scripted_host(timeout_seconds=0.05) as (host, acquirer):
        assert await acquirer.execute(authorization()) == Unknown(reason="timeout")
        message = await host.came.get()
        host.say(approval(message, **{"39": code}))
        undone = await host.came.get()
        assert (undone["t"], undone["90"][4:10]) == ("0420", message["11"])
        host.say(approval(undone))


@pytest.mark.parametrize(("order", "expected"), [(REFUND, Approved), (authorization(), Declined)])
async def test_no_reason_to_decline_is_a_yes_to_what_takes_nothing(order: Order, expected: type) -> None:
    async with scripted_host() as (host, acquirer):
        asked = asyncio.create_task(acquirer.execute(order))
        host.say(approval(await host.came.get(), **{"39": "85"}))
        assert isinstance(await asked, expected)


@pytest.mark.parametrize(("changes", "what"), [({"39": "Q7"}, "unknown_code"), ({"4": "000000000001"}, "contradicts")])
async def test_an_answer_that_nobody_understands_is_counted(changes: Fields, what: str) -> None:
    async with scripted_host() as (host, acquirer):
        asked = asyncio.create_task(acquirer.execute(authorization()))
        host.say(approval(await host.came.get(), **changes))
        await asked
        assert acquirer.line.counts == {what: 1}


async def test_what_is_called_a_duplicate_at_once_is_said_again_as_a_repetition() -> None:
    async with scripted_host() as (host, acquirer):
        asked = asyncio.create_task(acquirer.inquire(authorization()))
        for message_type in ("0420", "0421"):
            message = await host.came.get()
            assert message["t"] == message_type
            host.say(approval(message, **{"39": "94"}))
        assert isinstance(await asked, Declined)


@pytest.mark.parametrize(
    ("asks", "answer", "code"),
    [
        ("0800", "0810", "00"),
        ("0801", "0810", "00"),
        ("0820", "0830", "00"),
        ("0821", "0830", "00"),
    ],
)
async def test_what_the_host_asks_about_the_line_is_answered_with_what_it_finds_the_answer_by(asks: str, answer: str, code: str) -> None:
    told = {"7": "1128040000", "11": "500001", "24": "001", "33": "654321", "41": "HOST0001", "70": "301"}
    async with scripted_host() as (host, _):
        host.say({"t": asks, **told, "48": "private", "53": "1234567890123456"})
        assert await host.answers.get() == {"t": answer, **told, "39": code}


@pytest.mark.parametrize("code", ["101", "161"])
async def test_a_key_that_the_host_sends_is_not_said_to_be_taken(code: str) -> None:
    async with scripted_host() as (host, _):
        host.say({"t": "0800", "7": "1128040000", "11": "500001", "48": "KEY", "70": code})
        assert (await host.answers.get())["39"] == "40"


async def test_what_cannot_be_repeated_in_an_answer_does_not_end_the_line() -> None:
    async with scripted_host() as (host, acquirer):
        host.codec = msgspec.convert({"kind": "iso8583", **ISO8583_SETTINGS, "formats": {"33": "n..99"}}, Iso8583Spec).codec
        host.say({"t": "0800", "7": "1128040000", "11": "500001", "33": "1" * 30, "70": "301"})
        assert await acquirer.health() is None
        assert acquirer.line.counts == {"malformed": 1}


async def test_nothing_is_sent_to_a_host_that_signed_off_until_it_signs_on_again() -> None:
    async with scripted_host(connect_timeout_seconds=0.2) as (host, acquirer):
        asked = asyncio.create_task(acquirer.execute(authorization()))
        message = await host.came.get()
        host.say({"t": "0800", "7": "1128040000", "11": "500001", "70": "002"})
        assert (await host.answers.get())["39"] == "00"
        with pytest.raises(NotSent, match="the host signed off"):
            await acquirer.execute(authorization("att_2"))
        assert await acquirer.health() == "the host signed off"
        host.say(approval(message))
        assert isinstance(await asked, Approved), "what was under way is answered"
        host.say({"t": "0800", "7": "1128040001", "11": "500002", "70": "001"})
        await host.answers.get()
        assert await acquirer.health() is None
        assert len(host.writers) == 1


async def test_a_host_that_signed_off_is_signed_on_to_again_after_a_while() -> None:
    async with scripted_host(echo_seconds=0.05) as (host, acquirer):
        host.say({"t": "0800", "7": "1128040000", "11": "500001", "70": "002"})
        await host.answers.get()

        async def up() -> bool:
            return await acquirer.health() is None and [each["70"] for each in host.network].count("001") == 2

        await eventually(up, "the line is up again")


async def test_a_host_without_sign_on_and_echo_is_sent_neither() -> None:
    async with scripted_host(sign_on=False, echo_seconds=0) as (host, acquirer):
        asked = asyncio.create_task(acquirer.execute(authorization()))
        host.say(approval(await host.came.get()))
        assert isinstance(await asked, Approved)
    assert host.network == []


async def test_a_host_that_gives_reference_numbers_is_sent_none_and_gets_its_own_back() -> None:
    async with scripted_host(reference_numbers="host") as (host, acquirer):
        asked = asyncio.create_task(acquirer.execute(authorization(capture=False)))
        message = await host.came.get()
        assert "37" not in message
        host.say(approval(message, **{"37": "HOSTS000001 "}))
        held = await asked
        assert isinstance(held, Approved)
        assert held.acquirer_reference == "HOSTS000001"
        for order in (CAPTURE, VOID, REFUND):
            following = asyncio.create_task(acquirer.execute(dataclasses.replace(order, acquirer_reference="HOSTS000001")))
            message = await host.came.get()
            assert message["37"] == "HOSTS000001 "
            host.say(approval(message, **{"37": "HOSTS000002 "}))
            assert isinstance(await following, Approved)


def terminal(**settings: Any) -> Terminal:
    """Return the terminal of an acquirer with these settings."""
    spec = msgspec.convert({"kind": "iso8583", **ISO8583_SETTINGS, **settings}, Iso8583Spec)
    return terminal_of(spec)


def sent(order: Order, given: Terminal) -> Fields:
    match order.kind:
        case AttemptKind.CAPTURE:
            return completion(order, given, {}, repeats=False)
        case AttemptKind.VOID:
            return release(order, given, {}, repeats=False)
        case _:
            return request(order, given, {})


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("verification", authorization(amount=0)),
        ("hold", authorization(capture=False)),
        ("payment", authorization()),
        ("refund", REFUND),
        ("capture", CAPTURE),
        ("release", VOID),
    ],
)
def test_a_message_has_what_its_host_wants_in_it_and_the_others_have_not(name: str, order: Order) -> None:
    form = {"type": "0700", "fields": {"3": "003000", "24": "001", "25": "", "63": "private"}}
    usual = sent(order, terminal())
    wanted = sent(order, terminal(messages={name: form}))
    assert wanted == {
        **{field: value for field, value in usual.items() if field != "25"},
        "t": "0700",
        "3": "003000",
        "24": "001",
        "63": "private",
    }
    assert sent(order, terminal(messages={"sign_on": form, "reversal": form})) == usual


def test_a_reversal_names_the_type_that_its_original_had_and_has_its_fields() -> None:
    given = terminal(
        messages={"hold": {"type": "0200", "fields": {"3": "300000"}}, "reversal": {"type": "0400", "fields": {"39": "", "60": "x"}}}
    )
    hold = authorization(capture=False)
    reversal = undo(hold, given, {}, repeats=False)
    assert (reversal["t"], reversal["3"], reversal["60"], reversal["90"][:4]) == ("0400", "300000", "x", "0200")
    assert "39" not in reversal
    assert undo(hold, given, {}, repeats=True) == {**reversal, "t": "0401"}
    assert completion(CAPTURE, given, {}, repeats=True)["90"][:4] == "0200"
    assert release(VOID, given, {}, repeats=True)["90"][:4] == "0200"


async def test_messages_about_the_line_are_as_the_host_wants_them() -> None:
    messages = {"sign_on": {"fields": {"70": "061", "33": "654321"}}, "echo": {"fields": {"70": "", "3": "990000"}}}
    async with scripted_host(messages=messages) as (host, _):
        sign_on, echo = host.network
    assert (sign_on["70"], sign_on["33"]) == ("061", "654321")
    assert (echo["3"], "70" in echo) == ("990000", False)


@pytest.mark.parametrize(
    ("currency", "minor_units", "expected"), [("isk", 50_000, 500), ("jpy", 500, 500), ("eur", 500, 500), ("kwd", 5_000, 5_000)]
)
def test_amounts_are_in_the_minor_units_of_iso_4217(currency: str, minor_units: int, expected: int) -> None:
    order = dataclasses.replace(authorization(amount=minor_units), currency=currency)
    assert int(request(order, terminal(), {})["4"]) == expected
    part = dataclasses.replace(VOID, currency=currency, amount=minor_units // 5, original_amount=minor_units)
    message = release(part, terminal(), {}, repeats=False)
    assert (int(message["4"]), int(message["95"][:12])) == (expected, expected * 4 // 5)


def test_time_and_date_at_the_terminal_are_those_of_its_place() -> None:
    order = dataclasses.replace(authorization(), created=1_790_809_200)  # 2026-09-30 23:00 UTC
    message = request(order, terminal(time_zone="Europe/Zurich"), {})
    assert (message["7"], message["12"], message["13"]) == ("0930230000", "010000", "1001")


@pytest.mark.parametrize("code", sorted({f"{number:02d}" for number in range(1, 97)} - APPROVED - NOT_DECIDED))
def test_each_response_code_of_the_standard_that_says_why_has_a_decline_code(code: str) -> None:
    without_reason = {"17", "18", "23", "24", "25", "26", "27", "28", "29", "55", "64", "75", "85"}
    not_the_standards = {f"{number}" for number in (45, *range(47, 51), *range(69, 75), *range(76, 90))}
    found = decline_code(code)
    assert found in DECLINE_CODES
    assert found != GENERIC_DECLINE or code in without_reason | not_the_standards


async def test_a_response_code_of_the_hosts_own_means_what_is_set() -> None:
    async with scripted_host(response_codes={"Q1": "do_not_try_again"}, reversed_codes=["76"]) as (host, acquirer):
        for code, expected in (("Q1", "do_not_try_again"), ("q2", GENERIC_DECLINE)):
            asked = asyncio.create_task(acquirer.execute(authorization(code)))
            host.say(approval(await host.came.get(), **{"39": code}))
            answer = await asked
            assert isinstance(answer, Declined)
            assert answer.decline_code == expected
        assert isinstance(await released(host, acquirer, "76"), Approved)
        assert isinstance(await released(host, acquirer, "77"), Unknown)


async def released(host: Scripted, acquirer: Iso8583Acquirer, code: str) -> object:
    asked = asyncio.create_task(acquirer.execute(VOID))
    host.say(approval(await host.came.get(), **{"39": code}))
    return await asked


async def test_a_length_in_bcd_is_read_and_written_and_an_empty_frame_is_none_however_it_is_counted() -> None:
    for counts_itself in (False, True):
        framing = Framing(length_bytes=2, length_format="bcd", counts_itself=counts_itself, tpdu=b"")
        reader = asyncio.StreamReader()
        reader.feed_data(b"\x00\x00" + framing.pack(b"x" * 120))
        assert framing.pack(b"x" * 120)[:2].hex() == ("0122" if counts_itself else "0120")
        assert await framing.read(reader) == b""
        assert await framing.read(reader) == b"x" * 120


TOML = '[[acquirer]]\nkind = "iso8583"\n' + "".join(
    f"{name} = {msgspec.json.encode(value).decode()}\n" for name, value in ISO8583_SETTINGS.items()
)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ('time_zone = "Europe/Bern"', "acquirer host: time_zone Europe/Bern is not known here"),
        ('time_zone = "../etc/passwd"', "acquirer host: time_zone ../etc/passwd is not known here"),
        ('formats = { 1 = "n4" }', "acquirer host: formats: there is no field 1"),
        ('formats = { 49 = "x3" }', "formats"),
        ('formats = { 49 = "n3\\n" }', "formats"),
        ('formats = { 4 = "n10" }', "acquirer host: messages.verification: a length of 12 where 10 belong .field 4."),
        ('formats = { 70 = "n4" }', "acquirer host: messages.sign_on: a length of 3 where 4 belong .field 70."),
        ('length_format = "bcd"\nlength_bytes = 4', 'acquirer host: length_format = "bcd" takes length_bytes = 2'),
        ('response_codes = { Q1 = "no" }', "acquirer host: response_codes: no is no decline code of Stripe's"),
        ("[acquirer.messages.hold.fields]\n4 = '1'", "acquirer host: messages.hold: field 4 can't be set"),
        ("[acquirer.messages.hold.fields]\n129 = '1'", "acquirer host: messages.hold: field 129 can't be set"),
        ("[acquirer.messages.hold.fields]\n25 = '1'", "acquirer host: messages.hold: a length of 1 where 2 belong .field 25."),
        ("[acquirer.messages.hold]\ntype = '1100'", "messages.hold.type"),
        ("[acquirer.messages.completion]\ntype = '0100'", "unknown field `completion`"),
    ],
)
def test_what_no_message_could_have_is_not_configured(settings: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint) as raised:
        parse(f"{TOML}{settings}\n", "acquirers.toml", None)
    assert "\n" not in str(raised.value)


def test_what_a_host_wants_is_configured() -> None:
    found = parse(f"{TOML}[acquirer.messages.reversal]\ntype = '0400'\nfields = {{ 39 = '', 60 = 'x' }}\n", "acquirers.toml", None)
    spec = found.acquirers[0]
    assert isinstance(spec, Iso8583Spec)
    assert spec.messages == Forms(reversal=Form(type="0400", fields={"39": "", "60": "x"}))
