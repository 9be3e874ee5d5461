"""Signed calls to AWS's JSON and query services, as the role of the task that this process runs in; its keys are fetched anew before they run out.

Sources: ECS, "Task IAM role"; AWS, "Service-specific endpoints".
"""

import asyncio
import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from yarl import URL

from payments.runtime.aws_signature import AwsKeys, Scope, signed_headers
from payments.runtime.clock import Clock

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

_TASK_CREDENTIALS = "http://169.254.170.2"
"""Where Fargate hands out the task role's keys."""
_RENEWED_SECONDS = 300.0
"""Before they run out. AWS has new ones by then."""
_ANSWER_BYTES_MAX = 64 * 1024
_KEYS_REFUSED = frozenset({"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"})
_XML_CODE = re.compile(rb"<Code>([A-Za-z0-9.]{1,100})</Code>")


class AwsUnavailableError(Exception):
    """A call couldn't be made: there are no keys, or nobody answers."""


@dataclass(frozen=True, slots=True)
class AwsAccess:
    """As whom calls are made, and where to."""

    credentials_url: str | None
    """Where the task role's keys are; None: `keys` are given."""
    keys: AwsKeys | None = field(repr=False)
    endpoints: Mapping[str, str]
    """URL by service, of those that aren't where AWS's are; under an empty name that of all others."""

    @staticmethod
    def from_environment(environment: Mapping[str, str]) -> "AwsAccess":
        """Find out what AWS's own libraries would, from the variables they read."""
        keys = None
        if "AWS_ACCESS_KEY_ID" in environment:
            keys = AwsKeys(
                environment["AWS_ACCESS_KEY_ID"], environment.get("AWS_SECRET_ACCESS_KEY", ""), environment.get("AWS_SESSION_TOKEN") or None
            )
        relative = environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
        named = {
            "": "AWS_ENDPOINT_URL",
            "sqs": "AWS_ENDPOINT_URL_SQS",
            "sns": "AWS_ENDPOINT_URL_SNS",
            "events": "AWS_ENDPOINT_URL_EVENTBRIDGE",
            "secretsmanager": "AWS_ENDPOINT_URL_SECRETS_MANAGER",
        }
        return AwsAccess(
            credentials_url=None if relative is None else _TASK_CREDENTIALS + relative,
            keys=keys,
            endpoints={service: environment[name] for service, name in named.items() if environment.get(name)},
        )

    def endpoint(self, arn: str) -> str:
        """Return the URL of the service that an ARN names, in its region."""
        _, partition, service, region, *_ = arn.split(":")
        suffix = "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
        return self.endpoints.get(service) or self.endpoints.get("") or f"https://{service}.{region}.{suffix}"


@dataclass(frozen=True, slots=True)
class AwsAnswer:
    """What a service answered."""

    status: int
    body: bytes
    code: str
    """The error's name, without its namespace; empty where there is none."""


class _RoleKeys(msgspec.Struct, rename="pascal"):
    access_key_id: str
    secret_access_key: str
    token: str
    expiration: datetime


class _Refusal(msgspec.Struct):
    type: str = msgspec.field(name="__type", default="")


class AwsCaller:
    """Makes calls on one event loop."""

    def __init__(self, access: AwsAccess, clock: Clock) -> None:
        self.access = access
        self._clock = clock
        self._session: ClientSession | None = None
        self._keys: AwsKeys | None = None
        self._keys_until = 0.0
        self._fetching = asyncio.Lock()

    async def post(self, arn: str, headers: Mapping[str, str], body: bytes, seconds_max: float) -> AwsAnswer:
        """POST `body` to the service that an ARN names; raises `AwsUnavailableError`, and `TimeoutError` after `seconds_max`."""
        _, _, service, region, *_ = arn.split(":")
        url = URL(self.access.endpoint(arn)).with_path("/")
        # It takes a fifth of a second to load, and a process that calls nobody never needs it.
        aiohttp = await asyncio.to_thread(importlib.import_module, "aiohttp")
        session: ClientSession = self._session or aiohttp.ClientSession()
        self._session = session
        try:
            async with asyncio.timeout(seconds_max):
                keys = await self._current_keys(session)
                host = url.authority if url.explicit_port else url.raw_host or ""
                signed = signed_headers({"host": host, **headers}, body, keys=keys, scope=Scope(region, service), now=self._clock.now())
                async with session.post(url, data=body, headers=signed, allow_redirects=False) as response:
                    answer = await _read(response)
                    code = "" if response.status < 300 else code_of(answer)
                    if code in _KEYS_REFUSED:
                        self._keys_until = 0.0
                    return AwsAnswer(response.status, answer, code)
        except aiohttp.ClientError as failure:
            raise AwsUnavailableError(f"{service} can't be reached: {type(failure).__name__}") from None

    async def close(self) -> None:
        """Close the connections that are kept."""
        if self._session is not None:
            await self._session.close()

    async def _current_keys(self, session: "ClientSession") -> AwsKeys:
        if self.access.keys is not None:
            return self.access.keys
        if self.access.credentials_url is None:
            raise AwsUnavailableError("there is neither a task role nor AWS_ACCESS_KEY_ID")
        async with self._fetching:
            if self._keys is None or self._clock.now() >= self._keys_until:
                self._keys, self._keys_until = await self._fetch(session, self.access.credentials_url)
            return self._keys

    async def _fetch(self, session: "ClientSession", credentials_url: str) -> tuple[AwsKeys, float]:
        async with session.get(credentials_url, allow_redirects=False) as response:
            if response.status != 200:
                raise AwsUnavailableError(f"the task role's keys can't be had: {response.status}")
            try:
                role = msgspec.json.decode(await response.read(), type=_RoleKeys)
            except msgspec.MsgspecError:  # its message may quote them
                raise AwsUnavailableError("the task role's keys aren't what they should be") from None
        return AwsKeys(role.access_key_id, role.secret_access_key, role.token), role.expiration.timestamp() - _RENEWED_SECONDS


async def _read(response: "ClientResponse") -> bytes:
    """Return the body, as much of it as is taken."""
    taken = b""
    while len(taken) < _ANSWER_BYTES_MAX and (part := await response.content.read(_ANSWER_BYTES_MAX - len(taken))):
        taken += part
    return taken


def code_of(body: bytes) -> str:
    """Return the name of an error, in JSON (`namespace#Name`) or in XML."""
    found = _XML_CODE.search(body)
    if found is not None:
        return found[1].decode("ascii")
    try:
        return msgspec.json.decode(body, type=_Refusal).type.rpartition("#")[2][:100]
    except msgspec.MsgspecError:
        return ""
