"""What `make` says on a machine where something is missing, and that it goes on where an earlier run was broken off."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_CDK = "cdk/node_modules/.bin/cdk"
_BROWSER = "browser/node_modules/.package-lock.json"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that `make install` reads, in a directory that a shell would take apart."""
    made = tmp_path / "a checkout & its #1 $HOME"
    for directory in ("lib", "rehearsal", "src", "tests"):
        (made / directory).mkdir(parents=True)
    (made / "app.py").touch()
    for name in ("Makefile", "pyproject.toml", *(path.name for path in ROOT.glob("requirements*.txt"))):
        shutil.copy(ROOT / name, made / name)
    return made


def make(checkout: Path, python: str | Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", *arguments, f"PYTHON={python}"]
    # Where make runs the tests, this one is not its child: it would say so, and look for its job server.
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")}
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=120, check=False)


def python_that(checkout: Path, name: str, script: str) -> Path:
    """An interpreter of another name: `script` is asked first, with what it is told to run in $*."""
    path = checkout.parent / name
    path.write_text(f'#!/bin/bash\n{script}\nexec "{sys.executable}" "$@"\n')
    path.chmod(0o755)
    return path


def without_pip(checkout: Path, name: str) -> Path:
    """As Debian's Python is without its package for environments: it makes half of one, and only then says so."""
    return python_that(checkout, name, 'case "$*" in *ensurepip*) exit 1;; "-m venv"*) mkdir -p .venv/bin; exit 1;; esac')


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that isn't make's own."""
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("make:")]
    return line


@pytest.mark.parametrize(("name", "package"), [("python3", "python3-venv"), ("python3.12", "python3.12-venv")])
def test_without_the_package_for_environments_one_line_names_it_and_nothing_is_left(checkout: Path, name: str, package: str) -> None:
    python = without_pip(checkout, name)
    for _ in range(2):
        assert complaint(make(checkout, python, "install")) == (
            f"{python} can't make .venv: on Debian or Ubuntu, apt install {package}; elsewhere, a Python that has venv and ensurepip"
        )
        assert not (checkout / ".venv").exists()


def test_without_a_new_enough_python_one_line_says_so(checkout: Path) -> None:
    old = python_that(checkout, "python3", 'case "$*" in *version_info*) exit 1;; esac')
    for python in (old, "no-such-python"):
        expected = f"Tap needs Python 3.11 or newer; {python} isn't. Try: make install PYTHON=python3.12"
        assert complaint(make(checkout, python, "install")) == expected


def test_an_environment_that_was_left_half_made_is_made_anew(checkout: Path) -> None:
    half_made = checkout / ".venv/bin"
    half_made.mkdir(parents=True)
    (half_made / "python").symlink_to(sys.executable + "-that-is-gone")
    (half_made / "left").touch()
    script = f'case "$*" in "-m venv"*) echo "$@"; exec "{sys.executable}" "$@" --without-pip;; esac'
    python = python_that(checkout, "python3", script)
    made = make(checkout, python, "install")
    assert "-m venv --clear .venv" in made.stdout
    assert not (half_made / "left").exists()
    assert subprocess.run([half_made / "python", "-c", ""], check=False).returncode == 0


def test_an_environment_that_can_not_be_made_leaves_nothing_to_trip_over(checkout: Path) -> None:
    python = python_that(
        checkout, "python3", 'case "$*" in "-m venv"*) mkdir -p .venv/bin; echo "No space left on device" >&2; exit 1;; esac'
    )
    assert complaint(make(checkout, python, "install")) == "No space left on device"
    assert not (checkout / ".venv").exists()


@pytest.fixture
def tools(checkout: Path) -> Path:
    """Everything installed, and every tool writes what it finds into `finds`."""
    tools = checkout / ".venv/bin"
    tools.mkdir(parents=True)
    for name in ("python", "pytest", "ruff", "pyright", "lint-imports", "npm"):
        (tools / name).write_text(
            f'#!/bin/bash\necho "{name} finds: $(type -P node)${{PYTHONDONTWRITEBYTECODE:+, forbids bytecode}}" >> finds\n'
        )
        (tools / name).chmod(0o755)
    shutil.copy(tools / "npm", tools / "node")
    for made in (".installed", "emulator/.installed", _CDK, _BROWSER):
        (checkout / ".venv" / made).parent.mkdir(parents=True, exist_ok=True)
        (checkout / ".venv" / made).touch()
    (checkout / "browser").mkdir()
    for name in ("package.json", "package-lock.json", "browser/package.json", "browser/package-lock.json"):
        (checkout / name).write_text("{}")
    for made in (_CDK, _BROWSER):
        os.utime(checkout / ".venv" / made)
    return tools


@pytest.mark.parametrize("target", ["test", "synth", "rehearse", "rehearse-aws", "cdk", "browser"])
def test_what_starts_node_finds_the_one_in_the_environment_and_python_keeps_what_it_compiles(
    checkout: Path, tools: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    for missing in {"cdk": [_CDK], "browser": [_BROWSER]}.get(target, []):
        (checkout / ".venv" / missing).unlink()
    done = make(checkout, sys.executable, target)
    assert done.returncode == 0, done.stderr
    found = {line.partition(": ")[2] for line in (checkout / "finds").read_text().splitlines()}
    assert found == {str(tools / "node")}
