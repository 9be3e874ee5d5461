"""The data directory of a local run: who has it, who reads it, and what is in it."""

import fcntl
import os
import threading
from collections.abc import Generator
from pathlib import Path

import pytest

from payments.cli.data_directory import DataDirectory, UsageError
from payments.cli.private_files import open_private


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    made = DataDirectory(tmp_path / "tap")
    made.create()
    return made


def test_one_run_has_a_directory(directory: DataDirectory) -> None:
    assert not directory.is_locked()
    lock = directory.lock()
    assert directory.is_locked()
    with pytest.raises(UsageError, match="already"):
        directory.lock()
    with pytest.raises(UsageError, match="isn't running"):
        directory.run()  # it has said nothing yet
    os.close(lock)
    assert not directory.is_locked()


def test_who_only_asks_keeps_nobody_from_running(directory: DataDirectory) -> None:
    os.close(directory.lock())
    asking = os.open(directory.path / "lock", os.O_RDONLY)
    fcntl.flock(asking, fcntl.LOCK_SH)
    assert not directory.is_locked()
    gone = threading.Timer(0.2, os.close, (asking,))
    gone.start()
    os.close(directory.lock())
    gone.join()


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o777])
def umask(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[int]:
    """Of what is made from now on: the test's own directory is there."""
    assert tmp_path.exists()
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def rights(directory: DataDirectory) -> dict[str, int]:
    return {str(path.relative_to(directory.path)): path.stat().st_mode & 0o777 for path in [directory.path, *directory.path.rglob("*")]}


@pytest.mark.usefixtures("umask")
def test_only_its_owner_reads_a_new_directory_whatever_the_umask(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path / "tap")
    directory.create()
    os.close(directory.lock())
    with open_private(directory.logs / "a.log", append=True) as log:
        log.write(b"a")
    assert rights(directory) == {
        ".": 0o700,
        "logs": 0o700,
        "logs/a.log": 0o600,
        "envelope.key": 0o600,
        "secrets.json": 0o600,
        "lock": 0o600,
    }


def test_rights_that_others_had_are_taken(directory: DataDirectory, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("not ours")
    outside.chmod(0o644)
    (directory.logs / "a.log").write_text("a")
    (directory.logs / "link.log").symlink_to(outside)
    os.close(directory.lock())
    for path in (directory.path, directory.logs):
        path.chmod(0o777)
    for path in (directory.envelope_key, directory.path / "secrets.json", directory.logs / "a.log", directory.path / "lock"):
        path.chmod(0o666)
    directory.create()
    directory.tighten()
    (directory.logs / "link.log").unlink()
    assert rights(directory) == {
        ".": 0o700,
        "logs": 0o700,
        "logs/a.log": 0o600,
        "envelope.key": 0o600,
        "secrets.json": 0o600,
        "lock": 0o600,
    }
    assert outside.stat().st_mode & 0o777 == 0o644


def test_a_log_that_was_readable_isnt_any_more(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("before\n")
    log.chmod(0o644)
    with open_private(log, append=True) as opened:
        opened.write(b"after\n")
    assert (log.read_text(), log.stat().st_mode & 0o777) == ("before\nafter\n", 0o600)
    with open_private(log, append=False) as opened:
        opened.write(b"new\n")
    assert log.read_text() == "new\n"


SECRETS = '{"api_key_pepper": "%s", "internal_api_key": "internal"}' % ("ab" * 32)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"{}",
        SECRETS[:-9].encode(),
        SECRETS.replace("ab", "xy").encode(),
        SECRETS.replace("ab" * 32, "ab").encode(),
        SECRETS.replace('"internal"', "7").encode(),
        SECRETS.replace("}", ', "logins": {"payment-api": "secret"}}').encode(),
    ],
)
def test_damaged_secrets_are_one_line_that_tells_none(directory: DataDirectory, content: bytes) -> None:
    (directory.path / "secrets.json").write_bytes(content)
    with pytest.raises(UsageError) as refused:
        directory.secrets()
    assert "secrets.json is damaged" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "internal" not in str(refused.value)
    assert refused.value.__suppress_context__


def test_secrets_of_an_earlier_version_are_read(directory: DataDirectory) -> None:
    (directory.path / "secrets.json").write_text(SECRETS)
    assert (directory.secrets().internal_api_key, directory.secrets().logins) == ("internal", {})


def test_secrets_that_arent_a_file_are_one_line(directory: DataDirectory) -> None:
    (directory.path / "secrets.json").unlink()
    (directory.path / "secrets.json").mkdir()
    with pytest.raises(UsageError, match=r"Can't read .*secrets\.json"):
        directory.secrets()


def test_a_damaged_run_is_one_line(directory: DataDirectory) -> None:
    lock = directory.lock()
    (directory.path / "run.json").write_text("{")
    with pytest.raises(UsageError, match="damaged"):
        directory.run()
    os.close(lock)


@pytest.mark.parametrize("name", ["thesis.tex", ".bashrc", "logs.txt", "data"])
def test_a_directory_with_other_files_isnt_taken(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("not ours")
    tmp_path.chmod(0o755)
    with pytest.raises(UsageError, match="other files"):
        DataDirectory(tmp_path).create()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_a_directory_that_a_run_left_unfinished_is_taken(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    (tmp_path / "logs").mkdir()
    (tmp_path / ".secrets.json.x1").touch()
    DataDirectory(tmp_path).create()


@pytest.mark.parametrize("name", ["envelope.key", "secrets.json"])
def test_a_key_is_not_made_anew_while_there_is_what_the_lost_one_opens(directory: DataDirectory, name: str) -> None:
    (directory.path / name).unlink()
    (directory.postgres / "data.unfinished" / "base").mkdir(parents=True)  # of a first start that broke off: nothing is in there
    directory.create()
    (directory.path / name).unlink()
    (directory.postgres / "data" / "base").mkdir(parents=True)
    with pytest.raises(UsageError, match=rf"{name} is missing"):
        directory.create()
    assert not (directory.path / name).exists()


@pytest.mark.parametrize("content", [b"", b"zz", b"ab" * 31, b"\xff", b"1:" + b"ab" * 32 + b",1:" + b"cd" * 32])
def test_a_damaged_envelope_key_is_one_line_that_tells_none_of_it(directory: DataDirectory, content: bytes) -> None:
    directory.check_envelope_key()
    directory.envelope_key.write_bytes(content)
    with pytest.raises(UsageError, match=r"envelope\.key is damaged: restore it") as refused:
        directory.check_envelope_key()
    assert "abab" not in str(refused.value)


def test_what_is_no_directory_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("x" * 300)):
        with pytest.raises(UsageError, match="Can't write to the data directory"):
            DataDirectory(path).create()


def test_somebody_elses_directory_isnt_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(UsageError, match="belongs to another user"):
        DataDirectory(tmp_path).create()
    assert list(tmp_path.iterdir()) == []
