"""The log: one line each, never an exception, never a wait."""

import asyncio
import contextlib
import enum
import io
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Generator
from typing import Any

import pytest

from payments.runtime.log_writer import LineWriter
from payments.runtime.logging import LibraryLog, Logger
from tests.support.waiting import wait_until


def test_a_log_line_is_one_json_object() -> None:
    stream = io.BytesIO()
    log = Logger("test", stream)
    log.event("request", path="/v1/x\n", status=200)
    log.flush()
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line).items() >= {"service": "test", "event": "request", "path": "/v1/x\n", "status": 200}.items()


def test_a_failure_is_logged_by_its_place_not_by_its_message() -> None:
    stream = io.BytesIO()
    log = Logger("test", stream)
    try:
        raise ValueError("card 4242424242424242")
    except ValueError as failure:
        log.error("somewhere", failure)
    log.flush()
    line = json.loads(stream.getvalue())
    assert (line["kind"], line["where"]) == ("ValueError", "somewhere")
    assert "4242" not in stream.getvalue().decode().replace(line["stack"][0], "")


def test_what_libraries_log_is_one_line_too() -> None:
    stream, library = io.BytesIO(), logging.Logger("library")  # noqa: LOG001 - one that nobody else listens to
    log = Logger("test", stream)
    library.addHandler(LibraryLog(log))
    try:
        raise ValueError("card 4242424242424242")
    except ValueError:
        library.exception("It failed with %s\nand a second line", "4242424242424242")
    library.warning("It is slow: %s\nand a second line", "4242424242424242")
    library.info("never mind")
    log.flush()
    failed, slow = map(json.loads, stream.getvalue().splitlines())
    assert (failed["where"], failed["kind"]) == ("library", "ValueError")
    assert (slow["logger"], slow["level"], slow["message"]) == ("library", "WARNING", "It is slow: %s")
    assert "and a second line" not in stream.getvalue().decode()


class Undescribable:
    def __repr__(self) -> str:
        raise RuntimeError("it holds 4242424242424242")

    __str__ = __repr__


def endless() -> list[Any]:
    inside: list[Any] = []
    inside.append(inside)
    return inside


class Colour(enum.Enum):
    RED = object()


