"""The `tap` command as a newcomer uses it."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import stripe

from payments.runtime.topology import SERVICES, Service
from payments.storage.books import CHECKS
from tests.support.pages import examples, output_of
from tests.support.running_tap import RunningTap, copy_data_directory, free_port, run_tap, running_tap
from tests.support.waiting import wait_until


@pytest.fixture
def data_dir() -> Generator[Path]:
    path = Path(tempfile.mkdtemp(prefix="tap-test-"))
    yield path
    run_tap("down", "--data-dir", str(path), check=False)  # of what a test left running, or failed to stop
    shutil.rmtree(path, ignore_errors=True)


@dataclass(frozen=True)
class EndedRun:
    """A run that was stopped, and what it had."""

    data_dir: Path
    status: dict[str, Any]
    merchant_key: str
    intent: str


@pytest.fixture(scope="module")
def original() -> Generator[EndedRun]:
    with running_tap() as tap:
        intent = tap.client().v1.payment_intents.create({"amount": 2000, "currency": "usd"})
        made = EndedRun(tap.data_dir, tap.status(), tap.create_key("--new-merchant", "Kept"), intent.id)
        tap.tap("down")
        assert processes_of(tap.data_dir) == []
        yield made


@pytest.fixture
def ended(original: EndedRun, data_dir: Path) -> EndedRun:
    """One of a test's own, copied."""
    copy_data_directory(original.data_dir, data_dir)
    return replace(original, data_dir=data_dir)


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
    status = tap.shown_status()
    assert status.keys() == {
        "base_url",
        "root_certificate",
        "secret_key",
        "publishable_key",
        "database_url",
        "postgres",
        "services",
        "jobs",
    }
    assert status["services"].keys() == set(SERVICES)
    for service in status["services"].values():
        assert service["healthy"]
        assert psutil.pid_exists(service["pid"])
    assert psutil.Process(status["postgres"]["pid"]).name() == "postgres"
    with psycopg.connect(status["database_url"]) as connection:
        assert connection.execute("SELECT count(*) FROM payments.merchants").fetchone() != (0,)
    shown = tap.tap("status").stdout
    assert "sk_test_" in shown
    assert "sweep attempts" in shown


def test_all_jobs_are_done_by_the_service_that_they_are_of(tap: RunningTap) -> None:
    def done() -> bool:
        jobs = {(job["service"], job["name"]): job for job in tap.shown_status()["jobs"]}
        expected = {("payment-api", "index"), ("transaction-processor", "sweep attempts"), ("transaction-processor", "verify books")}
        states = {job["state"] for job in jobs.values()}
        return expected <= jobs.keys() and states <= {"ok", "running"} and all(job["last_success"] for job in jobs.values())

    wait_until(done, "each job was done")


def test_nobody_else_reads_what_a_run_keeps(tap: RunningTap) -> None:
    secrets = json.loads((tap.data_dir / "secrets.json").read_text())
    passwords = [secrets["database_password"], *(login["password"] for login in secrets["logins"].values())]
    reached = 0o710 if os.geteuid() == 0 else 0o700  # by the user that PostgreSQL runs as instead of root
    for path in [tap.data_dir, *tap.data_dir.rglob("*")]:
        assert path.stat().st_mode & 0o777 & ~(reached if path.is_dir() else 0o600) == 0 or path.is_socket(), path
    for log in (tap.data_dir / "logs").glob("*.log"):
        content = log.read_text(errors="replace")
        assert not any(password in content for password in passwords), log
        if log.name != "tap.log":
            assert secrets["secret_key"] not in content, log
    for process in processes_of(tap.data_dir):
        assert not any(secret in " ".join(process.cmdline()) for secret in [*passwords, secrets["secret_key"]])


