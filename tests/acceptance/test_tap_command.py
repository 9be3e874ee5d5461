"""The `tap` command as a newcomer uses it."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

import psutil
import psycopg
import pytest
import stripe

from payments.runtime.topology import SERVICES
from tests.support.running_tap import RunningTap, free_port, run_tap, running_tap
from tests.support.waiting import wait_until


@pytest.fixture
def data_dir() -> Generator[Path]:
    path = Path(tempfile.mkdtemp(prefix="tap-test-"))
    yield path
    run_tap("down", "--data-dir", str(path), check=False)  # of what a test left running, or failed to stop
    shutil.rmtree(path, ignore_errors=True)


def processes_of(data_dir: Path) -> list[psutil.Process]:
    """Every process whose command line or environment names the data directory."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and str(data_dir) in " ".join([*process.cmdline(), *process.environ().values()]):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_status_tells_programs_everything(tap: RunningTap) -> None:
    status = tap.status()
    assert status.keys() == {"base_url", "secret_key", "publishable_key", "database_url", "postgres", "services"}
    assert status["services"].keys() == set(SERVICES)
    for service in status["services"].values():
        assert service["healthy"]
        assert psutil.pid_exists(service["pid"])
    assert psutil.Process(status["postgres"]["pid"]).name() == "postgres"
    with psycopg.connect(status["database_url"]) as connection:
        assert connection.execute("SELECT count(*) FROM payments.merchants").fetchone() != (0,)
    assert "sk_test_" in tap.tap("status").stdout


def test_secrets_are_readable_by_their_owner_only(tap: RunningTap) -> None:
    secret_key = tap.status()["secret_key"]
    for path in tap.data_dir.iterdir():
        if path.is_file() and path.name != "lock":
            assert path.stat().st_mode & 0o077 == 0, path
    for log in (tap.data_dir / "logs").glob("*.log"):
        if log.name != "tap.log":
            assert secret_key not in log.read_text(errors="replace"), log


def test_the_demo_pays_and_the_books_balance(tap: RunningTap) -> None:
    shown = tap.tap("demo", "--payments", "40").stdout
    for part in ("approved with 3-D Secure", "declined: insufficient funds", "captured later", "platform fees", "payment_intent.succeeded"):
        assert part in shown
    assert re.search(r"payment_intent\.created\W+40\b", shown), "each payment told of itself"
    verified = tap.tap("verify")
    assert verified.stdout.count("✓") == 11
    assert "The books are in order" in verified.stdout


def test_verify_finds_what_was_tampered_with() -> None:
    with running_tap() as tap:
        tap.client().v1.payment_intents.create({"amount": 2000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True})
        with psycopg.connect(tap.status()["database_url"]) as connection:
            connection.execute("UPDATE ledger.balances SET debits_posted = debits_posted + 1 WHERE debits_posted > 0")
            connection.execute("UPDATE payments.charges SET amount_captured = 1999")
        found = tap.tap("verify", check=False)
        assert found.returncode == 1
        assert "✗ Σ debits = Σ credits" in found.stdout
        assert "✗ each account's balance is the sum of its entries" in found.stdout
        assert "✗ each charge agrees with its balance transactions" in found.stdout


def test_a_second_run_goes_on_with_all_data(data_dir: Path) -> None:
    port = str(free_port())
    run_tap("up", "--detach", "--port", port, "--data-dir", str(data_dir))
    tap = RunningTap(data_dir, int(port))
    before = tap.status()
    intent = tap.client().v1.payment_intents.create({"amount": 2000, "currency": "usd"})
    assert "Stop it with: tap down" in run_tap("up", "--detach", "--port", port, "--data-dir", str(data_dir), check=False).stderr
    tap.tap("down")
    assert processes_of(data_dir) == []
    run_tap("up", "--detach", "--port", port, "--data-dir", str(data_dir))
    assert tap.status()["secret_key"] == before["secret_key"]
    assert tap.client().v1.payment_intents.retrieve(intent.id).amount == 2000