@pytest.mark.parametrize(
    "value",
    [
        object(),
        Undescribable(),
        endless(),
        Colour.RED,
        {"set": {Undescribable()}},
        {Undescribable(): 1},
        {1.5: "a key"},
        "\ud800 half a character",
        ["\udcff"],
        2**70,
        -(2**70),
        float("nan"),
        complex(1, 1),
        lambda: None,
        b"bytes",
        ValueError("card 4242424242424242"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_no_value_keeps_its_line_from_being_logged(value: object) -> None:
    stream = io.BytesIO()
    log = Logger("test", stream)
    log.event("before")
    log.event("request", path="/v1/x", value=value)
    log.event("after")
    log.flush()
    before, line, after = map(json.loads, stream.getvalue().splitlines())
    assert (before["event"], line["path"], after["event"]) == ("before", "/v1/x", "after")
    assert "4242424242424242" not in stream.getvalue().decode()


@pytest.mark.parametrize("message", [Undescribable(), ["%s"], "100 %", "", None])
def test_no_message_of_a_library_raises(message: Any) -> None:
    stream, library = io.BytesIO(), logging.Logger("library")  # noqa: LOG001 - one that nobody else listens to
    log = Logger("test", stream)
    library.addHandler(LibraryLog(log))
    library.warning(message)
    log.flush()
    assert json.loads(stream.getvalue())["event"] == "library"


class Stream(io.RawIOBase):
    """A stream that takes what it is told to."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.bytes_max = 1 << 30
        """How much it takes at once."""
        self.failure: Exception | None = None
        self.open = threading.Event()
        self.open.set()

    def write(self, data: Any) -> int | None:
        self.open.wait()
        if self.failure is not None:
            raise self.failure
        taken = bytes(data)[: self.bytes_max]
        self.written += taken
        return len(taken) or None


@pytest.fixture
def stream() -> Generator[Stream]:
    made = Stream()
    yield made
    made.failure = None
    made.open.set()


def lines(stream: Stream) -> list[dict[str, Any]]:
    return [json.loads(line) for line in bytes(stream.written).splitlines()]


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), BrokenPipeError(), ValueError("write to closed file")])
def test_a_stream_that_fails_fails_nobody_and_loses_nothing_that_fits(stream: Stream, failure: Exception) -> None:
    stream.failure = failure
    log = Logger("test", stream)
    for number in range(100):
        log.event("request", number=number)
    log.error("sweep", ConnectionError())
    assert not log.flush(5)
    stream.failure = None
    wait_until(lambda: log.flush(1), "the log is written")
    assert [line.get("number") for line in lines(stream)] == [*range(100), None]


def test_a_line_is_whole_however_little_the_stream_takes_at_once(stream: Stream) -> None:
    stream.bytes_max = 7
    log = Logger("test", stream)
    for number in range(20):
        log.event("request", number=number)
    wait_until(lambda: log.flush(1), "the log is written")
    assert [line["number"] for line in lines(stream)] == list(range(20))


async def test_a_stream_that_blocks_holds_no_event_loop_up(stream: Stream) -> None:
    stream.open.clear()
    log = Logger("test", stream)
    turns = 0
    for number in range(10_000):  # more than a pipe takes
        log.event("request", number=number, padding="x" * 100)
        await asyncio.sleep(0)
        turns += 1
    assert turns == 10_000
    assert not stream.written
    stream.open.set()
    assert await asyncio.to_thread(log.flush, 60)
    assert [line["number"] for line in lines(stream)] == list(range(10_000))


def test_what_does_not_fit_is_counted_and_the_log_says_how_much_that_was(stream: Stream) -> None:
    stream.open.clear()
    writer = LineWriter(stream, lambda lost: b"lost %d\n" % lost, waiting_bytes_max=100)
    for number in range(1000):
        writer.put(b"line %d\n" % number)
    stream.open.set()
    assert writer.flush(60)
    writer.put(b"the last\n")
    assert writer.flush(60)
    written = bytes(stream.written).splitlines()
    kept = [line for line in written if line.startswith(b"line ")]
    (lost,) = [line for line in written if line.startswith(b"lost ")]
    assert len(kept) + int(lost.split()[1]) == 1000
    assert written == [*kept, lost, b"the last"]


def test_many_threads_may_log_at_once(stream: Stream) -> None:
    log = Logger("test", stream)
    threads = [threading.Thread(target=lambda: [log.event("request", number=number) for number in range(500)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.flush(60)
    assert sorted(line["number"] for line in lines(stream)) == sorted(list(range(500)) * 8)


_LOGS = """
import sys
from payments.runtime.logging import Logger
log = Logger("test")
for number in range(int(sys.argv[1])):
    log.event("request", number=number)
sys.exit(3)
"""


def test_what_was_logged_last_is_written_before_the_process_ends() -> None:
    done = subprocess.run([sys.executable, "-c", _LOGS, "5000"], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (3, b"")
    assert [json.loads(line)["number"] for line in done.stdout.splitlines()] == list(range(5000))


def test_a_reader_that_never_reads_does_not_keep_the_process_from_ending() -> None:
    reading, writing = os.pipe()
    with contextlib.closing(os.fdopen(reading, "rb")), os.fdopen(writing, "wb") as output:
        done = subprocess.run([sys.executable, "-c", _LOGS, "20000"], stdout=output, stderr=subprocess.PIPE, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (3, b"")


@pytest.mark.parametrize("output", ["> /dev/full", ">&-", "| true"])
def test_no_kind_of_output_ends_a_process(output: str) -> None:
    script = f'"$0" -c "$1" 5000 {output}; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", script, sys.executable, _LOGS], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (3, b"")
