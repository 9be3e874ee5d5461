"""The program that asks whether what was acknowledged is stored finds out when it isn't: against a shop that lies in one way at a time."""

import asyncio
import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.benchmarks.acknowledged import Report, run
from tests.benchmarks.subjects import described
from tests.support.serving import Handler, serving

LIES = {
    "forgets": "missing",
    "does it at each repetition": "doubled",
    "answers otherwise": "answered_otherwise",
    "refuses": "refused",
    "keeps wrong books": "books",
}


@contextmanager
def shop(lie: str) -> Generator[str]:
    stored: list[str] = []
    asked: list[str] = []
    lock = threading.Lock()

    class Shop(Handler):
        def take(self) -> None:
            path, query = urlsplit(self.path)[2:4]
            body = self.body()
            with lock:
                self.answer(*(self.order(json.loads(body)["reference"]) if self.command == "POST" else self.show(path, query)))

        def order(self, reference: str) -> tuple[int, bytes]:
            asked.append(reference)
            is_unlucky = int(reference, 16) % 5 == 0
            if is_unlucky and lie == "refuses":
                return 400, b"{}"
            if is_unlucky and asked.count(reference) == 1:
                return 503, b""  # it is to be tried again
            if is_unlucky and asked.count(reference) == 2 and lie == "forgets":
                pass  # and does it anew, if it is asked once more
            elif reference not in stored or lie == "does it at each repetition":
                stored.append(reference)
            told = str(len(asked)) if lie == "answers otherwise" else reference
            return 200, json.dumps({"data": {"id": told}}).encode()

        def show(self, path: str, query: str) -> tuple[int, bytes]:
            if path == "/balance":
                return 200, json.dumps({"balance": 100 * len(stored) - (lie == "keeps wrong books")}).encode()
            if path == "/health":
                return 200, b""
            found = [each for each in stored if [each] == parse_qs(query)["reference"]]
            return 200, json.dumps({"found": found}).encode()

    with serving(Shop) as url:
        yield url


def asked(url: str, tmp_path: Path) -> Report:
    killed = tmp_path / "killed"
    description = tmp_path / "shop.toml"
    description.write_text(f"""
name = "shop"
ready = "{url}/health"
[operation]
method = "POST"
url = "{url}/operations"
headers = {{ "Content-Type" = "application/json" }}
body = '{{"reference": "{{reference}}"}}'
done = [200]
told = "data.id"
[lookup]
url = "{url}/operations?reference={{reference}}"
list = "found"
[[books]]
name = "the shop's balance"
url = "{url}/balance"
value = "balance"
each = 100
[victims.server]
kill = "echo killed >> {killed}"
start = "echo started >> {killed}"
""")
    report = asyncio.run(run(described(description), clients=4, seconds=0.5, pause_seconds=0.05))
    assert killed.read_text().splitlines() == ["killed", "started"] * report.kills["server"]
    assert report.acknowledged > 10
    return report


def test_an_honest_one_has_no_faults(tmp_path: Path) -> None:
    with shop("") as url:
        report = asked(url, tmp_path)
    assert report.faults == 0, report
    assert report.sent_again > 0
    assert report.operations == report.acknowledged


@pytest.mark.parametrize("lie", LIES)
def test_every_lie_is_found(lie: str, tmp_path: Path) -> None:
    with shop(lie) as url:
        report = asked(url, tmp_path)
    assert getattr(report, LIES[lie])
    assert report.faults > 0
    others = set(LIES.values()) - {LIES[lie]} - ({"books"} if lie in ("does it at each repetition", "refuses") else set())
    assert [name for name in others if getattr(report, name)] == []


def test_the_example_of_a_description_is_one(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "acknowledged.md").read_text()
    (tmp_path / "example.toml").write_text(text.partition("```toml\n")[2].partition("```")[0])
    subject = described(tmp_path / "example.toml")
    request = subject.request("r1")
    assert (request.method, request.headers["Idempotency-Key"]) == ("POST", "r1")
    assert request.body is not None
    assert json.loads(request.body)["reference"] == "r1"
    assert subject.told(200, b'{"data": {"id": 7}}') == "7"
    assert subject.told(400, b"{}") is None
    assert set(subject.victims) == {"server", "database"}
