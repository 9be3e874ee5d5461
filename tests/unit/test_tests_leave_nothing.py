"""Whatever ends the tests, even a kill, what they started ends too."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.children import ends_with_us
from tests.support.reaper import MARK
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
SLEEPING = "import time; print(flush=True); time.sleep(300)"


def started(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdout is not None
    process.stdout.readline()


def test_whoever_is_told_to_end_with_us_does(tmp_path: Path) -> None:
    command = ends_with_us(sys.executable, "-c", SLEEPING)
    command[4] = "os.getpid()"
    tests = tmp_path / "tests.py"
    arguments = ", ".join("str(os.getpid())" if part == "os.getpid()" else repr(part) for part in command)
    tests.write_text(f"import os, subprocess\nchild = subprocess.Popen([{arguments}])\nprint(child.pid, flush=True)\nchild.wait()\n")
    with subprocess.Popen([sys.executable, tests], stdout=subprocess.PIPE) as killed:
        assert killed.stdout is not None
        child = int(killed.stdout.readline())
        killed.stdout.readline()
        killed.kill()
    wait_until(lambda: not is_running(child), "the child ends")


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_detached_run_of_killed_tests_is_ended_and_nobody_elses_is(tmp_path: Path) -> None:
    package = tmp_path / "payments/cli"
    package.mkdir(parents=True)
    for name, content in (("../__init__.py", ""), ("__init__.py", ""), ("__main__.py", SLEEPING)):
        (package / name).write_text(content)
    up = [sys.executable, "-m", "payments.cli", "up"]

    def run(mark: str, *command: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(command, cwd=tmp_path, env={**os.environ, MARK: mark}, stdout=subprocess.PIPE, start_new_session=True)

    reaper = [sys.executable, "-m", "tests.support.reaper", "killed"]
    with run("killed", *up) as left, run("others", *up) as others, run("killed", sys.executable, "-c", SLEEPING) as no_tap:
        for process in (left, others, no_tap):
            started(process)
        with subprocess.Popen(reaper, cwd=ROOT, stdin=subprocess.PIPE):
            pass  # leaving closes the pipe, as the end of the tests does
        assert left.wait() == -signal.SIGTERM
        assert (others.poll(), no_tap.poll()) == (None, None)
        others.kill()
        no_tap.kill()


def test_what_the_tests_start_can_be_interrupted_though_a_shell_had_them_ignore_it(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text((ROOT / "tests/conftest.py").read_text())
    (tmp_path / "test_it.py").write_text(
        "import signal, subprocess, sys\n"
        "def test_it():\n"
        f"    with subprocess.Popen([sys.executable, '-c', {SLEEPING!r}], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:\n"
        "        process.stdout.readline()\n"
        "        process.send_signal(signal.SIGINT)\n"
        "        assert process.wait() == -signal.SIGINT\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", 'trap "" INT; exec "$@"', "bash", *command],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
