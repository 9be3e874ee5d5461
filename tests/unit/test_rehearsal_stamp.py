"""A rehearsal is left out only when nothing that it proves has changed since the last one."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from rehearsal import stamp
from rehearsal.stamp import REHEARSED, ROOT, STAMP


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What is rehearsed, copied from here, as it was just rehearsed."""
    for name in REHEARSED:
        copy = tmp_path / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, copy)
    stamp.write(stamp.fingerprint(tmp_path), tmp_path)
    return tmp_path


def rehearsed_files(checkout: Path) -> list[Path]:
    return sorted(path for path in checkout.rglob("*") if path.is_file() and path != checkout / STAMP)


def test_what_was_rehearsed_and_left_alone_has_not_changed(checkout: Path) -> None:
    assert stamp.changed(checkout) == []


def test_one_changed_byte_in_any_file_is_a_change_of_that_file(checkout: Path) -> None:
    files = rehearsed_files(checkout)
    for path in files:
        before = path.read_bytes()
        path.write_bytes(bytes([*before[:-1], before[-1] ^ 1]) if before else b"x")
        assert stamp.changed(checkout) == [path.relative_to(checkout).as_posix()]
        path.write_bytes(before)
    assert len(files) > len(REHEARSED)
    assert stamp.changed(checkout) == []


@pytest.mark.parametrize("directory", [name for name in REHEARSED if (ROOT / name).is_dir()])
def test_a_file_that_came_or_went_is_a_change(checkout: Path, directory: str) -> None:
    new = checkout / directory / "new"
    new.write_text("")
    assert stamp.changed(checkout) == [f"{directory}/new"]
    new.unlink()
    gone = next(path for path in rehearsed_files(checkout / directory) if path != checkout / STAMP)
    gone.unlink()
    assert stamp.changed(checkout) == [gone.relative_to(checkout).as_posix()]


def test_a_file_under_another_name_is_a_change(checkout: Path) -> None:
    (checkout / "lib/tap_stack.py").rename(checkout / "lib/stack.py")
    assert stamp.changed(checkout) == ["lib/stack.py", "lib/tap_stack.py"]


def test_a_listed_file_that_is_not_there_is_an_error_and_not_left_out(checkout: Path) -> None:
    (checkout / "Dockerfile").unlink()
    with pytest.raises(FileNotFoundError, match=r"^Dockerfile is listed in rehearsal/stamp\.py, and isn't there$"):
        stamp.changed(checkout)


def test_without_a_stamp_everything_has_changed(checkout: Path) -> None:
    (checkout / STAMP).unlink()
    assert len(stamp.changed(checkout)) == len(rehearsed_files(checkout))


def test_the_compiled_code_that_python_leaves_is_no_change(checkout: Path) -> None:
    (checkout / "lib/__pycache__").mkdir()
    (checkout / "lib/__pycache__/tap_stack.cpython-311.pyc").write_bytes(b"compiled")
    assert stamp.changed(checkout) == []


def test_two_stamps_merged_line_by_line_are_of_nothing(checkout: Path) -> None:
    """Two branches were rehearsed, one with its own lib/, the other with its own images."""
    (checkout / "app.py").write_text("ours")
    ours = stamp.fingerprint(checkout)
    (checkout / "Dockerfile").write_text("theirs")
    both = stamp.fingerprint(checkout)
    stamp.write("\n".join([ours.splitlines()[0], *both.splitlines()[1:], ""]), checkout)
    assert stamp.changed(checkout) == [STAMP.as_posix()]


def test_the_stamp_is_what_sha256sum_checks(checkout: Path) -> None:
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", STAMP], cwd=checkout, env={**os.environ, "LC_ALL": "C"}, check=False
    )
    assert checked.returncode == 0
