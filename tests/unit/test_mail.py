"""Mail: what its server answers decides what becomes of a delivery, and nothing that anybody chooses becomes a header or markup."""

import ssl
from email.message import EmailMessage
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from payments.domain.brand import Brand
from payments.domain.card import Card
from payments.domain.charge import Charge, ChargeOutcome
from payments.domain.event import Event, Origin, event_of
from payments.domain.people import is_email
from payments.notification_service.channels.channel import Answered, Verdict
from payments.notification_service.mail.letters import AddressError, Envelope, Letter, address, mail_of, notice, receipt
from payments.notification_service.mail.server import Mailer, MailServer
from payments.pages.words import languages
from payments.runtime.settings import SettingsError
from tests.support.mailbox import LOGIN, PASSWORD, contexts, mailbox

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 20
BRAND = Brand(name="Wool & Yarn", colour="#7a1f5c")
SERVER = MailServer(host="localhost", port=1, tls=False, plain=True, username=None, password=None, sender="receipts@shop.example")


def charge(**changes: Any) -> Charge:
    made = Charge(
        id="ch_1",
        merchant_id=1,
        livemode=True,
        created=1_795_000_000,
        amount=2_500,
        amount_captured=2_500,
        currency="usd",
        status="succeeded",
        paid=True,
        captured=True,
        payment_intent="pi_1",
        payment_method="pm_1",
        card=Card(brand="visa", last4="4242", exp_month=12, exp_year=2034, country="US", funding="credit", fingerprint="x"),
        outcome=ChargeOutcome(network_status="approved_by_network", seller_message="Payment complete.", type="authorized"),
        receipt_email="ada@example.com",
        receipt_url="https://pay.shop.example/pay/r/live/1/ch_1/secret",
    )
    return structs.replace(made, **changes)


def about(subject: Charge, event_type: str = "charge.succeeded") -> Event:
    return event_of("evt_1", event_type, subject, created=1_795_000_000, origin=Origin())


def letter(subject: Charge | None = None, event_type: str = "charge.succeeded", brand: Brand = BRAND, locale: str | None = None) -> Letter:
    subject = subject or charge()
    written = receipt(about(subject, event_type), subject, brand, locale)
    assert written is not None
    return written


def envelope(recipient: str = "ada@example.com", **changes: Any) -> Envelope:
    given: dict[str, Any] = {
        "from_name": BRAND.name,
        "sender": SERVER.sender,
        "recipient": recipient,
        "message_id": "evt_1.ed_1@pay.shop.example",
        "at": 1.0,
    }
    return Envelope(**(given | changes))


def parts(mail: EmailMessage) -> tuple[str, str]:
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert html is not None
    return text.get_content(), html.get_content()


