"""What the channels to AWS have in common: which ARNs the operator allows, and what an answer of AWS's means.

Sources: botocore, `retries/standard.py` (which errors are throttling); SQS, "SendMessage"; SNS, "Publish"; EventBridge, "PutEvents".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from payments.notification_service.channels.channel import Answered, Verdict, failed
from payments.notification_service.connections import Answer
from payments.notification_service.sender import SEND_SECONDS_MAX
from payments.runtime.aws_role import AwsAnswer, AwsCaller, AwsUnavailableError
from payments.runtime.logging import Logger

MESSAGE_BYTES_MAX = 256 * 1024
"""What all three take at least, the attributes included."""
_THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "KmsThrottled",
        "KMSThrottling",
        "OverLimit",
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttled",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_NEVER_TAKEN = frozenset(
    {
        "BatchRequestTooLong",
        "InvalidMessageContents",
        "InvalidParameter",
        "InvalidParameterValue",
        "MalformedDetail",
        "MessageTooLong",
        "ValidationException",
    }
)
"""They are about what was sent: it will be no other the next time."""
_OURS = frozenset({"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"})
_BUSY = 429
_REFUSED = 400


@dataclass(frozen=True, slots=True)
class Allowed:
    """Which queues, topics and buses API keys may name: what the role of the service may do is more than what a key may have it do."""

    patterns: Sequence[str] = ()
    """ARNs, with `*` for anything."""

    def allows(self, arn: str) -> bool:
        """Tell whether events may go there."""
        return any(fnmatchcase(arn, pattern) for pattern in self.patterns)


@dataclass(frozen=True, slots=True)
class Queues:
    """Posts to AWS for the channels."""

    caller: AwsCaller
    allowed: Allowed
    log: Logger

    async def post(self, arn: str, headers: Mapping[str, str], body: bytes) -> AwsAnswer | Answered:
        """Return what AWS said, or what becomes of what couldn't be asked."""
        if not self.allowed.allows(arn):
            return failed("not_allowed")
        if len(body) > 2 * MESSAGE_BYTES_MAX:  # escaped; the message itself is measured before
            return too_large()
        try:
            return await self.caller.post(arn, headers, body, SEND_SECONDS_MAX)
        except TimeoutError:
            return Answered(verdict=Verdict.LATER, answer=Answer(error="timeout", timed_out=True))
        except AwsUnavailableError as failure:
            self.log.event("queue unavailable", arn=arn, reason=str(failure))
            return failed(failure)


def too_large() -> Answered:
    """Answer for an event that is larger than any of the services takes."""
    return Answered(verdict=Verdict.REFUSED, answer=Answer(error="too_large"), felt=_REFUSED, says_of_endpoint=False)


def answered(status: int, code: str) -> Answered:
    """Return what an answer of AWS's means; `code` is the error's name, empty where there is none."""
    name = code.rpartition(".")[2]
    if status < 300 and not code:
        return Answered(verdict=Verdict.DELIVERED, answer=Answer(status_code=status), felt=status)
    answer = Answer(status_code=status, error=name or None)
    if name in _NEVER_TAKEN:
        return Answered(verdict=Verdict.REFUSED, answer=answer, felt=_REFUSED, says_of_endpoint=False)
    if name in _THROTTLED or status == _BUSY:
        return Answered(verdict=Verdict.LATER, answer=answer, felt=_BUSY)
    # What came with 200 and an error is one entry's: EventBridge's own failure.
    return Answered(verdict=Verdict.LATER, answer=answer, felt=status if status >= 300 else 500, says_of_endpoint=name not in _OURS)


def text_of(body: bytes) -> str:
    """Return an event as text that all of them take: the two characters that XML has not are escaped, as JSON may have them."""
    return body.decode().replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")
