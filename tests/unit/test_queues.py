"""Queues, topics and buses of AWS: one signed call an event, and what the answer makes of the delivery."""

import asyncio
import io
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from msgspec import structs

from payments.domain.destination import ChannelType, Destination, channel_of, check_arn
from payments.domain.errors import InvalidRequest
from payments.notification_service.channels.channel import Channel, Message, Verdict
from payments.notification_service.channels.eventbridge import EventBridge
from payments.notification_service.channels.queues import MESSAGE_BYTES_MAX, Allowed, Queues
from payments.notification_service.channels.sns import Sns
from payments.notification_service.channels.sqs import Sqs
from payments.runtime.aws_role import AwsCaller
from payments.runtime.logging import Logger
from payments.storage.deliveries import DueDelivery
from tests.integration.builders import FakeClock
from tests.support.queueing import Aws, queueing
from tests.unit.test_mail import about, charge

QUEUE = "arn:aws:sqs:eu-central-1:123456789012:orders"
TOPIC = "arn:aws:sns:eu-central-1:123456789012:orders"
BUS = "arn:aws:events:eu-central-1:123456789012:event-bus/payments"
BODY = b'{"id":"evt_1","type":"charge.succeeded"}'


def message(arn: str, body: bytes = BODY, **changes: Any) -> Message:
    event = about(charge())
    for name, value in changes.items():
        event = structs.replace(event, **{name: value})
    to = Destination(id="ed_1", merchant_id=1, livemode=True, created=0, url=arn, enabled_events=["*"])
    return Message(DueDelivery(event, to, None, [], 0, 1, None, "2026-08-26.dahlia"), body, 1, 1_800_000_000.0)


@asynccontextmanager
async def channels(allowed: str = "arn:*") -> AsyncGenerator[tuple[Aws, dict[str, Channel]]]:
    async with queueing() as aws:
        caller = AwsCaller(aws.access, FakeClock())
        queues = Queues(caller, Allowed(allowed.split()), Logger("test", io.BytesIO()))
        try:
            yield aws, {QUEUE: Sqs(queues), TOPIC: Sns(queues), BUS: EventBridge(queues)}
        finally:
            await caller.close()


async def test_each_service_gets_the_event_signed_and_as_it_wants_it() -> None:
    async with channels() as (aws, by_arn):
        for arn, channel in by_arn.items():
            answered = await channel.deliver(message(arn))
            assert (answered.verdict, answered.answer.status_code) == (Verdict.DELIVERED, 200)
        sqs, sns, bus = aws.asked
        assert sqs["QueueUrl"] == f"http://127.0.0.1:{aws.port}/123456789012/orders"
        assert sqs["MessageBody"] == sns["Message"] == bus["Entries"][0]["Detail"] == BODY.decode()
        assert sqs["MessageAttributes"]["tap-merchant"] == {"DataType": "String", "StringValue": "1"}
        assert (sns["Action"], sns["TopicArn"], sns["MessageAttributes.entry.1.Value.StringValue"]) == ("Publish", TOPIC, "evt_1")
        assert (bus["Entries"][0]["DetailType"], bus["Entries"][0]["EventBusName"]) == ("charge.succeeded", BUS)
        assert aws.keys_given == 1, "the role's keys are kept"


async def test_an_answer_that_comes_in_parts_is_read_to_its_end() -> None:
    sent, more = asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "4"})
        await response.prepare(request)
        await response.write(b"ab")
        sent.set()
        await more.wait()
        await response.write(b"cd")
        return response

    async with queueing(answer) as aws:
        caller = AwsCaller(aws.access, FakeClock())
        asked = asyncio.create_task(caller.post(QUEUE, {"content-type": "application/x-amz-json-1.0"}, b"{}", 10.0))
        await sent.wait()
        await asyncio.wait([asked], timeout=0.1)  # whoever takes the first part for the whole is done by then
        more.set()
        assert (await asked).body == b"abcd"
        await caller.close()


async def test_keys_that_run_out_or_are_refused_are_fetched_anew() -> None:
    async with channels() as (aws, by_arn):
        aws.keys_until = "2001-01-01T00:00:00Z"
        for _ in range(2):
            await by_arn[QUEUE].deliver(message(QUEUE))
        assert aws.keys_given == 2
        aws.keys_until = "2040-01-01T00:00:00Z"
        aws.answers = [(200, "{}"), (403, '{"__type":"com.amazon.coral.service#ExpiredTokenException"}')]
        answers = [await by_arn[QUEUE].deliver(message(QUEUE)) for _ in range(3)]
        assert [each.verdict for each in answers] == [Verdict.DELIVERED, Verdict.LATER, Verdict.DELIVERED]
        assert not answers[1].says_of_endpoint
        assert aws.keys_given == 4


