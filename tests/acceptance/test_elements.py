"""Card fields on merchants' pages, in a real browser: what buyers do, and what a page that was taken over can't."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.running_tap import RunningTap

ROOT = Path(__file__).parents[2]
SCENARIOS = [
    name
    for file in ("card.mjs", "docs.mjs", "elements.mjs", "hosted.mjs", "hostile.mjs")
    for name in re.findall(r"^  async '(.*?)'\(", (ROOT / "browser/test" / file).read_text(encoding="utf-8"), re.MULTILINE)
]
CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def outcomes(tap: RunningTap) -> dict[str, str | None]:
    """What was wrong in each scenario: all of them run in one browser."""
    status = tap.status()
    given = {
        "TAP_URL": status["base_url"],
        "TAP_PUBLISHABLE_KEY": status["publishable_key"],
        "TAP_SECRET_KEY": status["secret_key"],
        "CHROMIUM": str(CHROMIUM),
        "MODULES": str(ROOT / ".venv/browser/node_modules"),
    }
    command = [f"{sys.prefix}/bin/node", str(ROOT / "browser/test/run.mjs")]
    done = subprocess.run(command, env={**os.environ, **given}, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["name"]: line["fault"] for line in lines}


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is on PATH: on Debian, apt install chromium")
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_in_a_browser(outcomes: dict[str, str | None], scenario: str) -> None:
    assert outcomes[scenario] is None, outcomes[scenario]