async def test_a_receipt_arrives_as_it_was_written() -> None:
    async with mailbox() as box:
        mail = mail_of(
            letter(brand=Brand(name="Wøol & Yarn", logo=PNG)), envelope(from_name="Wøol & Yarn", unsubscribe_url="https://x.example/u")
        )
        answered = await Mailer(box.server()).send(mail, "ada@example.com")
        assert (answered.verdict, answered.answer.error, box.recipients) == (Verdict.DELIVERED, None, ["ada@example.com"])
        (got,) = box.mails
        assert str(got["From"]) == "Wøol & Yarn <receipts@shop.example>"
        assert (got["Message-ID"], got["List-Unsubscribe"]) == ("<evt_1.ed_1@pay.shop.example>", "<https://x.example/u>")
        assert got["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        text, html = parts(got)
        for body in (text, html):
            assert all(
                each in body for each in ("$25.00", "Visa ending in 4242", "ch_1", charge().receipt_url or "", "https://x.example/u")
            )
        assert "Wøol & Yarn" in text
        assert "Wøol &amp; Yarn" in html
        (logo,) = [each for each in got.walk() if each.get_content_maintype() == "image"]
        assert (logo["Content-ID"], logo.get_content()) == ("<logo>", PNG)


async def test_the_way_is_encrypted_and_the_server_is_who_it_says() -> None:
    mail = mail_of(letter(), envelope())
    trusting = contexts()[1]
    login = {"plain": False, "username": LOGIN, "password": PASSWORD}
    async with mailbox(starttls=True) as box:
        assert (await Mailer(box.server(**login), tls=trusting).send(mail, "ada@example.com")).verdict is Verdict.DELIVERED
        untrusted = await Mailer(box.server(**login)).send(mail, "ada@example.com")
        assert (untrusted.verdict, untrusted.says_of_endpoint) == (Verdict.LATER, False)
        wrong = await Mailer(box.server(**login | {"password": "x"}), tls=trusting).send(mail, "ada@example.com")
        assert (wrong.verdict, wrong.answer.error) == (Verdict.LATER, "smtp_535")
        assert len(box.mails) == 1
    async with mailbox(tls=True) as box:
        server = box.server(tls=True, plain=False)
        assert (await Mailer(server, tls=trusting).send(mail, "ada@example.com")).verdict is Verdict.DELIVERED
    async with mailbox() as box:  # that offers no STARTTLS, or from whose offer it was taken out
        answered = await Mailer(box.server(plain=False), tls=trusting).send(mail, "ada@example.com")
        assert (answered.verdict, box.mails) == (Verdict.LATER, [])


async def test_what_the_server_says_decides_what_becomes_of_it() -> None:
    mail = mail_of(letter(), envelope())
    cases = [
        ("450 greylisted", "", Verdict.LATER, "smtp_450"),
        ("550 no such mailbox", "", Verdict.REFUSED, "smtp_550"),
        ("", "452 full", Verdict.LATER, "smtp_452"),
        ("", "554 rejected", Verdict.REFUSED, "smtp_554"),
    ]
    async with mailbox() as box:
        mailer = Mailer(box.server())
        for to_recipient, to_mail, verdict, error in cases:
            box.replies, box.after_data = [to_recipient], [to_mail] if to_mail else []
            answered = await mailer.send(mail, "ada@example.com")
            assert (answered.verdict, answered.answer.error, answered.says_of_endpoint) == (verdict, error, False), (to_recipient, to_mail)
        assert (await mailer.send(mail, "ada@example.com")).verdict is Verdict.DELIVERED, "and then it takes it"
        box.hangs = True
        hung = await Mailer(box.server(), seconds_max=5.05).send(mail, "ada@example.com")
        assert (hung.verdict, hung.answer.error, hung.felt) == (Verdict.LATER, "timeout", None)
    gone = await mailer.send(mail, "ada@example.com")
    assert gone.verdict is Verdict.LATER


async def test_nobody_writes_faster_than_the_server_wants() -> None:
    now = 0.0

    class Counted(Mailer):
        async def _send(self, mail: EmailMessage, recipient: str) -> None:
            pass

    mailer = Counted(structs_replace(SERVER, per_second=0.1), now=lambda: now)
    mail = mail_of(letter(), envelope())
    answers: list[Answered] = [await mailer.send(mail, "ada@example.com") for _ in range(3)]
    assert [(each.verdict, each.answer.error) for each in answers] == [(Verdict.DELIVERED, None), *[(Verdict.LATER, "throttled")] * 2]
    now = 10.0
    assert (await mailer.send(mail, "ada@example.com")).verdict is Verdict.DELIVERED


def structs_replace(server: MailServer, **changes: Any) -> MailServer:
    return MailServer(**({name: getattr(server, name) for name in server.__dataclass_fields__} | changes))


EVIL = [
    "ada@example.com\r\nBcc: eve@example.com",
    "ada@example.com\nX: y",
    "ada@example.com, eve@example.com",
    "Ada <ada@example.com>",
    "ada@example.com>",
    "ada\x00@example.com",
    "ada@exa mple.com",
    "@example.com",
    "ada@",
    "a:ada@example.com;",
    '"ada\\@example.com',
]


@pytest.mark.parametrize("text", EVIL)
def test_an_address_is_one_address_and_nothing_else(text: str) -> None:
    assert not is_email(text)
    with pytest.raises(AddressError):
        address(text)


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=200))
def test_nothing_that_anybody_chooses_makes_a_header_or_markup(user: str, name: str, description: str) -> None:
    brand = Brand(name=name if name.strip() and name.isprintable() else "Shop")
    try:
        mail = mail_of(letter(charge(description=description), brand=brand), envelope(f"{user}@example.com", from_name=brand.name))
        raw = mail.as_bytes()
    except (AddressError, UnicodeEncodeError):
        return
    head = raw.partition(b"\r\n\r\n")[0]
    names = {line.partition(b":")[0].lower() for line in head.split(b"\r\n") if line[:1] not in (b" ", b"\t")}
    assert names <= {
        b"from",
        b"to",
        b"subject",
        b"date",
        b"message-id",
        b"content-language",
        b"auto-submitted",
        b"mime-version",
        b"content-type",
    }
    html = mail.get_body(("html",))
    assert html is not None
    usual = parts(mail_of(letter(charge(description="x"), brand=Brand(name="Shop")), envelope()))[1]
    assert html.get_content().count("<") == usual.count("<")


