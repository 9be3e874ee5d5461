"""What the rehearsal is made on, as far as it needs no engine: its authority, the way it finds an engine, its traces of earlier runs."""

import fcntl
import json
import os
import shlex
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from rehearsal import engine, private_engine
from rehearsal.authority import Authority, database_names
from rehearsal.engine import EngineError
from rehearsal.private_engine import end_orphans, mounts_below, stop_left_over
from rehearsal.report import Report, Step
from rehearsal.traffic import Traffic
from tests.support.serving import Handler, serving

WRITER = "tap-prod.cluster-rehearsal.us-east-1.rds.amazonaws.com"


@contextmanager
def tls_server(authority: Authority) -> Generator[int]:
    """Answer TLS handshakes on a port of the loopback interface."""
    context = authority.server_context()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                try:
                    with context.wrap_socket(connection, server_side=True) as secured:
                        secured.sendall(b"hello")
                except OSError:
                    connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def greet(port: int, name: str, trusted: Path) -> bytes:
    """Connect as `sslmode=verify-full` does."""
    context = ssl.create_default_context(cafile=str(trusted))
    with socket.create_connection(("127.0.0.1", port)) as plain, context.wrap_socket(plain, server_hostname=name) as secured:
        return secured.recv(5)


def test_whoever_trusts_the_authority_reaches_every_cluster_of_the_region_by_name(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path, *database_names("us-east-1"))
    with tls_server(authority) as port:
        assert greet(port, WRITER, authority.ca_file) == b"hello"
        assert greet(port, "localhost", authority.ca_file) == b"hello"
        assert greet(port, "127.0.0.1", authority.ca_file) == b"hello"


def test_another_authority_or_another_name_is_refused(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path / "one", *database_names("us-east-1"))
    other = Authority.create(tmp_path / "other", *database_names("us-east-1"))
    with tls_server(authority) as port:
        with pytest.raises(ssl.SSLCertVerificationError):
            greet(port, WRITER, other.ca_file)
        with pytest.raises(ssl.SSLCertVerificationError):
            greet(port, WRITER.replace("us-east-1", "eu-west-1"), authority.ca_file)


def test_the_bundle_of_a_rehearsal_trusts_the_authority_beside_those_of_aws(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path, *database_names("us-east-1"))
    bundle = tmp_path / "bundle.pem"
    aws = Path("src/payments/storage/rds-global-bundle.pem").read_bytes()
    bundle.write_bytes(aws + authority.ca_file.read_bytes())
    with tls_server(authority) as port:
        assert greet(port, WRITER, bundle) == b"hello"
        bundle.write_bytes(aws)
        with pytest.raises(ssl.SSLCertVerificationError):
            greet(port, WRITER, bundle)


def test_the_keys_are_nobody_elses_and_the_authoritys_is_not_kept(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path, "localhost")
    assert authority.key_file.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca.pem", "server.key", "server.pem"]


