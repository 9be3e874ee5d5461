"""Reads a secret from AWS Secrets Manager, as the role of the task that this process runs in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec
from yarl import URL

from payments.runtime.aws_signature import AwsKeys, Scope, signed_headers
from payments.runtime.clock import Clock

if TYPE_CHECKING:
    from aiohttp import ClientSession

_TASK_CREDENTIALS = "http://169.254.170.2"
"""Where Fargate hands out the task role's keys. Source: ECS, "Task IAM role"."""
_SECONDS_MAX = 5.0
_SERVICE = "secretsmanager"


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
    region: str
    endpoint: str
    """URL of Secrets Manager."""
    credentials_url: str | None
    """Where the task role's keys are; None: `keys` are given."""
    keys: AwsKeys | None = field(repr=False)

    @staticmethod
    def from_environment(arn: str, environment: Mapping[str, str]) -> "SecretLocation":
        """Find out what AWS's own libraries would, from the variables they read; raises `ValueError` when `arn` isn't a secret's."""
        match arn.split(":", 6):
            case ["arn", partition, "secretsmanager", region, _, "secret", name] if region and name:
                pass
            case _:
                raise ValueError("not the ARN of a secret")
        suffix = "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
        endpoint = environment.get("AWS_ENDPOINT_URL_SECRETS_MANAGER") or environment.get("AWS_ENDPOINT_URL")
        keys = None
        if "AWS_ACCESS_KEY_ID" in environment:
            keys = AwsKeys(
                environment["AWS_ACCESS_KEY_ID"], environment.get("AWS_SECRET_ACCESS_KEY", ""), environment.get("AWS_SESSION_TOKEN") or None
            )
        relative = environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
        return SecretLocation(
            arn=arn,
            region=region,
            endpoint=endpoint or f"https://{_SERVICE}.{region}.{suffix}",
            credentials_url=None if relative is None else _TASK_CREDENTIALS + relative,
            keys=keys,
        )


class _RoleKeys(msgspec.Struct, rename="pascal"):
    access_key_id: str
    secret_access_key: str
    token: str


class _SecretValue(msgspec.Struct, rename="pascal"):
    secret_string: str


class _Refusal(msgspec.Struct):
    type: str = msgspec.field(name="__type", default="")


async def read_secret(location: SecretLocation, stage: Stage, clock: Clock) -> dict[str, Any] | None:
    """Return a secret's JSON fields, or None when it has no such version; raises `SecretUnavailableError`."""
    import aiohttp  # noqa: PLC0415 - it takes a fifth of a second to load, and a process that runs locally never reads a secret

    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS_MAX)) as session:
            keys = location.keys or await _task_keys(session, location)
            return await _get_secret_value(session, location, stage, keys, clock.now())
    except (aiohttp.ClientError, TimeoutError) as failure:
        raise SecretUnavailableError(f"{location.endpoint} can't be reached: {type(failure).__name__}") from None
    except msgspec.MsgspecError:  # its message, and what it comes from, may quote the secret
        raise SecretUnavailableError("The answer, or the secret, isn't the JSON object that it should be") from None


async def _task_keys(session: "ClientSession", location: SecretLocation) -> AwsKeys:
    if location.credentials_url is None:
        raise SecretUnavailableError("There is neither a task role nor AWS_ACCESS_KEY_ID to read the secret with")
    async with session.get(location.credentials_url, allow_redirects=False) as response:
        if response.status != 200:
            raise SecretUnavailableError(f"The task role's keys can't be had: {response.status}")
        role = msgspec.json.decode(await response.read(), type=_RoleKeys)
    return AwsKeys(role.access_key_id, role.secret_access_key, role.token)


async def _get_secret_value(
    session: "ClientSession", location: SecretLocation, stage: Stage, keys: AwsKeys, now: float
) -> dict[str, Any] | None:
    url = URL(location.endpoint).with_path("/")
    body = msgspec.json.encode({"SecretId": location.arn, "VersionStage": stage})
    headers = {
        "host": url.authority if url.explicit_port else url.raw_host or "",
        "content-type": "application/x-amz-json-1.1",
        "x-amz-target": f"{_SERVICE}.GetSecretValue",
    }
    signed = signed_headers(headers, body, keys=keys, scope=Scope(location.region, _SERVICE), now=now)
    async with session.post(url, data=body, headers=signed, allow_redirects=False) as response:
        answer = await response.read()
        if response.status != 200:
            kind = _refusal(answer)
            if kind == "ResourceNotFoundException" and stage is not Stage.CURRENT:
                return None
            raise SecretUnavailableError(f"Secrets Manager answers {response.status} {kind}".rstrip())
    return msgspec.json.decode(msgspec.json.decode(answer, type=_SecretValue).secret_string, type=dict[str, Any])


def _refusal(answer: bytes) -> str:
    """Return the error's name: `ResourceNotFoundException`, with or without its namespace before a `#`."""
    try:
        return msgspec.json.decode(answer, type=_Refusal).type.rpartition("#")[2][:100]
    except msgspec.MsgspecError:
        return ""