@pytest.mark.parametrize("language", sorted(languages()))
def test_it_is_in_the_buyers_language(language: str) -> None:
    words = {locale: letter(locale=locale).subject for locale in (language, None)}
    assert (words[language] == words[None]) is (language == "en")
    assert letter(locale=f"{language}-XX").language == language


def test_a_refund_is_told_of_and_a_hold_is_not() -> None:
    refunded = charge(amount_refunded=1_000)
    told = letter(refunded, "charge.refunded")
    assert (told.subject, told.shown["heading"]) == ("Refund from Wool & Yarn", "$10.00")
    for event_type in ("charge.succeeded", "charge.refunded"):
        held = charge(captured=False, amount_captured=0)
        assert receipt(about(held, event_type), held, BRAND, None) is None


def test_whoever_looks_after_payments_is_told_what_happened_and_nothing_of_the_buyers() -> None:
    subject = msgspec.to_builtins(charge(description="secret present"))
    text, html = parts(mail_of(notice(about(charge()), BRAND, subject), envelope("ops@shop.example")))
    for body in (text, html):
        assert all(each in body for each in ("charge.succeeded", "ch_1", "evt_1", "2500"))
        assert not any(each in body for each in ("ada@example.com", "secret present", "4242"))


@pytest.mark.parametrize(
    ("url", "sender", "wrong"),
    [
        ("https://mail.example", "a@b.example", "TAP_SMTP_URL"),
        ("smtps://user@mail.example", "a@b.example", "TAP_SMTP_URL"),
        ("smtp+plain://mail.example", "a@b.example", "TAP_SMTP_URL"),
        ("smtps://mail.example:x", "a@b.example", "TAP_SMTP_URL"),
        ("smtps://mail.example", "", "TAP_MAIL_FROM"),
        ("smtps://mail.example", "Shop <a@b.example>", "TAP_MAIL_FROM"),
    ],
)
def test_a_server_that_is_misspelt_is_said_without_its_password(url: str, sender: str, wrong: str) -> None:
    with pytest.raises(SettingsError, match=wrong):
        MailServer.from_environment({"TAP_SMTP_URL": url, "TAP_MAIL_FROM": sender})


def test_a_server_is_read_from_its_url() -> None:
    assert MailServer.from_environment({}) is None
    read = MailServer.from_environment({"TAP_SMTP_URL": "smtps://us%40er:p%3Aw@mail.example", "TAP_MAIL_FROM": "a@b.example"})
    assert read is not None
    assert (read.host, read.port, read.tls, read.username, read.password) == ("mail.example", 465, True, "us@er", "p:w")
    assert "p:w" not in repr(read)


def test_the_default_context_verifies() -> None:
    context = Mailer(SERVER)._tls
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
