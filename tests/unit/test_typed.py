"""Hints are commands that work as they are typed."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from payments.cli.data_directory import DataDirectory
from payments.cli.typed import typed


def script(path: Path) -> Path:
    path.parent.mkdir(parents=True)
    path.write_text('#!/bin/sh\nprintf "<%s>\\n" "$@"\n')
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("argv0", "path", "program"),
    [
        (".venv/bin/tap", "/nowhere", [".venv/bin/tap"]),
        (".venv/bin/tap", ".venv/bin", ["tap"]),
        ("{here}/.venv/bin/tap", "{here}/.venv/bin", ["tap"]),
        ("{here}/.venv/bin/tap", "{here}/other/bin", ["{here}/.venv/bin/tap"]),
        ("../check out/.venv/bin/tap", "/nowhere", ["../check out/.venv/bin/tap"]),
        ("/x/payments/cli/__main__.py", "/nowhere", [sys.executable, "-m", "payments.cli"]),
        ("/x/bin/pytest", "/nowhere", ["tap"]),
    ],
)
def test_a_hint_names_the_program_as_it_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv0: str, path: str, program: list[str]
) -> None:
    here = tmp_path / "check out"
    script(here / ".venv" / "bin" / "tap")
    script(here / "other" / "bin" / "tap")
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "argv", [argv0.format(here=here)])
    monkeypatch.setenv("PATH", path.format(here=here))
    assert shlex.split(typed("down")) == [*(part.format(here=here) for part in program), "down"]


@pytest.mark.parametrize("name", ["plain", "a b", "é", "#1", "100%", "a&b", "it's", 'a"b', "$HOME", "`id`", "a\\b", "-x", "*"])
def test_a_shell_reads_a_hint_as_it_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    tap = script(tmp_path / "check out" / "bin" / "tap")
    monkeypatch.setattr(sys, "argv", [str(tap)])
    hint = DataDirectory(tmp_path / name).command("up", "--port", 9_000)
    shown = subprocess.run(["sh", "-c", hint], capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]}).stdout
    assert shown == f"<up>\n<--port>\n<9000>\n<--data-dir>\n<{tmp_path / name}>\n"
