"""What is written: to buyers about what they paid, and to whoever looks after a merchant's payments about an event.

Every header is made by `email`, which refuses what would end one (RFC 5322), and addresses are said as addresses, not as text that has one in it.
"""

import email.policy
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

import idna

from payments.domain.brand import Brand, contrast, media_type_of
from payments.domain.charge import Charge
from payments.domain.event import Event
from payments.pages.amounts import language_of, shown_amount, shown_date
from payments.pages.page import written
from payments.pages.words import words_of

_COLOUR = "#1f4fd8"
"""Of our pages, where a merchant has no other."""
_SUBJECT_CHARACTERS_MAX = 150
_DESCRIPTION_CHARACTERS_MAX = 300


class AddressError(ValueError):
    """Mail can't be sent to that address, or from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What is written, without the ways in which it is said."""

    subject: str
    shown: dict[str, Any]
    """The values of the templates."""
    logo: bytes | None
    language: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Whom it is from and to, and which it is."""

    from_name: str
    sender: str
    recipient: str
    message_id: str
    """Without brackets. The same each time that it is sent, so that a repetition can be told."""
    at: float
    """Unix seconds."""
    unsubscribe_url: str = ""


def address(text: str) -> Address:
    """Return an address with its host in ASCII; raises `AddressError`."""
    user, _, host = text.rpartition("@")
    try:
        ascii_host = host if host.isascii() else idna.encode(host, uts46=True).decode("ascii")
        made = Address(addr_spec=f"{user}@{ascii_host}")
    except Exception as failure:  # what the parser of addresses raises is its own affair
        raise AddressError from failure
    if not user or not ascii_host or made.addr_spec != f"{user}@{ascii_host}":
        raise AddressError
    return made


def receipt(event: Event, charge: Charge, brand: Brand, locale: str | None) -> Letter | None:
    """Write to a buyer about their payment or refund; None where there is nothing to tell of."""
    if not charge.captured or not charge.paid or (event.type == "charge.refunded" and not charge.amount_refunded):
        return None
    language = language_of((locale or "").replace("_", "-"))
    words = words_of(language)
    is_refund = event.type == "charge.refunded"
    paid = shown_amount(charge.amount_captured, charge.currency, language)
    back = shown_amount(charge.amount_refunded, charge.currency, language)
    about = charge.description or words.say("payment_to", merchant=brand.name)
    rows = [
        (about[:_DESCRIPTION_CHARACTERS_MAX], paid),
        *([(words["refunded"], back)] if charge.amount_refunded else []),
        (words["date"], shown_date(charge.created, language)),
        (words["payment_method"], words.card(charge.card.brand, charge.card.last4)),
        (words["reference"], charge.id),
    ]
    title = words.say("mail_refund" if is_refund else "receipt", merchant=brand.name)
    shown = {
        **_look(brand),
        "title": title,
        "preview": f"{paid if not is_refund else back} · {brand.name}",
        "badge": "" if charge.livemode else words["test_mode"],
        "label": words["refunded" if is_refund else "amount_paid"],
        "heading": back if is_refund else paid,
        "large": True,
        "note": words["mail_refund_note"] if is_refund else "",
        "rows": rows,
        "button": words["view_receipt"] if charge.receipt_url else "",
        "button_url": charge.receipt_url or "",
        "foot": words.say("mail_questions", merchant=brand.name),
        "unsubscribe": words["unsubscribe"],
        "language": words.language,
    }
    return Letter(subject=title, shown=shown, logo=brand.logo, language=words.language)


def notice(event: Event, brand: Brand, subject: dict[str, Any]) -> Letter:
    """Write to whoever looks after a merchant's payments; `subject`: what the event is about, as the API shows it. Nothing in it is a buyer's."""
    shown_fields = ("amount", "currency", "status", "reason", "url", "arn", "email", "failure_code")
    rows = [
        ("Event", event.id),
        (event.object_type, event.object_id),
        *((name, str(subject[name])[:_DESCRIPTION_CHARACTERS_MAX]) for name in shown_fields if subject.get(name) not in (None, "")),
        ("Time", datetime.fromtimestamp(event.created, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")),
        ("Mode", "live" if event.livemode else "test"),
    ]
    shown = {
        **_look(brand),
        "title": event.type,
        "preview": f"{event.type} · {event.object_id}",
        "badge": "" if event.livemode else "test mode",
        "label": "Event",
        "heading": event.type,
        "large": False,
        "note": _NOTES.get(event.type.rpartition(".")[2], "") if event.type.startswith(("webhook_endpoint.", "notification.")) else "",
        "rows": rows,
        "button": "",
        "button_url": "",
        "foot": "Sent by Tap, since a destination of type email wants to hear of this event. Remove it with: tap destinations remove",
        "unsubscribe": "",
        "language": "en",
    }
    return Letter(subject=f"[{brand.name}] {event.type}", shown=shown, logo=brand.logo, language="en")


_NOTES = {
    "disabled": "Nothing more is sent there. Mend what is wrong, enable it, and replay what it missed: tap webhooks replay --endpoint",
    "delivery_failed": "A delivery was given up. There may be more: tap webhooks list --status dead. This is told once a day.",
}


def mail_of(letter: Letter, envelope: Envelope) -> EmailMessage:
    """Put a letter into its envelope; raises `AddressError`, and `ValueError` for what would break a header."""
    mail = EmailMessage(policy=email.policy.SMTP)
    sender = address(envelope.sender)
    mail["From"] = Address(envelope.from_name, sender.username, sender.domain)
    mail["To"] = address(envelope.recipient)
    mail["Subject"] = " ".join(letter.subject.split())[:_SUBJECT_CHARACTERS_MAX]
    mail["Date"] = format_datetime(datetime.fromtimestamp(int(envelope.at), UTC))
    mail["Message-ID"] = f"<{envelope.message_id}>"
    mail["Content-Language"] = letter.language
    mail["Auto-Submitted"] = "auto-generated"
    if envelope.unsubscribe_url:
        mail["List-Unsubscribe"] = f"<{envelope.unsubscribe_url}>"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    media_type = None if letter.logo is None else media_type_of(letter.logo)
    shown = letter.shown | {"unsubscribe_url": envelope.unsubscribe_url, "has_logo": media_type is not None}
    mail.set_content(written("mail.txt", **shown), cte="quoted-printable")
    mail.add_alternative(written("mail.html", **shown), subtype="html", cte="quoted-printable")
    if media_type is not None and letter.logo is not None:
        part: Any = mail.get_payload(1)
        maintype, _, subtype = media_type.partition("/")
        part.add_related(letter.logo, maintype=maintype, subtype=subtype, cid="<logo>", disposition="inline")
    return mail


def _look(brand: Brand) -> dict[str, Any]:
    colour = brand.colour or _COLOUR
    text = max(("#ffffff", "#000000"), key=lambda each: contrast(each, colour))
    return {"merchant": brand.name, "colour": colour, "colour_text": text}
