"""Destinations on a real database: what is fanned out to them, what is told of them, and who is written to."""

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage

import pytest

from payments.domain.charge import Charge
from payments.domain.destination import ChannelType, Destination
from payments.domain.event import Origin, event_of
from payments.notification_service.channels.channel import Answered, Message, Verdict
from payments.notification_service.channels.receipts import Receipts
from payments.notification_service.connections import Answer
from payments.notification_service.mail.server import Mailer
from payments.runtime.ids import new_id
from payments.runtime.seal import Sealer
from payments.storage.database import Connection
from payments.storage.deliveries import Deliveries
from payments.storage.events import append_events
from payments.storage.keys import MerchantError, create_merchant
from payments.storage.merchant_tasks import SettingsOrder, change_settings
from payments.storage.outbox import dispatch
from payments.wire.kinds import DESTINATION
from payments.wire.unsubscribe_link import address_of, unsubscribe_url
from tests.integration.builders import Key
from tests.integration.notifier import notifier_on, tell
from tests.support.in_process import PUBLIC_URL, in_process
from tests.unit.test_mail import SERVER, charge

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


class Written(Mailer):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        super().__init__(SERVER)
        self.mails: list[tuple[str, EmailMessage]] = []

    async def send(self, mail: EmailMessage, recipient: str) -> Answered:
        self.mails.append((recipient, mail))
        return Answered(verdict=Verdict.DELIVERED, answer=Answer(), felt=200)


@dataclass
class Told:
    """A channel that answers as it is told to."""

    verdict: Verdict = Verdict.DELIVERED
    messages: list[Message] = field(default_factory=list[Message])

    async def deliver(self, message: Message) -> Answered:
        self.messages.append(message)
        return Answered(verdict=self.verdict, answer=Answer(error="x"), felt=400)


def destination(url: str, *events: str, **changes: object) -> Destination:
    given = {"id": new_id("ed"), "merchant_id": 1, "livemode": False, "created": 0, "url": url, "enabled_events": list(events) or ["*"]}
    return Destination(**(given | changes))  # pyright: ignore[reportArgumentType] - as the test says


async def happened(connection: Connection, event_type: str, subject: Charge, previous: Mapping[str, object] | None = None) -> str:
    event = event_of(
        new_id("evt"),
        event_type,
        subject,
        created=1_800_000_000,
        origin=Origin(),
        previous_attributes=None if previous is None else dict(previous),
    )
    await append_events(connection, [event])
    return event.id


async def test_receipts_go_to_buyers_who_have_an_address_and_want_them_once(database_url: str, connection: Connection) -> None:
    await create_merchant(connection, "Wool & Yarn")
    _, account = await change_settings(connection, SettingsOrder(receipts="all"))
    assert account.receipts == "all"
    written, sealer = Written(), Sealer(Key())
    async with notifier_on(database_url) as notifier:
        receipts = Receipts(notifier.pool, sealer, PUBLIC_URL, written)
        notifier.deliverer._channels = {**notifier.deliverer._channels, ChannelType.RECEIPTS: receipts}
        for livemode in (True, False):
            paid = charge(livemode=livemode)
            await happened(connection, "charge.succeeded", paid)
            await happened(connection, "charge.succeeded", charge(livemode=livemode, captured=False))
            await happened(connection, "charge.succeeded", charge(livemode=livemode, receipt_email=None))
            await happened(connection, "charge.updated", paid, {"description": "x"})
            await happened(
                connection, "charge.updated", charge(livemode=livemode, receipt_email="eve@example.com"), {"receipt_email": None}
            )
            await happened(connection, "charge.refunded", charge(livemode=livemode, amount_refunded=100))
        assert (await dispatch(notifier.pool, 100)).deliveries == 6, "what nobody gets isn't fanned out"
        await notifier.deliver()
        assert sorted(to for to, _ in written.mails) == ["ada@example.com"] * 4 + ["eve@example.com"] * 2
        assert len({mail["Message-ID"] for _, mail in written.mails}) == 6
        # They come in no order, and it is ada who will want them no more.
        link = next(str(mail["List-Unsubscribe"])[1:-1] for to, mail in written.mails if to == "ada@example.com")
        async with in_process(database_url, merchant=None) as tap:
            assert (await tap.open_page(link)).status == 200
            await happened(connection, "charge.succeeded", charge(livemode="/live/" in link))
            await dispatch(notifier.pool, 100)
            await notifier.deliver()
            assert len(written.mails) == 7, "who merely looked still gets them"
            assert (await tap.open_page(link, **ONE_CLICK)).status == 200
            assert (await tap.open_page(link, **ONE_CLICK)).status == 200
            assert (await tap.open_page(link[:-8] + "AAAAAAAA", **ONE_CLICK)).status == 404
        await happened(connection, "charge.succeeded", charge(livemode="/live/" in link, receipt_email="ADA@example.com"))
        await dispatch(notifier.pool, 100)
        await notifier.deliver()
        assert len(written.mails) == 7
        assert await connection.fetchval("SELECT count(*) FROM notifications.deliveries WHERE status <> 'delivered'") == 0
    for choice, modes in (("live", {True}), ("live", {True}), ("off", set[bool]())):
        _, account = await change_settings(connection, SettingsOrder(receipts=choice))
        rows = await connection.fetch("SELECT livemode FROM notifications.webhook_endpoints WHERE receipts")
        assert (account.receipts, {row["livemode"] for row in rows}) == (choice, modes)


