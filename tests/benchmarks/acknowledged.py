"""Is what was acknowledged stored? `make acknowledged` asks Tap; `python -m tests.benchmarks.acknowledged FILE.toml` asks any HTTP API that moves money.

Clients send operations as fast as they are answered, each with a reference of its own, while server and database are killed with SIGKILL, time and again. What
wasn't answered is sent again under the same reference until it is. Then every acknowledged operation is looked up, sent once more, and looked up again:

- *missing*: acknowledged, and not there;
- *doubled*: there more than once;
- *answered otherwise*: the same request was told something else the second time;
- the *books*: what the system says of its own balances, against what was acknowledged.

Exits with 1 when there is any of it. It shows what a process's end costs. What a machine's end costs it can't show: whatever was handed to the operating system
outlives a process, flushed to the disk or not.
"""

import argparse
import asyncio
import itertools
import json
import sys
import time
import uuid
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from tests.benchmarks.subjects import Subject, described, tap_subject
from tests.support.persistent import Persistent

RESULTS = Path("bench-results")
T = TypeVar("T")


@dataclass
class Report:
    subject: str
    seconds: float = 0.0
    operations: int = 0
    """Which were begun."""
    acknowledged: int = 0
    sent_again: int = 0
    """Requests that got no answer, or one that says to try again."""
    kills: dict[str, int] = field(default_factory=dict[str, int])
    refused: list[str] = field(default_factory=list[str])
    """Answers that neither acknowledge nor say to try again; a few of them."""
    never_answered: list[str] = field(default_factory=list[str])
    missing: list[str] = field(default_factory=list[str])
    doubled: list[str] = field(default_factory=list[str])
    answered_otherwise: list[str] = field(default_factory=list[str])
    books: str | None = None
    """What is wrong with them."""

    @property
    def faults(self) -> int:
        wrong = (self.refused, self.never_answered, self.missing, self.doubled, self.answered_otherwise)
        return sum(len(each) for each in wrong) + (self.books is not None)

    def lines(self) -> list[str]:
        kills = ", ".join(f"{name} {count}" for name, count in self.kills.items())
        return [
            f"{self.subject}: {self.operations} operations in {self.seconds:.0f} s, {self.acknowledged} acknowledged, {self.sent_again} requests sent again",
            f"killed: {kills}",
            f"acknowledged and missing: {len(self.missing)}",
            f"done more than once: {len(self.doubled)}",
            f"answered otherwise the second time: {len(self.answered_otherwise)}",
            f"refused: {len(self.refused)}, never answered: {len(self.never_answered)}",
            f"books: {self.books or 'in order'}",
            *(f"    {each}" for each in (*self.refused, *self.missing, *self.doubled, *self.answered_otherwise)[:10]),
        ]


class Trial:
    """One run against one subject."""

    def __init__(self, subject: Subject, session: aiohttp.ClientSession, *, clients: int) -> None:
        self._subject, self._session, self._clients = subject, session, clients
        self._persistent = Persistent(session, retried=subject.retried)
        self._answers: dict[str, str] = {}
        """What each acknowledged operation was told."""
        self.report = Report(subject.name)

    async def run(self, seconds: float, pause_seconds: float) -> Report:
        began, stop = time.monotonic(), asyncio.Event()
        working = [asyncio.create_task(self._work(stop)) for _ in range(self._clients)]
        await self._kill(began + seconds, pause_seconds)
        stop.set()
        await asyncio.gather(*working)
        report = self.report
        report.seconds = time.monotonic() - began
        report.acknowledged, report.sent_again, report.never_answered = (
            len(self._answers),
            self._persistent.retries,
            self._persistent.gave_up,
        )
        found = await self._subject.find(self._session, self._answers)
        report.missing = [reference for reference in self._answers if found.get(reference, 0) == 0]
        await self._compare()  # only then: what was forgotten altogether would be done anew
        found = await self._subject.find(self._session, self._answers)
        report.doubled = [reference for reference, count in found.items() if count > 1]
        report.books = await self._subject.books(self._session, report.operations)
        return report

    async def _work(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            reference = uuid.uuid4().hex
            self.report.operations += 1
            told = await self._tell(reference)
            if told is not None:
                self._answers[reference] = told

    async def _tell(self, reference: str) -> str | None:
        """Ask for an operation until that is answered; returns what it was told, None if it was refused or never answered."""
        request = self._subject.request(reference)
        status, body = await self._persistent.send(request.method, request.url, name=reference, headers=request.headers, data=request.body)
        told = self._subject.told(status, body)
        if told is None and status:
            self.report.refused.append(f"{reference}: {status} {body[:200].decode(errors='replace')}")
        return told

    async def _kill(self, until: float, pause_seconds: float) -> None:
        """Kill one after the other, each at a system at work."""
        kills = self.report.kills = dict.fromkeys(self._subject.victims, 0)
        for victim in itertools.cycle(kills):
            done = len(self._answers)
            await asyncio.sleep(pause_seconds)
            while len(self._answers) == done and time.monotonic() < until:
                await asyncio.sleep(0.1)  # what was killed isn't back yet
            if time.monotonic() > until:
                return
            await asyncio.to_thread(self._subject.kill, victim)
            kills[victim] += 1

    async def _compare(self) -> None:
        """Send everything once more: the answer is the one that there was."""

        async def again(reference: str) -> str | None:
            told = await self._tell(reference)
            return None if told in (self._answers[reference], self._subject.done_before) else reference

        differing = await _at_once(self._clients, [lambda reference=reference: again(reference) for reference in self._answers])
        self.report.answered_otherwise = [reference for reference in differing if reference is not None]


async def _at_once(limit: int, calls: Iterable[Callable[[], Coroutine[Any, Any, T]]]) -> Sequence[T]:
    turns = asyncio.Semaphore(limit)

    async def in_turn(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        async with turns:
            return await call()

    return await asyncio.gather(*(in_turn(call) for call in calls))


async def run(subject: Subject, *, clients: int, seconds: float, pause_seconds: float) -> Report:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await subject.wait_until_ready(session)
        return await Trial(subject, session, clients=clients).run(seconds, pause_seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "description", nargs="?", type=Path, help="what to ask, and how: docs/acknowledged.md; without it Tap is started and asked"
    )
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60, help="for how long operations are begun")
    parser.add_argument("--pause", type=float, default=3, help="seconds from one kill to the next; longer while what was killed isn't back")
    parser.add_argument("--copies", type=int, default=1, help="of Tap's services")
    parser.add_argument("--json", type=Path, default=RESULTS / "acknowledged.json", help="where to write the report")
    options = parser.parse_args()
    with ExitStack() as stack:
        subject = described(options.description) if options.description else stack.enter_context(tap_subject(options.copies))
        report = asyncio.run(run(subject, clients=options.clients, seconds=options.seconds, pause_seconds=options.pause))
    print("\n".join(report.lines()))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(asdict(report), indent=2))
    sys.exit(1 if report.faults else 0)


if __name__ == "__main__":
    main()