@pytest.mark.parametrize(
    ("arn", "status", "answer", "verdict", "felt"),
    [
        (QUEUE, 400, '{"__type":"com.amazonaws.sqs#QueueDoesNotExist"}', Verdict.LATER, 400),
        (QUEUE, 400, '{"__type":"com.amazonaws.sqs#RequestThrottled"}', Verdict.LATER, 429),
        (QUEUE, 400, '{"__type":"com.amazonaws.sqs#InvalidMessageContents"}', Verdict.REFUSED, 400),
        (QUEUE, 503, "<html>", Verdict.LATER, 503),
        (TOPIC, 403, "<ErrorResponse><Error><Code>AuthorizationError</Code></Error></ErrorResponse>", Verdict.LATER, 403),
        (TOPIC, 400, "<ErrorResponse><Error><Code>InvalidParameter</Code></Error></ErrorResponse>", Verdict.REFUSED, 400),
        (BUS, 200, '{"FailedEntryCount":1,"Entries":[{"ErrorCode":"ThrottlingException"}]}', Verdict.LATER, 429),
        (BUS, 200, '{"FailedEntryCount":1,"Entries":[{"ErrorCode":"InternalFailure"}]}', Verdict.LATER, 500),
        (BUS, 200, '{"FailedEntryCount":1,"Entries":[{"ErrorCode":"MalformedDetail"}]}', Verdict.REFUSED, 400),
        (BUS, 200, "what is this", Verdict.LATER, 500),
    ],
)
async def test_what_is_answered_decides_what_becomes_of_it(arn: str, status: int, answer: str, verdict: Verdict, felt: int) -> None:
    async with channels() as (aws, by_arn):
        aws.answers = [(status, answer)]
        answered = await by_arn[arn].deliver(message(arn))
        assert (answered.verdict, answered.felt) == (verdict, felt)
        assert answered.answer.status_code == status


async def test_a_fifo_queue_keeps_an_objects_events_in_one_group() -> None:
    fifo = f"{QUEUE}.fifo"
    async with channels() as (aws, by_arn):
        for object_id in ("ch_1", "ch_1", "a b", "x" * 200):
            await by_arn[QUEUE].deliver(message(fifo, object_id=object_id))
        groups = [each["MessageGroupId"] for each in aws.asked]
        assert groups[:2] == ["ch_1", "ch_1"]
        assert len(set(groups)) == 3
        assert all(len(group) <= 128 and " " not in group for group in groups)
        assert {each["MessageDeduplicationId"] for each in aws.asked} == {"evt_1"}
    assert message(fifo).due.endpoint.ordered
    assert not message(QUEUE).due.endpoint.ordered


async def test_what_is_too_large_or_not_allowed_is_not_sent() -> None:
    async with channels(allowed="arn:aws:sqs:*:123456789012:other-*") as (aws, by_arn):
        answered = await by_arn[QUEUE].deliver(message(QUEUE))
        assert (answered.verdict, answered.answer.error, answered.says_of_endpoint) == (Verdict.LATER, "not_allowed", False)
        for arn in (QUEUE, TOPIC, BUS):
            large = await by_arn[arn].deliver(message(arn, json.dumps("x" * MESSAGE_BYTES_MAX).encode()))
            assert (large.verdict, large.answer.error) == (Verdict.REFUSED, "too_large")
        assert aws.asked == []


async def test_nobody_there_is_a_failure_of_ours() -> None:
    async with queueing() as aws:
        access = aws.access
    caller = AwsCaller(access, FakeClock())
    queues = Queues(caller, Allowed(["*"]), Logger("test", io.BytesIO()))
    answered = await Sqs(queues).deliver(message(QUEUE))
    await caller.close()
    assert (answered.verdict, answered.answer.error, answered.says_of_endpoint) == (Verdict.LATER, "AwsUnavailableError", False)


@pytest.mark.parametrize(
    ("url", "channel"),
    [
        ("https://shop.example/hook", ChannelType.WEBHOOK),
        (QUEUE, ChannelType.SQS),
        (TOPIC, ChannelType.SNS),
        (BUS, ChannelType.EVENTBRIDGE),
        ("mailto:ops@shop.example", ChannelType.EMAIL),
        ("receipts:", ChannelType.RECEIPTS),
        ("arn:aws:lambda:x", ChannelType.WEBHOOK),
        ("", ChannelType.WEBHOOK),
    ],
)
def test_an_address_says_how_it_is_reached(url: str, channel: ChannelType) -> None:
    assert channel_of(url) is channel


@pytest.mark.parametrize(
    ("channel", "arn"),
    [
        (ChannelType.SQS, TOPIC),
        (ChannelType.SQS, f"{QUEUE}/../x"),
        (ChannelType.SQS, f"{QUEUE}\n"),
        (ChannelType.SQS, "arn:aws:sqs:evil.example/:123456789012:orders"),
        (ChannelType.SNS, f"{TOPIC}:5be8f5b5-subscription"),
        (ChannelType.EVENTBRIDGE, "arn:aws:events:eu-central-1:123456789012:rule/x"),
        (ChannelType.EVENTBRIDGE, "arn:aws:events:eu-central-1:123456789012:event-bus/"),
    ],
)
def test_an_arn_of_something_else_is_refused(channel: ChannelType, arn: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        check_arn(channel, arn)
    assert refusal.value.param == "arn"
