"""What is known of a run's copies: by later commands, and of runs that were started before there were any."""

import json
import os
from collections.abc import Generator
from pathlib import Path

import pytest

from payments.cli.data_directory import DataDirectory, RunningProcess, RunningService
from payments.cli.key_rings import Purpose
from payments.cli.local_key_rings import LocalPlace

_RUN = {
    "supervisor_pid": 1,
    "ready": True,
    "base_url": "http://127.0.0.1:8080",
    "database_url": "postgresql:///tap",
    "postgres": {"pid": 2},
    "gateway": {"pid": 3, "url": "http://127.0.0.1:8080"},
    "root_certificate": None,
}


@pytest.fixture
def directory(tmp_path: Path) -> Generator[DataDirectory]:
    made = DataDirectory(tmp_path / "tap")
    made.create()
    lock = made.lock()
    yield made
    os.close(lock)


def runs(directory: DataDirectory, service: dict[str, object]) -> None:
    (directory.path / "run.json").write_text(json.dumps({**_RUN, "services": {"payment-api": service}}))


def test_a_run_of_the_previous_version_has_one_copy_of_each(directory: DataDirectory) -> None:
    runs(directory, {"pid": 4, "url": "http://127.0.0.1:20001"})
    assert directory.run().services["payment-api"].copies == [RunningProcess(pid=4, url="http://127.0.0.1:20001")]


def test_the_first_copy_comes_first() -> None:
    others = [RunningProcess(pid=5, url="b"), RunningProcess(pid=None, url="c")]
    assert [copy.url for copy in RunningService(pid=4, url="a", others=others).copies] == ["a", "b", "c"]


@pytest.mark.parametrize("older", [0, 1, 2])
def test_a_service_is_outdated_as_soon_as_one_of_its_copies_is(directory: DataDirectory, older: int) -> None:
    """This process is older than the directory's keys; a copy that isn't there reads them when it comes."""
    pids: list[int | None] = [None, None]
    pids.insert(older, os.getpid())
    runs(directory, {"pid": pids[0], "url": "a", "others": [{"pid": pid, "url": "b"} for pid in pids[1:]]})
    assert LocalPlace(directory).outdated(Purpose.ENVELOPE) == ["payment-api"]


def test_copies_that_are_not_there_are_not_outdated(directory: DataDirectory) -> None:
    runs(directory, {"pid": None, "url": "a", "others": [{"pid": None, "url": "b"}]})
    assert LocalPlace(directory).outdated(Purpose.ENVELOPE) == []