def test_each_service_logs_in_as_itself_and_nobody_gets_in_without_a_password(tap: RunningTap) -> None:
    status = tap.status()
    owner = status["database_url"]
    with psycopg.connect(owner) as connection:
        sessions = connection.execute(
            "SELECT DISTINCT application_name, usename FROM pg_stat_activity WHERE application_name = ANY (%s)", ([*SERVICES],)
        ).fetchall()
    assert {name for name, _ in sessions} == set(SERVICES)
    for name, user in sessions:
        assert user.startswith(f"{SERVICES[Service(name)].database_role}_")
    for service in status["services"].values():
        environment = psutil.Process(service["pid"]).environ()
        assert "postgres:" not in environment["TAP_DATABASE_URL"]
        assert owner not in environment.values()
    host = owner.partition("?")[2]
    for user in ("postgres", *(user for _, user in sessions)):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(f"postgresql://{user}@/tap?{host}")


ODD = """100%25 #1&é?{x} 'q" a\\b"""


def test_a_directory_of_any_name_works_with_https(data_dir: Path) -> None:
    tap = RunningTap(data_dir / ODD, free_port())
    try:
        shown = tap.tap("up", "--detach", "--https", "--port", str(tap.port)).stdout
        status = tap.status()
        assert status["base_url"] == f"https://127.0.0.1:{tap.port}"
        assert status["root_certificate"] in shown
        assert shlex.join(["--data-dir", str(tap.data_dir)]) in shown
        assert "payment_intent.succeeded" in tap.tap("demo", "--payments", "10").stdout
        assert "The books are in order" in tap.tap("verify").stdout
    finally:
        tap.tap("down", check=False)


def test_a_directory_of_an_earlier_version_is_closed_to_others(ended: EndedRun) -> None:
    data_dir = ended.data_dir
    tap = RunningTap(data_dir, free_port())
    # As it was: whoever reached the socket was let in, and everybody read the logs.
    secrets = json.loads((data_dir / "secrets.json").read_text())
    del secrets["database_password"], secrets["logins"]
    (data_dir / "secrets.json").write_text(json.dumps(secrets))
    (data_dir / "postgres" / "data" / "pg_hba.conf").write_text("local all all trust\n")
    for path in (data_dir, data_dir / "logs", data_dir / "postgres", *(data_dir / "logs").iterdir()):
        path.chmod(0o755)
    tap.tap("up", "--detach", "--port", str(tap.port))
    assert tap.client(ended.merchant_key).v1.customers.list().data == []
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://postgres@/tap?host={data_dir}/postgres/socket")
    test_nobody_else_reads_what_a_run_keeps(tap)


def test_damaged_secrets_are_one_line(data_dir: Path) -> None:
    (data_dir / "secrets.json").write_text("{")
    line = one_line("up", "--port", str(free_port()), "--data-dir", str(data_dir))
    assert "secrets.json is damaged" in line
    assert "secrets.json is damaged" in one_line("up", "--detach", "--port", str(free_port()), "--data-dir", str(data_dir))


def test_a_directory_with_other_files_is_one_line(data_dir: Path) -> None:
    (data_dir / "thesis.tex").write_text("not ours")
    for detach in ([], ["--detach"]):
        assert "other files" in one_line("up", *detach, "--port", str(free_port()), "--data-dir", str(data_dir))


def test_the_demo_pays_and_the_books_balance(tap: RunningTap) -> None:
    shown = tap.tap("demo", "--payments", "40").stdout
    for part in ("approved with 3-D Secure", "declined: insufficient funds", "captured later", "platform fees", "payment_intent.succeeded"):
        assert part in shown
    assert re.search(r"payment_intent\.created\W+40\b", shown), "each payment told of itself"
    verified = tap.tap("verify")
    assert verified.stdout.count("✓") == len(CHECKS) + 1
    assert "The books are in order" in verified.stdout


