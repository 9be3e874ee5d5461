"""What can be asked whether it stores what it acknowledges: Tap, and whatever a description tells how to ask (docs/acknowledged.md)."""

import asyncio
import itertools
import json
import subprocess
import tomllib
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import aiohttp

from payments.runtime.topology import Service
from tests.support.persistent import RETRIED
from tests.support.running_tap import RunningTap, running_tap
from tests.support.waiting import eventually

_LOOKUPS_AT_ONCE = 16


class Request(NamedTuple):
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None


class Subject(Protocol):
    """A system that is asked."""

    name: str
    victims: Sequence[str]
    """What can be killed."""
    retried: frozenset[int]
    """Statuses that say to try again."""
    done_before: str | None
    """What `told` returns of an answer that says no more than that."""

    def request(self, reference: str) -> Request:
        """An operation, by our reference: the same each time."""
        ...

    def told(self, status: int, body: bytes) -> str | None:
        """What an answer says was done; None: nothing was."""
        ...

    async def find(self, session: aiohttp.ClientSession, told: Mapping[str, str]) -> Mapping[str, int]:
        """How often each operation is there, by its reference; `told`: what each was told."""
        ...

    async def books(self, session: aiohttp.ClientSession, operations: int) -> str | None:
        """What is wrong with the balances after so many operations; None: nothing."""
        ...

    def kill(self, victim: str) -> None: ...

    async def wait_until_ready(self, session: aiohttp.ClientSession) -> None: ...


@dataclass
class TapSubject:
    """Tap, which starts again what was killed."""

    tap: RunningTap
    name: str = "Tap"
    retried: frozenset[int] = RETRIED
    done_before: str | None = None

    def __post_init__(self) -> None:
        status = self.tap.status()
        self._url, self._headers = status["base_url"], {"Authorization": f"Bearer {status['secret_key']}"}
        self._copies = {name: itertools.cycle(range(len(service["copies"]))) for name, service in status["services"].items()}
        self.victims: Sequence[str] = ("postgres", *(service for service in Service if service != Service.NOTIFICATION_SERVICE))

    def request(self, reference: str) -> Request:
        body = f"amount=2000&currency=usd&confirm=true&payment_method=pm_card_visa&metadata[reference]={reference}"
        headers = {**self._headers, "Idempotency-Key": reference, "Content-Type": "application/x-www-form-urlencoded"}
        return Request("POST", f"{self._url}/v1/payment_intents", headers, body.encode())

    def told(self, status: int, body: bytes) -> str | None:
        return body.decode() if status == 200 else None  # a repetition is answered byte for byte

    async def find(self, session: aiohttp.ClientSession, told: Mapping[str, str]) -> Mapping[str, int]:
        """All that is there, once nothing is under way any more."""
        del told
        paid: list[dict[str, Any]] = []

        async def all_are_paid() -> bool:
            paid[:] = [payment async for payment in self._payments(session)]
            return all(payment["status"] == "succeeded" for payment in paid)

        await eventually(all_are_paid, "no payment is processing")
        counts: dict[str, int] = {}
        for payment in paid:
            reference = payment["metadata"]["reference"]
            counts[reference] = counts.get(reference, 0) + 1
        return counts

    async def _payments(self, session: aiohttp.ClientSession) -> AsyncGenerator[dict[str, Any]]:
        last: dict[str, str] = {}
        while True:
            async with session.get(
                f"{self._url}/v1/payment_intents", params={"limit": "100", **last}, headers=self._headers, raise_for_status=True
            ) as response:
                page = await response.json()
            for payment in page["data"]:
                yield payment
            if not page["has_more"]:
                return
            last = {"starting_after": page["data"][-1]["id"]}

    async def books(self, session: aiohttp.ClientSession, operations: int) -> str | None:
        del session, operations  # every payment has its transfers, and all balances are the sums of theirs: `tap verify` proves it
        done = await asyncio.to_thread(self.tap.tap, "verify", check=False)
        return None if done.returncode == 0 else done.stdout.strip()

    def kill(self, victim: str) -> None:
        self.tap.kill(victim, next(self._copies[victim]) if victim in self._copies else 0)

    async def wait_until_ready(self, session: aiohttp.ClientSession) -> None:
        """It is: `tap up` waits for that."""


