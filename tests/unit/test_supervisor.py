"""What the supervisor keeps running goes on, whatever the machine refuses it for a while."""

import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from payments.cli import supervisor as module
from payments.cli.supervisor import Program, Supervisor
from tests.support.waiting import eventually


class Noted:
    """What is done after each start: it fails as often as it is told to."""

    def __init__(self) -> None:
        self.failures = 0

    def __call__(self) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError(28, "No space left on device")


@pytest.fixture
def noted() -> Noted:
    return Noted()


@pytest.fixture
async def supervisor(noted: Noted, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Supervisor]:
    monkeypatch.setattr(module, "_BACK_OFF_SECONDS", (0.01,))
    made = Supervisor(noted)
    yield made
    await made.stop("sleeper")


def sleeper(log: Path) -> Program:
    return Program("sleeper", [sys.executable, "-c", "import time; time.sleep(3600)"], log, {})


async def test_a_program_that_cannot_be_started_now_is_started_when_it_can_be(
    supervisor: Supervisor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    supervisor.start(sleeper(tmp_path / "missing" / "log"))

    async def runs() -> bool:
        return supervisor.pid("sleeper") is not None

    async def was_tried() -> bool:
        return "sleeper can't be started now: No such file or directory" in capsys.readouterr().err

    await eventually(was_tried, "it was tried")
    assert not await runs()
    (tmp_path / "missing").mkdir()
    await eventually(runs, "it runs")


async def test_a_start_that_cannot_be_noted_is_a_start(supervisor: Supervisor, noted: Noted, tmp_path: Path) -> None:
    noted.failures = 1
    supervisor.start(sleeper(tmp_path / "log"))

    async def runs() -> bool:
        return supervisor.pid("sleeper") is not None and noted.failures == 0

    await eventually(runs, "it runs")
    module.os.kill(supervisor.pid("sleeper") or 0, 9)

    async def runs_again() -> bool:
        return supervisor.starts("sleeper") == 2 and await runs()

    await eventually(runs_again, "it was started again")
