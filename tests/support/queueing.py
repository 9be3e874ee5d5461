"""AWS's queues, topics and buses on the test's event loop, and the keys of a task's role: a call that isn't signed as botocore signs it is refused."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from payments.runtime.aws_role import AwsAccess

KEY, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "token"


@dataclass
class Aws:
    """What it was asked, and what it answers next."""

    port: int = 0
    asked: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    answers: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    """Status and body, one after the other; when there is none left, it takes what comes."""
    keys_given: int = 0
    keys_until: str = "2040-01-01T00:00:00Z"

    @property
    def access(self) -> AwsAccess:
        url = f"http://127.0.0.1:{self.port}"
        return AwsAccess(credentials_url=f"{url}/role", keys=None, endpoints={"": url})

    async def give_keys(self, _: web.Request) -> web.Response:
        self.keys_given += 1
        given = {"AccessKeyId": KEY, "SecretAccessKey": SECRET, "Token": TOKEN, "Expiration": self.keys_until}
        return web.json_response(given)

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        assert request.headers["Authorization"] == _signed(request, body)
        self.asked.append(dict(parse_qsl(body.decode())) if "form" in request.headers["Content-Type"] else msgspec.json.decode(body))
        status, answer = self.answers.pop(0) if self.answers else (200, '{"Entries": [{"EventId": "1"}]}')
        return web.Response(status=status, text=answer)


def _signed(request: web.Request, body: bytes) -> str:
    """What botocore signs such a request as."""
    given = request.headers["Authorization"]
    names = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    _, _, region, service, _ = given.partition("Credential=")[2].partition(",")[0].split("/")
    headers = {name: request.headers[name] for name in names}
    again = AWSRequest("POST", f"http://{request.host}/", data=body, headers=headers)
    again.context["timestamp"] = request.headers["X-Amz-Date"]
    auth = cast("Any", SigV4Auth(Credentials(KEY, SECRET, TOKEN), service, region))
    return f"AWS4-HMAC-SHA256 Credential={auth.scope(again)}, SignedHeaders={';'.join(names)}, Signature=" + auth.signature(
        auth.string_to_sign(again, auth.canonical_request(again)), again
    )


@asynccontextmanager
async def queueing(take: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None) -> AsyncGenerator[Aws]:
    """Listen on a free port of the loopback interface; `take` answers in place of what `answers` says."""
    aws = Aws()
    app = web.Application()
    app.router.add_get("/role", aws.give_keys)
    app.router.add_post("/", take or aws.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    aws.port = runner.addresses[0][1]
    try:
        yield aws
    finally:
        await runner.cleanup()
