"""What `make sdk-check` makes of SDKs that do all that they are to do, that don't, and that can't be tried."""

import re
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.sdk.__main__ import SDKS
from tests.sdk.checking import Sdk, check
from tests.sdk.locked_jars import faults

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / "tests/sdk"
LOCKS = {"go": "go/go.sum", "java": "java/dependencies.lock", "djstripe": "djstripe/requirements.txt"}
BUILD = "from pathlib import Path; import sys; Path(sys.argv[1], 'program.py').write_text(sys.argv[2])"


@contextmanager
def no_tap() -> Generator[Mapping[str, str]]:
    yield {"TAP_BASE_URL": "http://127.0.0.1:1"}


def an_sdk(program: str, *, name: str = "sdk", build: str = BUILD, tools: Sequence[str] = ()) -> Sdk:
    """Written to a file when it is built, and run from there."""
    return Sdk(
        name=name,
        tools=tools,
        source=ROOT,
        build=lambda built: [[sys.executable, "-c", build, built, program]],
        run=lambda built: [sys.executable, built / "program.py"],
        steps=("pay", "refund"),
    )


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Line by line, with one blank between the words."""
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines() if line]


def test_an_sdk_that_does_all_steps_passes_and_each_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    program = "import os; print('sdk 1.0 at', os.environ['TAP_BASE_URL']); print('pay ok'); print('refund ok')"
    assert check([an_sdk(program)], no_tap) == 0
    assert said(capsys)[1:] == ["sdk build ok", "sdk sdk 1.0 at http://127.0.0.1:1", "sdk pay ok", "sdk refund ok", "sdk ok, 2 steps"]


@pytest.mark.parametrize(
    ("program", "build", "step", "complaint"),
    [
        ("print('pay ok'); raise SystemExit('No refund today')", BUILD, "refund", "No refund today"),
        ("print('pay ok')", BUILD, "refund", "It ended with 0, and without: refund"),
        ("", BUILD, "pay", "It ended with 0, and without: pay, refund"),
        ("print('pay ok'); print('refund ok'); raise SystemExit('It fell over at the end')", BUILD, "end", "It fell over at the end"),
        ("", "raise SystemExit('No such release')", "build", "No such release"),
    ],
    ids=["a step fails", "a step is left out", "nothing is done", "it fails after all steps", "it can't be built"],
)
def test_an_sdk_that_fails_or_ends_early_is_told_of_and_the_next_is_checked_all_the_same(
    capsys: pytest.CaptureFixture[str], program: str, build: str, step: str, complaint: str
) -> None:
    assert check([an_sdk(program, build=build), an_sdk("print('pay ok'); print('refund ok')", name="next")], no_tap) == 1
    lines = said(capsys)
    assert lines[lines.index(f"sdk {step} FAILED") + 1] == complaint
    assert lines[-2:] == [f"sdk FAILED at {step}", "next ok, 2 steps"]


def test_an_sdk_whose_tools_are_not_here_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    assert check([an_sdk("", tools=["no-such-compiler"])], no_tap) == 1
    assert said(capsys) == ["SKIPPED: no no-such-compiler on this machine: sdk was not tried; --only asks for less"]


def test_nothing_is_left_of_what_was_built_for_an_sdk(capsys: pytest.CaptureFixture[str]) -> None:
    check([an_sdk("import os; print(os.getcwd()); open('left', 'w')")], no_tap)
    (directory,) = [line.removeprefix("sdk ") for line in said(capsys) if "tap-sdk-" in line]
    assert not Path(directory).exists()


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"org.a-1.0.jar": b"a", "org.b-2.0.jar": b"b"}, []),
        ({"org.a-1.0.jar": b"a"}, ["org.b-2.0.jar: not there"]),
        ({"org.a-1.0.jar": b"a", "org.b-2.0.jar": b"b", "org.c-1.jar": b"c"}, ["org.c-1.jar: sha256:2e7d2c03a9507ae2"]),
        ({"org.a-1.0.jar": b"another", "org.b-2.0.jar": b"b"}, ["org.a-1.0.jar: sha256:ae448ac86c4e8e4d"]),
    ],
    ids=["as locked", "one is missing", "one is more", "one is another"],
)
def test_jars_that_are_missing_other_or_more_than_locked_are_named(tmp_path: Path, files: dict[str, bytes], expected: list[str]) -> None:
    lock = tmp_path / "dependencies.lock"
    lock.write_text(
        "org:a:1.0 sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb\n"
        "org:b:2.0 sha256:3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d\n"
    )
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    found = faults(lock, tmp_path)
    assert [fault[: len(start)] for fault, start in zip(found, expected, strict=True)] == expected


def test_what_each_program_asks_for_is_locked_with_a_digest_and_no_registry_is_named() -> None:
    locks = {sdk.name: (PROGRAMS / LOCKS[sdk.name]).read_text() for sdk in SDKS}
    assert [name for name, lock in locks.items() if "://" in lock] == []
    modules = re.findall(r"^require (\S+) (\S+)$", (PROGRAMS / "go/go.mod").read_text(), re.MULTILINE)
    assert len(modules) == 1
    for module, version in modules:
        assert re.search(rf"^{re.escape(f'{module} {version}')} h1:", locks["go"], re.MULTILINE)
    maven = "{http://maven.apache.org/POM/4.0.0}"
    for dependency in ET.parse(PROGRAMS / "java/pom.xml").iter(f"{maven}dependency"):
        coordinates = ":".join(str(dependency.findtext(f"{maven}{part}")) for part in ("groupId", "artifactId", "version"))
        assert re.search(rf"^{re.escape(coordinates)} sha256:[0-9a-f]{{64}}$", locks["java"], re.MULTILINE)
    pinned = re.split(r"^(?=\S)", locks["djstripe"], flags=re.MULTILINE)[1:]
    assert len(pinned) > 5
    assert [each for each in pinned if "==" not in each or "--hash=sha256:" not in each] == []
