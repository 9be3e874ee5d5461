"""Pays with official SDKs of other languages, and with dj-stripe, all of them unchanged: `make sdk-check`."""

import argparse
import signal
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.sdk.checking import Sdk, check
from tests.support.reaper import reaping
from tests.support.running_tap import running_tap

HERE = Path(__file__).resolve().parent
DJSTRIPE = HERE.parents[1] / ".venv/djstripe/bin/python"
"""Made by `make sdk-check`."""

FLOW = ("endpoint", "customer", "card", "payment", "decline", "capture", "refund", "list", "replay", "events")
SYNCED = ("Account", "BalanceTransaction", "Charge", "Customer", "Event", "PaymentIntent", "PaymentMethod", "Refund", "WebhookEndpoint")

SDKS = (
    Sdk(
        name="go",
        tools=("go",),
        source=HERE / "go",
        build=lambda built: [["go", "build", "-o", built / "payments", "."]],
        run=lambda built: [built / "payments"],
        steps=FLOW,
    ),
    Sdk(
        name="java",
        tools=("mvn", "javac", "java"),
        source=HERE / "java",
        build=lambda built: [
            ["mvn", "-q", "-B", "dependency:copy-dependencies", "-Dmdep.prependGroupId", f"-DoutputDirectory={built / 'jars'}"],
            [sys.executable, HERE / "locked_jars.py", "dependencies.lock", built / "jars"],
            ["javac", "--release", "17", "-Xlint:all", "-Werror", "-cp", f"{built}/jars/*", "-d", built, "Payments.java", "Receiver.java"],
        ],
        run=lambda built: ["java", "-cp", f"{built}:{built}/jars/*", "Payments"],
        steps=FLOW,
    ),
    Sdk(
        name="djstripe",
        tools=(DJSTRIPE,),
        source=HERE / "djstripe",
        build=lambda _: [],
        run=lambda _: [DJSTRIPE, HERE / "djstripe/main.py"],
        steps=("tables", "payments", *(f"sync {model}" for model in SYNCED), "sync", "endpoint", "events"),
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make sdk-check", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=[sdk.name for sdk in SDKS], help="leave the others out, as where their tools are missing"
    )
    only = parser.parse_args().only
    # Whatever asks this to stop, what it started is stopped and removed. Started by `make sdk-check &`, it would ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with reaping():
        code = check([sdk for sdk in SDKS if not only or sdk.name in only], own_tap)
    sys.exit(code)


@contextmanager
def own_tap() -> Generator[Mapping[str, str]]:
    with running_tap() as tap:
        status = tap.status()
        yield {"TAP_BASE_URL": status["base_url"], "TAP_API_KEY": status["secret_key"]}


if __name__ == "__main__":
    main()
