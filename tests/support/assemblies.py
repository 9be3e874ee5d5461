"""The assemblies that several modules of tests read: synthesised once for all workers of a run, by one process."""

import json
from pathlib import Path

import pytest

from tests.support.shared import made_once
from tests.support.warm_app import warm_app

PUBLIC_URL = "https://payments.example.com"
QUEUE = "arn:aws:sqs:eu-west-1:000000000000:tap-*"
ASSEMBLIES: dict[str, dict[str, str]] = {
    "dev": {"environmentSuffix": "dev"},
    "staging": {"environmentSuffix": "staging"},
    "prod": {
        "environmentSuffix": "prod",
        "certificateArn": "arn:aws:acm:eu-west-1:000000000000:certificate/00000000-0000-0000-0000-000000000000",
        "publicUrl": PUBLIC_URL,
    },
    # Everything said that may be.
    "options": {
        "environmentSuffix": "dev",
        "serving": json.dumps({"payment-api": "green", "notification-service": "blue"}),
        "alarmEmail": "oncall@example.com",
        "privateWebhooks": "true",
        "acquirerPorts": "5001,443",
        "testAddresses": "203.0.113.7",
        "queues": QUEUE,
        "smtpSecretArn": "arn:aws:secretsmanager:eu-west-1:000000000000:secret:mail-aBcDeF",
        "mailFrom": "receipts@shop.example",
        "architecture": "arm64",
        "dualStack": "true",
        "availabilityZones": "eu-west-1b,eu-west-1c,eu-west-1d",
    },
    "deployed": {"environmentSuffix": "dev", "allowHttp": "true", "imageTag": "one"},
}
"""What the app is told for each, by its name."""


def assembly(tmp_path_factory: pytest.TempPathFactory, name: str) -> Path:
    """Return the directory of one of `ASSEMBLIES`."""
    return made_once(tmp_path_factory, "assemblies", _synthesise_all) / name


def _synthesise_all(directory: Path) -> None:
    with warm_app() as app:
        for name, context in ASSEMBLIES.items():
            done = app(directory / name, **context)
            assert done.returncode == 0, done.stderr