async def test_a_buyer_is_written_to_in_the_language_of_the_page_or_their_own(database_url: str, connection: Connection) -> None:
    await create_merchant(connection, "Shop")
    async with in_process(database_url, merchant=None) as tap:
        customer = (await tap.call("POST", "/v1/customers", **{"preferred_locales[0]": "fr-CA"})).id
    async with notifier_on(database_url) as notifier:
        written = Written()
        receipts = Receipts(notifier.pool, notifier.sealer, PUBLIC_URL, written)
        notifier.deliverer._channels = {**notifier.deliverer._channels, ChannelType.RECEIPTS: receipts}
        await change_settings(connection, SettingsOrder(receipts="all"))
        await happened(connection, "charge.succeeded", charge(livemode=False, customer=customer))
        await dispatch(notifier.pool, 100)
        await notifier.deliver()
        assert [str(mail["Subject"]) for _, mail in written.mails] == ["Reçu de Shop"]


async def test_a_refusal_for_good_is_a_dead_letter_that_is_told_of_once_a_day(database_url: str, connection: Connection) -> None:
    await create_merchant(connection, "Shop")
    refusing, listening = Told(Verdict.REFUSED), Told()
    channels = {ChannelType.SQS: refusing, ChannelType.SNS: listening}
    async with notifier_on(database_url, channels=channels) as notifier:
        queue = destination("arn:aws:sqs:eu-central-1:123456789012:orders.fifo", "payment_intent.created")
        topic = destination("arn:aws:sns:eu-central-1:123456789012:ops", "notification.destination.delivery_failed")
        for each in (queue, topic):
            await DESTINATION.noun.insert(notifier.pool, each)
        await tell(connection, count=3)
        await dispatch(notifier.pool, 100)
        await notifier.deliver()
        assert len(refusing.messages) == 3
        assert await Deliveries(notifier.pool, lease_seconds=1).dead_letters() == 3
        assert (await dispatch(notifier.pool, 100)).events == 1
        await notifier.deliver()
        (told,) = listening.messages
        assert (told.due.event.object_type, told.due.event.object_id) == ("notification.destination", queue.id)
        assert b'"arn":"arn:aws:sqs:eu-central-1:123456789012:orders.fifo"' in told.body
        kept = await DESTINATION.noun.get(notifier.pool, 1, False, queue.id)
        assert kept is not None
        assert kept.enabled
        # Sent again by hand, it is taken.
        refusing.verdict = Verdict.DELIVERED
        event_id = refusing.messages[0].due.event.id
        assert await Deliveries(notifier.pool, lease_seconds=1).redeliver(1, False, event_id, queue.id) is not None
        await notifier.deliver()
        assert await Deliveries(notifier.pool, lease_seconds=1).dead_letters() == 2


async def test_what_has_no_channel_here_is_tried_again(database_url: str, connection: Connection) -> None:
    await create_merchant(connection, "Shop")
    async with notifier_on(database_url) as notifier:
        await DESTINATION.noun.insert(notifier.pool, destination("mailto:ops@shop.example"))
        await tell(connection)
        await dispatch(notifier.pool, 100)
        await notifier.deliver()
        assert await notifier.statuses() == [("pending", 1)]


def test_a_link_unsubscribes_its_own_address_alone() -> None:
    sealer = Sealer(Key())
    token = unsubscribe_url(PUBLIC_URL, sealer, 1, True, "ada@example.com").rpartition("/")[2]
    assert address_of(sealer, 1, True, token) == "ada@example.com"
    for merchant_id, livemode, given in ((2, True, token), (1, False, token), (1, True, token[:-1]), (1, True, "é"), (1, True, "A" * 5000)):
        assert address_of(sealer, merchant_id, livemode, given) is None
    assert address_of(sealer, 1, True, urlsafe_b64encode(b"ada@example.com").decode()) is None


@pytest.mark.parametrize("choice", ["", "on", "test"])
async def test_receipts_are_sent_in_modes_that_there_are(connection: Connection, choice: str) -> None:
    await create_merchant(connection, "Shop")
    with pytest.raises(MerchantError, match="off, live, all"):
        await change_settings(connection, SettingsOrder(receipts=choice))