@contextmanager
def tap_subject(copies: int) -> Generator[TapSubject]:
    """Start Tap, in a directory of its own."""
    with running_tap({"TAP_ATTEMPT_LEASE_SECONDS": "3", "TAP_ACQUIRER_TIMEOUT_SECONDS": "2"}, "--copies", str(copies)) as tap:
        yield TapSubject(tap)


@dataclass
class DescribedSubject:
    """What a description tells how to ask."""

    description: Mapping[str, Any]
    done_before: str | None = "done before"
    retried: frozenset[int] = field(init=False)

    def __post_init__(self) -> None:
        self.name: str = self.description["name"]
        self._operation = self.description["operation"]
        self.retried = frozenset(self._operation.get("try_again", RETRIED))
        self.victims: Sequence[str] = tuple(self.description["victims"])

    def request(self, reference: str) -> Request:
        return _request(self._operation, reference=reference)

    def told(self, status: int, body: bytes) -> str | None:
        if status in self._operation.get("done_before", ()):
            return self.done_before
        return str(_at(json.loads(body), self._operation["told"])) if status in self._operation["done"] else None

    async def find(self, session: aiohttp.ClientSession, told: Mapping[str, str]) -> Mapping[str, int]:
        turns, lookup = asyncio.Semaphore(_LOOKUPS_AT_ONCE), self.description["lookup"]

        async def look_up(reference: str, answer: str) -> tuple[str, int]:
            async with turns:
                found = await self._ask(session, _request(lookup, reference=reference, told=answer), lookup.get("list"))
            return reference, len(found) if isinstance(found, list) else int(found is not None)

        return dict(await asyncio.gather(*(look_up(*each) for each in told.items())))

    async def books(self, session: aiohttp.ClientSession, operations: int) -> str | None:
        for each in self.description.get("books", ()):
            if "command" in each:
                found, wanted = await asyncio.to_thread(_status_of, each["command"]), 0
            else:
                found, wanted = await self._ask(session, _request(each), each["value"]), operations * each["each"]
            if found != wanted:
                return f"{each['name']}: {found} instead of {wanted}"
        return None

    async def _ask(self, session: aiohttp.ClientSession, request: Request, path: str | None) -> Any:
        """What an answer holds at a path; None when there is no such thing. Raises `aiohttp.ClientResponseError`."""
        async with session.request(request.method, request.url, headers=request.headers, data=request.body) as response:
            if response.status == 404:
                return None
            response.raise_for_status()
            answer = json.loads(await response.read())
        return answer if path is None else _at(answer, path)

    def kill(self, victim: str) -> None:
        commands = self.description["victims"][victim]
        for command in (commands[each] for each in ("kill", "start") if each in commands):
            status = _status_of(command)
            assert status == 0, f"{command} exited with {status}"

    async def wait_until_ready(self, session: aiohttp.ClientSession) -> None:
        async def is_ready() -> bool:
            try:
                async with session.get(self.description["ready"]) as response:
                    return response.status == 200
            except aiohttp.ClientError:
                return False

        await eventually(is_ready, f"{self.name} is ready")
        if "prepare" in self.description:
            status = await asyncio.to_thread(_status_of, self.description["prepare"])
            assert status == 0, f"{self.description['prepare']} exited with {status}"


def described(path: Path) -> DescribedSubject:
    return DescribedSubject(tomllib.loads(path.read_text()))


def _status_of(command: str) -> int:
    """Run what a description says; what it prints is the user's to see."""
    return subprocess.run(command, shell=True, check=False).returncode


def _request(template: Mapping[str, Any], **values: str) -> Request:
    def filled(text: str) -> str:
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    headers = {name: filled(value) for name, value in template.get("headers", {}).items()}
    return Request(
        template.get("method", "GET"), filled(template["url"]), headers, filled(template["body"]).encode() if "body" in template else None
    )


def _at(answer: Any, path: str) -> Any:
    """What stands at `a.0.b`."""
    for step in path.split("."):
        answer = answer[int(step)] if isinstance(answer, list) else answer[step]
    return answer
