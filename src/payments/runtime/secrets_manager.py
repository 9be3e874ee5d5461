"""Reads a secret from AWS Secrets Manager, as the role of the task that this process runs in."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from payments.runtime.aws_role import AwsAccess, AwsCaller, AwsUnavailableError
from payments.runtime.clock import Clock

_SECONDS_MAX = 5.0
_HEADERS = {"content-type": "application/x-amz-json-1.1", "x-amz-target": "secretsmanager.GetSecretValue"}


class SecretUnavailableError(Exception):
    """A secret can't be read now."""


class Stage(StrEnum):
    """Which version of a secret. Source: Secrets Manager, "Rotation by Lambda function"."""

    CURRENT = "AWSCURRENT"
    PENDING = "AWSPENDING"
    """A rotation's new version, until the rotation is complete."""
    PREVIOUS = "AWSPREVIOUS"
    """The one before the current one."""


@dataclass(frozen=True, slots=True)
class SecretLocation:
    """Where a secret is, and as whom it is read."""

    arn: str
    access: AwsAccess

    @staticmethod
    def from_environment(arn: str, environment: Mapping[str, str]) -> "SecretLocation":
        """Find out what AWS's own libraries would, from the variables they read; raises `ValueError` when `arn` isn't a secret's."""
        match arn.split(":", 6):
            case ["arn", _, "secretsmanager", region, _, "secret", name] if region and name:
                return SecretLocation(arn, AwsAccess.from_environment(environment))
            case _:
                raise ValueError("not the ARN of a secret")


class _SecretValue(msgspec.Struct, rename="pascal"):
    secret_string: str


async def read_secret(location: SecretLocation, stage: Stage, clock: Clock) -> dict[str, Any] | None:
    """Return a secret's JSON fields, or None when it has no such version; raises `SecretUnavailableError`."""
    caller = AwsCaller(location.access, clock)
    try:
        body = msgspec.json.encode({"SecretId": location.arn, "VersionStage": stage})
        answer = await caller.post(location.arn, _HEADERS, body, _SECONDS_MAX)
        if answer.status == 200:
            return msgspec.json.decode(msgspec.json.decode(answer.body, type=_SecretValue).secret_string, type=dict[str, Any])
    except AwsUnavailableError as failure:
        raise SecretUnavailableError(str(failure)) from None
    except TimeoutError:
        raise SecretUnavailableError(f"{location.access.endpoint(location.arn)} doesn't answer in time") from None
    except msgspec.MsgspecError:  # its message, and what it comes from, may quote the secret
        raise SecretUnavailableError("The answer, or the secret, isn't the JSON object that it should be") from None
    finally:
        await caller.close()
    if answer.code == "ResourceNotFoundException" and stage is not Stage.CURRENT:
        return None
    raise SecretUnavailableError(f"Secrets Manager answers {answer.status} {answer.code}".rstrip())
