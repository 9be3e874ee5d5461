"""What the README shows works word for word."""

import re
import subprocess
import sys
from pathlib import Path

from tests.support.running_tap import RunningTap

ROOT = Path(__file__).parents[2]


def test_the_example_works_verbatim(tap: RunningTap, tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / ".tap").symlink_to(tap.data_dir)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    done = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert re.match(r"pi_[0-9A-Za-z]{24} succeeded\n-?\d+ cents", done.stdout)