@contextmanager
def fake_engine(path: Path, status: bytes) -> Generator[None]:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                assert connection.recv(1_000).startswith(b"GET /_ping ")
                connection.sendall(b"HTTP/1.0 " + status + b"\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


def test_an_engine_that_docker_host_names_is_used(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with fake_engine(path, b"200 OK"):
        assert engine.find_running({"DOCKER_HOST": f"unix://{path}"}) == path


def test_an_engine_that_is_unwell_or_absent_or_elsewhere_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with fake_engine(path, b"500 Internal Server Error"), pytest.raises(EngineError, match=r"^No engine answers at DOCKER_HOST=unix:.*$"):
        engine.find_running({"DOCKER_HOST": f"unix://{path}"})
    with pytest.raises(EngineError, match=r"^No engine answers at DOCKER_HOST=unix:///nowhere: start it, or unset DOCKER_HOST\.$"):
        engine.find_running({"DOCKER_HOST": "unix:///nowhere"})
    with pytest.raises(EngineError, match=r"^DOCKER_HOST is tcp://build:2375, and a rehearsal needs an engine on this machine.*$"):
        engine.find_running({"DOCKER_HOST": "tcp://build:2375"})


def fake_docker(directory: Path, version: str, *, buildx: bool = False) -> Path:
    directory.mkdir()
    docker = directory / "docker"
    docker.write_text(
        f'#!/bin/sh\ncase "$1" in --version) echo "Docker version {version}, build 1";; buildx) exit {0 if buildx else 1};; '
        f"*) echo noise >&2; echo no such thing >&2; exit 1;; esac\n"
    )
    docker.chmod(0o755)
    return docker


def test_the_first_command_line_with_buildkit_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = fake_docker(tmp_path / "new", "28.2.2")
    old = fake_docker(tmp_path / "old", "20.10.24+dfsg1")
    complete = fake_docker(tmp_path / "complete", "28.2.2", buildx=True)

    def found(*path: Path) -> str:
        monkeypatch.setattr(engine, "_search_path", lambda: os.pathsep.join(str(each.parent) for each in path))
        return engine.find_command_line()

    assert found(new, old) == str(old)
    assert found(new, complete, old) == str(complete)
    with pytest.raises(EngineError, match=r"^.*/new/docker builds without BuildKit: install its buildx plug-in\.$"):
        found(new)
    with pytest.raises(EngineError, match=r"^There is no docker command: install Docker\.$"):
        found()


def test_what_the_engine_refuses_is_its_last_line(tmp_path: Path) -> None:
    docker = fake_docker(tmp_path / "old", "20.10.24")
    with pytest.raises(EngineError, match=r"^docker network: no such thing$"):
        engine.Engine(docker=str(docker), socket=tmp_path / "s").run("network", "create", "x")


def test_without_docker_one_line_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "find_running", lambda _environment: None)
    monkeypatch.setattr(engine, "_search_path", lambda: str(tmp_path))
    expected = r"^dockerd isn't installed: on Debian, apt-get install docker\.io; or let the rehearsal do so, as root, with TAP_REHEARSAL_INSTALL=1\.$"
    with pytest.raises(EngineError, match=expected), engine.running_engine(tmp_path):
        pass


def test_only_root_starts_an_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1_000)
    with (
        pytest.raises(EngineError, match=r"^No Docker engine runs, and only root can start one: .*$"),
        private_engine.private_engine(tmp_path, dockerd="dockerd", answers=engine.answers),
    ):
        pass


def as_root(monkeypatch: pytest.MonkeyPatch, run: Path) -> None:
    run.mkdir()
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(private_engine, "_RUN", run)
    # No engine mounts anything here, and not every machine has the program that undoes it.
    umount = run.with_name("programs") / "umount"
    umount.parent.mkdir()
    umount.write_text("#!/bin/sh\nexit 32\n")
    umount.chmod(0o755)
    monkeypatch.setenv("PATH", f"{umount.parent}{os.pathsep}{os.environ['PATH']}")


def test_two_rehearsals_do_not_share_an_engines_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_root(monkeypatch, tmp_path / "run")
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with (
            pytest.raises(EngineError, match=r"^Another rehearsal runs with the engine in .*$"),
            private_engine.private_engine(tmp_path, dockerd="dockerd", answers=engine.answers),
        ):
            pass


def test_an_engine_that_does_not_start_says_why_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_root(monkeypatch, tmp_path / "run")
    dockerd = tmp_path / "dockerd"
    dockerd.write_text("#!/bin/sh\necho starting; echo there is no iptables >&2; exit 1\n")
    dockerd.chmod(0o755)
    with (
        pytest.raises(EngineError, match=r"^The engine doesn't start: there is no iptables \(.*/log\)$"),
        private_engine.private_engine(tmp_path / "engine", dockerd=str(dockerd), answers=engine.answers),
    ):
        pass
    assert list((tmp_path / "run").iterdir()) == []


FAKE_DOCKERD = f"""#!/bin/sh
exec {shlex.quote(sys.executable)} -c '
import signal, socket, sys
name = sys.argv[sys.argv.index("--host") + 1].removeprefix("unix://")
open(sys.argv[sys.argv.index("--pidfile") + 1], "x").write(str(__import__("os").getpid()))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
listening = socket.socket(socket.AF_UNIX)
listening.bind(name)
listening.listen()
while True:
    connection, _ = listening.accept()
    connection.recv(1000)
    connection.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n")
    connection.close()
' "$@"
"""


def test_a_pid_file_of_a_killed_run_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_root(monkeypatch, tmp_path / "run")
    dockerd = tmp_path / "dockerd"
    dockerd.write_text(FAKE_DOCKERD)
    dockerd.chmod(0o755)
    for _ in range(2):
        with private_engine.private_engine(tmp_path / "engine", dockerd=str(dockerd), answers=engine.answers) as listening:
            pid_file = listening.with_name("pid")
            assert engine.answers(listening)
            running = int(pid_file.read_text())
        assert not listening.parent.exists()
        # The number is of a process that has nothing to do with it.
        listening.parent.mkdir()
        pid_file.write_text(str(os.getpid()))
        with pytest.raises(ProcessLookupError):
            os.kill(running, 0)