def test_ctrl_c_ends_everything(data_dir: Path) -> None:
    command = ["up", "--port", str(free_port()), "--data-dir", str(data_dir)]
    process = subprocess.Popen(
        [sys.executable, "-m", "payments.cli", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        shown = ""
        while "Ctrl-C stops everything" not in shown:
            line = process.stdout.readline()
            assert line, shown
            shown += line
        assert len(processes_of(data_dir)) >= 5
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert processes_of(data_dir) == []
    finally:
        process.kill()  # its children end with it
        process.communicate()


def test_nothing_outlives_a_killed_supervisor(data_dir: Path) -> None:
    run_tap("up", "--detach", "--port", str(free_port()), "--data-dir", str(data_dir))
    supervisor = json.loads((data_dir / "run.json").read_text())["supervisor_pid"]
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: not processes_of(data_dir), "its processes end")
    refused = run_tap("status", "--data-dir", str(data_dir), check=False)
    assert refused.returncode == 1
    assert "Tap isn't running" in refused.stderr


def test_a_killed_run_isnt_taken_for_the_next(data_dir: Path) -> None:
    run_tap("up", "--detach", "--port", str(free_port()), "--data-dir", str(data_dir))
    left = json.loads((data_dir / "run.json").read_text())
    os.kill(left["supervisor_pid"], signal.SIGKILL)
    wait_until(lambda: not processes_of(data_dir), "its processes end")
    next_port = free_port()
    shown = run_tap("up", "--detach", "--port", str(next_port), "--data-dir", str(data_dir)).stdout
    assert f"http://127.0.0.1:{next_port}" in shown
    assert RunningTap(data_dir, next_port).client().v1.payment_intents.create({"amount": 2000, "currency": "usd"}).amount == 2000
    run_tap("down", "--data-dir", str(data_dir))
    assert processes_of(data_dir) == []


def one_line(*arguments: str, environment: dict[str, str] | None = None) -> str:
    """The one line of a command that must fail with exit status 1."""
    done = run_tap(*arguments, check=False, environment=environment)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.strip()


def test_a_busy_port_is_one_line(data_dir: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = one_line("up", "--port", str(port), "--data-dir", str(data_dir))
    assert re.fullmatch(rf"Port {port} is busy\. Choose another: tap up --port \d+", line)


def test_an_unreachable_database_is_one_line(data_dir: Path) -> None:
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    line = one_line("up", "--port", str(free_port()), "--data-dir", str(data_dir), environment={"TAP_DATABASE_URL": url})
    assert "can't be reached" in line
    assert processes_of(data_dir) == []


def test_a_newer_data_directory_is_one_line(data_dir: Path) -> None:
    port = str(free_port())
    run_tap("up", "--detach", "--port", port, "--data-dir", str(data_dir))
    with psycopg.connect(RunningTap(data_dir, int(port)).status()["database_url"]) as connection:
        connection.execute(
            "INSERT INTO _yoyo_migration (migration_hash, migration_id, applied_at_utc) VALUES ('x', '9999_future', now() AT TIME ZONE 'utc')"
        )
    run_tap("down", "--data-dir", str(data_dir))
    line = one_line("up", "--port", port, "--data-dir", str(data_dir))
    assert "newer version of Tap" in line
    assert processes_of(data_dir) == []


def test_a_server_of_ones_own_is_used(tap: RunningTap, data_dir: Path) -> None:
    url = tap.status()["database_url"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE own TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'")
    own = url.replace("/tap?", "/own?")
    port = free_port()
    run_tap("up", "--detach", "--port", str(port), "--data-dir", str(data_dir), environment={"TAP_DATABASE_URL": own})
    mine = RunningTap(data_dir, port)
    assert mine.status()["postgres"] == {"pid": None}
    paid = mine.client().v1.payment_intents.create({"amount": 2000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True})
    assert paid.status == "succeeded"


def test_keys_are_listed_without_the_keys_themselves(tap: RunningTap) -> None:
    key = tap.create_key("--publishable")
    assert key.startswith("pk_test_")
    listed = tap.tap("keys", "list").stdout
    assert key[-4:] in listed
    assert key not in listed
    assert "There is no key nothing" in tap.tap("keys", "revoke", "nothing", check=False).stderr


def test_each_service_is_reached_on_its_own_url_too(tap: RunningTap) -> None:
    status = tap.status()
    client = stripe.StripeClient(status["secret_key"], base_addresses={"api": status["services"]["payment-api"]["url"]})
    assert client.v1.payment_intents.create({"amount": 2000, "currency": "usd"}).amount == 2000
