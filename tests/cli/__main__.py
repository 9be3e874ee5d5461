"""Tries the webhook handlers that `tap samples` prints, each with the framework that it is for, and the Stripe CLI: `make cli-check`."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from payments.cli.webhook_samples import Framework, sample
from payments.notification_service.signing import new_secret, signature_headers
from tests.support.running_tap import free_port, running_tap
from tests.support.waiting import wait_until

PYTHON = Path(__file__).resolve().parents[2] / ".venv/samples/bin/python"
"""Made by `make cli-check`."""
SERVERS: Mapping[Framework, list[str]] = {
    Framework.FLASK: ["-m", "flask", "--app", "webhook", "run", "--port", "PORT"],
    Framework.FASTAPI: ["-m", "uvicorn", "webhook:app", "--port", "PORT"],
    Framework.DJANGO: ["webhook.py", "runserver", "--noreload", "PORT"],
}
TRIGGERED = ("customer.created", "charge.succeeded", "charge.refunded", "payment_intent.payment_failed", "setup_intent.succeeded")
VERSION = "2026-08-26.dahlia"
"""The last one with `payment_method_types`, which the Stripe CLI's fixtures give."""


@contextmanager
def handler(framework: Framework, secret: str) -> Generator[tuple[str, Path]]:
    """Run a handler; yields its URL and what it prints."""
    port = str(free_port())
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "webhook.py").write_text(sample(framework), encoding="utf-8")
        printed = Path(directory) / "printed.txt"
        command = [str(PYTHON), *(port if part == "PORT" else part for part in SERVERS[framework])]
        with printed.open("wb") as output:
            environment = {**os.environ, "STRIPE_WEBHOOK_SECRET": secret}
            process = subprocess.Popen(command, cwd=directory, env=environment, stdout=output, stderr=output)
        try:
            yield f"http://127.0.0.1:{port}/webhook", printed
        finally:
            process.terminate()
            process.wait()


def posted(url: str, body: bytes, headers: Mapping[str, str]) -> int:
    """The status; 0 while nobody listens."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, dict(headers))) as answer:
            return answer.status
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code
    except OSError:
        return 0


def try_handler(framework: Framework) -> None:
    secret = new_secret()
    intent = {"id": "pi_1", "object": "payment_intent", "amount": 2000, "currency": "usd"}
    body = json.dumps({"id": "evt_1", "object": "event", "type": "payment_intent.succeeded", "data": {"object": intent}}).encode()
    at = int(time.time())
    with handler(framework, secret) as (url, printed):
        signed = {"Content-Type": "application/json", **signature_headers("evt_1", body, at, [secret])}
        forged = {"Content-Type": "application/json", **signature_headers("evt_1", body, at, [new_secret()])}
        wait_until(lambda: posted(url, body, forged) != 0, f"{framework} listens")
        assert (posted(url, body, forged), posted(url, body, signed)) == (400, 200), printed.read_text()
        wait_until(lambda: "Paid: pi_1, 2000 usd" in printed.read_text(), f"{framework} handles the event")
    print(f"{framework}: a signed event is taken, a forged one isn't")


def try_stripe_cli(stripe: str) -> None:
    with running_tap() as tap, tempfile.TemporaryDirectory() as home:
        status = tap.status()
        environment = {**os.environ, "HOME": home, "XDG_CONFIG_HOME": home, "STRIPE_CLI_TELEMETRY_OPTOUT": "1"}

        def run(*arguments: str) -> str:
            command = [stripe, *arguments, "--api-base", status["base_url"], "--api-key", status["secret_key"]]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
            return done.stdout

        made = json.loads(run("post", "/v1/customers", "-d", "name=Bob"))
        assert json.loads(run("get", f"/v1/customers/{made['id']}"))["name"] == "Bob"
        for event_type in TRIGGERED:
            assert "Trigger succeeded" in run("trigger", event_type, "--api-version", VERSION)
            wait_until(lambda each=event_type: bool(json.loads(run("events", "list", "--type", each))["data"]), f"{event_type} is there")
            print(f"stripe trigger {event_type}")
        try_listeners(stripe, environment, status, run)


def try_listeners(stripe: str, environment: Mapping[str, str], status: Mapping[str, Any], run: Callable[..., str]) -> None:
    """`listen`, which forwards to a handler that verifies, `logs tail`, and `events resend`."""
    api = ["--api-base", status["base_url"], "--api-key", status["secret_key"]]
    secret = run("listen", "--print-secret").strip()
    with handler(Framework.FLASK, secret) as (url, printed), tempfile.TemporaryDirectory() as directory:
        heard = {name: Path(directory) / name for name in ("listen", "logs")}
        commands = {"listen": ["listen", "--skip-update", "--forward-to", url], "logs": ["logs", "tail"]}
        processes: list[subprocess.Popen[bytes]] = []
        try:
            for name, command in commands.items():
                with heard[name].open("wb") as output:
                    processes.append(subprocess.Popen([stripe, *command, *api], env=environment, stdout=output, stderr=output))
            wait_until(lambda: posted(url, b"", {}) != 0, "the handler listens")
            for path in heard.values():
                wait_until(lambda each=path: "Ready!" in each.read_text(), f"{path.name} is ready")
            run("trigger", "payment_intent.succeeded", "--api-version", VERSION)
            wait_until(lambda: "Paid: pi_" in printed.read_text(), "what was forwarded is verified and handled")
            wait_until(lambda: "[200] POST /v1/payment_intents " in heard["logs"].read_text(), "the request is shown")
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait()
    print("stripe listen and logs tail")
    endpoint = json.loads(run("post", "/v1/webhook_endpoints", "-d", "url=http://127.0.0.1:9/", "-d", "enabled_events[]=*"))
    event = json.loads(run("events", "list", "--type", "payment_intent.succeeded"))["data"][0]
    assert json.loads(run("events", "resend", event["id"], "--webhook-endpoint", endpoint["id"]))["id"] == event["id"]
    print("stripe events resend")


def main() -> None:
    parser = argparse.ArgumentParser(prog="make cli-check", description=__doc__)
    parser.add_argument("--stripe", default=shutil.which("stripe"), help="the Stripe CLI; else the one that is installed")
    stripe = parser.parse_args().stripe
    for framework in SERVERS:
        try_handler(framework)
    if stripe is None:
        sys.exit("The Stripe CLI isn't installed, and wasn't tried: see https://docs.stripe.com/stripe-cli, or name it with --stripe.")
    try_stripe_cli(stripe)


if __name__ == "__main__":
    main()