@pytest.fixture(params=[False, True])
def ending_by_itself(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is sent a signal has just ended."""
    kill = os.kill

    def too_late(pid: int, number: int) -> None:
        kill(pid, number)
        raise ProcessLookupError

    if request.param:
        monkeypatch.setattr("os.kill", too_late)


@pytest.mark.usefixtures("ending_by_itself")
def test_an_engine_that_survived_its_rehearsal_is_stopped_and_nothing_else_is(tmp_path: Path) -> None:
    data, pid_file = tmp_path / "data", tmp_path / "pid"
    sleeping = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"]
    with (
        subprocess.Popen([*sleeping, "--data-root", str(data)], stdout=subprocess.PIPE) as survivor,
        subprocess.Popen(sleeping, stdout=subprocess.PIPE) as other,
    ):
        for process in (survivor, other):  # in the moment of its exec a process has no arguments
            assert process.stdout is not None
            process.stdout.readline()
        pid_file.write_text(str(other.pid))
        stop_left_over(pid_file, data)
        assert other.poll() is None
        pid_file.write_text(str(survivor.pid))
        stop_left_over(pid_file, data)
        assert survivor.wait() == -15
        assert not pid_file.exists()
        other.kill()


@pytest.mark.usefixtures("ending_by_itself")
def test_what_a_killed_engine_leaves_is_ended_and_nothing_else_is(tmp_path: Path) -> None:
    shim, container = tmp_path / "containerd-shim-runc-v2", "import time; time.sleep(60)"
    shim.symlink_to(sys.executable)
    keeping = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {container!r}]); print(flush=True); time.sleep(60)"
    runtime = tmp_path / "run"
    with (
        subprocess.Popen([shim, "-c", keeping, "-address", f"{runtime}/sock"], stdout=subprocess.PIPE) as orphan,
        subprocess.Popen([shim, "-c", container, "-address", "/run/docker/sock"]) as other,
    ):
        assert orphan.stdout is not None
        orphan.stdout.readline()
        children = Path(f"/proc/{orphan.pid}/task/{orphan.pid}/children").read_text().split()
        end_orphans(runtime)
        assert orphan.wait() == -9
        unharmed = other.poll() is None
        other.kill()
        deadline = time.monotonic() + 60
        while any(_state(child) != "Z" for child in children):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert children
    assert unharmed


def _state(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_mounts_are_found_below_a_directory_only() -> None:
    table = "overlay / overlay rw 0 0\nnsfs /run/x/netns/1 nsfs rw 0 0\ntmpfs /run/xy tmpfs rw 0 0\ntmpfs /run/x tmpfs rw 0 0\noverlay /run/x/a\\040b overlay rw 0 0\n"
    assert mounts_below(Path("/run/x"), table) == ["/run/x/netns/1", "/run/x/a b"]


@contextmanager
def listing_api(*payments: list[dict[str, object]]) -> Generator[str]:
    """An API that lists payments, at each request the next list; charges it has none."""
    left = list(payments)

    class Api(Handler):
        def take(self) -> None:
            data = (left.pop(0) if len(left) > 1 else left[0]) if "payment_intents" in self.path else []
            self.answer(200, json.dumps({"object": "list", "url": self.path, "has_more": False, "data": data}).encode())

    with serving(Api) as url:
        yield url


def payment(order: str, status: str) -> dict[str, object]:
    return {"id": f"pi_{order}", "object": "payment_intent", "status": status, "metadata": {"order": order}}


def test_a_payment_is_missing_only_when_it_has_an_outcome_and_did_not_succeed() -> None:
    first = [payment("run-1", "processing"), payment("run-2", "canceled"), payment("other-1", "processing")]
    with listing_api(first, [payment("run-1", "succeeded"), *first[1:]]) as url:
        faults = Traffic(url, "sk_test_1", "run", paid=["run-1", "run-2", "run-3"]).faults()
    assert (faults.failed, faults.missing, faults.doubled) == ([], ["run-2", "run-3"], [])


def test_steps_that_go_side_by_side_take_together_what_passes_from_the_first_to_the_last() -> None:
    report = Report(Console(), steps=[Step("one", 0.0, 5.0), Step("beside it", 1.0, 7.0), Step("after", 8.0, 2.0)])
    assert report.seconds == 10.0
    with pytest.raises(ValueError, match="why"), report.step("fails"):
        raise ValueError("why")
    assert (report.steps[-1].failed, report.steps[-1].shown) == (True, "ValueError: why")