def test_verify_finds_what_was_tampered_with(tap: RunningTap, client: stripe.StripeClient) -> None:
    paid = client.v1.payment_intents.create({"amount": 2000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True})
    with psycopg.connect(tap.status()["database_url"], autocommit=True) as connection:
        touched = connection.execute(
            "UPDATE ledger.balances SET debits_posted = debits_posted + 1 WHERE debits_posted > 0 RETURNING account_id"
        ).fetchall()
        connection.execute("UPDATE payments.charges SET amount_captured = 1999 WHERE id = %s", (paid.latest_charge,))
        try:
            found = tap.tap("verify", check=False)
        finally:
            connection.execute(
                "UPDATE ledger.balances SET debits_posted = debits_posted - 1 WHERE account_id = ANY(%s)",
                ([account for (account,) in touched],),
            )
            connection.execute("UPDATE payments.charges SET amount_captured = 2000 WHERE id = %s", (paid.latest_charge,))
    assert found.returncode == 1
    assert "✗ Σ debits = Σ credits" in found.stdout
    assert "✗ each account's balance is the sum of its entries" in found.stdout
    assert "✗ each charge agrees with its balance transactions" in found.stdout
    assert "The books are in order" in tap.tap("verify").stdout


def test_what_was_backed_up_as_the_page_says_goes_on_with_all_data(original: EndedRun, data_dir: Path) -> None:
    (data_dir / ".venv").symlink_to(sys.prefix)
    subprocess.run(["cp", "-a", original.data_dir, data_dir / ".tap"], check=True)
    tap = RunningTap(data_dir / ".tap", free_port())
    back_up, restore = examples("docs/local-run.md", "bash")
    tap.tap("up", "--detach", "--port", str(tap.port))
    try:
        assert "Stop it with: " in tap.tap("up", "--detach", "--port", str(tap.port), check=False).stderr
        output_of(["bash", "-euc", back_up], data_dir)
        shutil.rmtree(tap.data_dir)
        output_of(["bash", "-euc", restore.replace("--detach", f"--detach --port {tap.port}")], data_dir)
        assert tap.status()["secret_key"] == original.status["secret_key"]
        assert tap.client().v1.payment_intents.retrieve(original.intent).amount == 2000
        assert "The books are in order" in tap.tap("verify").stdout
    finally:
        tap.tap("down", check=False)


def test_ctrl_c_ends_everything(ended: EndedRun) -> None:
    data_dir = ended.data_dir
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


def test_nothing_outlives_a_killed_run_and_it_isnt_taken_for_the_next(ended: EndedRun) -> None:
    data_dir = str(ended.data_dir)
    run_tap("up", "--detach", "--port", str(free_port()), "--data-dir", data_dir)
    supervisor = json.loads((ended.data_dir / "run.json").read_text())["supervisor_pid"]
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: not processes_of(ended.data_dir), "its processes end")
    refused = run_tap("status", "--data-dir", data_dir, check=False)
    assert refused.returncode == 1
    assert "Tap isn't running" in refused.stderr
    next_port = free_port()
    shown = run_tap("up", "--detach", "--port", str(next_port), "--data-dir", data_dir).stdout
    assert f"http://127.0.0.1:{next_port}" in shown
    client = RunningTap(ended.data_dir, next_port).client()
    assert client.v1.payment_intents.create({"amount": 2000, "currency": "usd"}).amount == 2000
    run_tap("down", "--data-dir", data_dir)
    assert processes_of(ended.data_dir) == []


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
    hint = re.fullmatch(rf"Port {port} is busy\. Choose another: (.* -m payments\.cli up --port \d+ --data-dir .*)", line)
    assert hint is not None
    assert str(data_dir) in shlex.split(hint[1])


def test_an_unreachable_database_is_one_line(data_dir: Path) -> None:
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    line = one_line("up", "--port", str(free_port()), "--data-dir", str(data_dir), environment={"TAP_DATABASE_URL": url})
    assert "can't be reached" in line
    assert processes_of(data_dir) == []


def test_a_newer_data_directory_is_one_line(ended: EndedRun) -> None:
    data_dir, port = ended.data_dir, str(free_port())
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
    assert mine.shown_status()["postgres"] == {"pid": None}
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
