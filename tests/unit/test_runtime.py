"""Ids, secrets, settings, metrics, routes."""

import asyncio
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.runtime.ids import IdGenerator
from payments.runtime.logging import Logger
from payments.runtime.metrics import MetricReporter
from payments.runtime.seal import EnvelopeKeys, FileKeyProvider, Sealer, SealError
from payments.runtime.settings import MaintenanceSettings, Settings, SettingsError
from payments.runtime.topology import METRIC_DIMENSIONS, METRIC_NAMESPACE, SERVICES, Metric, Service, route
from payments.wire.serve import Binding
from tests.integration.builders import FakeClock, Key

ENVIRONMENT = {
    "TAP_DATABASE_URL": "postgresql://tap:hunter2@db/tap",
    "TAP_PUBLIC_URL": "https://pay.example/",
    "TAP_TRANSACTION_PROCESSOR_URL": "http://transaction-processor:8080",
    "TAP_API_KEY_PEPPER": "ab" * 32,
    "TAP_INTERNAL_API_KEY": "internal-secret",
    "TAP_ENVELOPE_KEY_FILE": "/run/key",
}


@pytest.mark.parametrize(
    ("given", "serves_tls", "name"),
    [
        ({}, False, None),
        ({"TAP_SERVE_TLS": "false", "TAP_TRANSACTION_PROCESSOR_SERVER_NAME": ""}, False, None),
        ({"TAP_SERVE_TLS": "true", "TAP_TRANSACTION_PROCESSOR_SERVER_NAME": "pay.example"}, True, "pay.example"),
    ],
)
def test_tls_is_asked_for_and_a_local_run_has_none(given: dict[str, str], *, serves_tls: bool, name: str | None) -> None:
    settings = Settings.from_environment(ENVIRONMENT | given)
    assert (settings.serves_tls, settings.transaction_processor_name) == (serves_tls, name)
    assert Binding.from_settings(settings, "payment-api").certificate_name == ("payment-api" if serves_tls else None)


def test_ids_are_unique_and_sort_by_the_order_they_were_made_in() -> None:
    new_id = IdGenerator()
    ids = [new_id("pi") for _ in range(20_000)]
    assert sorted(set(ids)) == ids
    assert all(re.fullmatch(r"pi_[0-9A-Za-z]{24}", each) for each in ids)


def test_two_processes_never_make_the_same_id() -> None:
    one, other = IdGenerator(), IdGenerator()
    assert not {one("pi") for _ in range(5_000)} & {other("pi") for _ in range(5_000)}


@given(st.binary(max_size=100), st.binary(max_size=20), st.binary(max_size=20))
def test_a_sealed_value_opens_in_its_context_only(plaintext: bytes, context: bytes, other: bytes) -> None:
    sealer = Sealer(Key())
    sealed = sealer.seal(plaintext, context)
    assert sealer.open(sealed, context) == plaintext
    assert sealer.seal(plaintext, context) != sealed
    if other != context:
        with pytest.raises(SealError):
            sealer.open(sealed, other)
    with pytest.raises(SealError):
        Sealer(Key(b"x" * 32)).open(sealed, context)


@given(st.binary(min_size=1, max_size=40), st.data())
def test_a_damaged_value_does_not_open(plaintext: bytes, data: st.DataObject) -> None:
    sealed = Sealer(Key()).seal(plaintext, b"")
    at = data.draw(st.integers(0, len(sealed) - 1))
    damaged = sealed[:at] + bytes([sealed[at] ^ data.draw(st.integers(1, 255))]) + sealed[at + 1 :]
    for broken in (damaged, sealed[:-1], b""):
        with pytest.raises(SealError):
            Sealer(Key()).open(broken, b"")


def test_fingerprints_are_equal_for_equal_values_of_one_merchant() -> None:
    sealer = Sealer(Key())
    assert sealer.fingerprint(b"4242", b"merchant 1") == sealer.fingerprint(b"4242", b"merchant 1")
    assert sealer.fingerprint(b"4242", b"merchant 1") != sealer.fingerprint(b"4242", b"merchant 2")
    assert len(sealer.fingerprint(b"4242", b"merchant 1")) == 16


def test_the_key_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("ab" * 32)
    path.chmod(0o644)
    with pytest.raises(SealError, match="chmod 600"):
        FileKeyProvider(path).envelope_keys()
    path.chmod(0o600)
    assert FileKeyProvider(path).envelope_keys() == EnvelopeKeys.of(b"\xab" * 32)
    for content in ("ab", "not hex", ""):
        path.write_text(content)
        with pytest.raises(SealError):
            FileKeyProvider(path).envelope_keys()


def test_settings_are_read_once_and_keep_their_secrets() -> None:
    settings = Settings.from_environment(ENVIRONMENT)
    assert settings.public_url == "https://pay.example"
    for secret in ("hunter2", "ab" * 32, "internal-secret"):
        assert secret not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, None) for name in ENVIRONMENT]
    + [
        ("TAP_API_KEY_PEPPER", "secret-but-not-hex"),
        ("TAP_API_KEY_PEPPER", "abcd"),
        ("TAP_PORT", "eighty"),
        ("TAP_ACQUIRER_TIMEOUT_SECONDS", "60"),
        ("TAP_FRAME_ANCESTORS", "without-scheme.example"),
        ("TAP_FRAME_ANCESTORS", "https://shop.example; script-src *"),
        ("TAP_FRAME_ANCESTORS", "https://shop.example/path"),
    ],
)
def test_a_wrong_setting_is_named_and_never_shown(name: str, value: str | None) -> None:
    environment = {key: kept for key, kept in ENVIRONMENT.items() if key != name} | ({} if value is None else {name: value})
    with pytest.raises(SettingsError, match=name) as refused:
        Settings.from_environment(environment)
    assert value is None or value not in str(refused.value)


def test_metrics_need_no_agent() -> None:
    """They are written to standard output, and no socket is opened for them."""
    script = """
import sys

def refuse(event, _):
    if event.startswith("socket."):
        raise AssertionError(event)

sys.addaudithook(refuse)
from payments.runtime.clock import SystemClock
from payments.runtime.logging import Logger
from payments.runtime.metrics import MetricReporter
from payments.runtime.topology import Metric
MetricReporter("payment-api", "prod", None, SystemClock(), Logger("payment-api")).report({Metric.BACKLOG: 7})
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, timeout=60)
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["_aws"]["CloudWatchMetrics"][0]["Metrics"] == [{"Name": "Backlog", "Unit": "Count"}]


def test_the_database_may_be_given_in_parts() -> None:
    parts = {"TAP_DATABASE_HOST": "db", "TAP_DATABASE_USER": "tap", "TAP_DATABASE_PASSWORD": "p@ss/word", "TAP_DATABASE_CA_FILE": "/ca.pem"}
    settings = Settings.from_environment({**ENVIRONMENT, **parts})
    assert settings.database_url == "postgresql://tap:p%40ss%2Fword@db:5432/tap?sslmode=verify-full&sslrootcert=%2Fca.pem"


def test_a_rotated_password_is_looked_for_where_the_arn_says_and_nowhere_without_one() -> None:
    arn = "arn:aws:secretsmanager:eu-west-1:111111111111:secret:DatabaseSecret-AbCdEf"
    assert Settings.from_environment(ENVIRONMENT).database_secret is None
    secret = Settings.from_environment({**ENVIRONMENT, "TAP_DATABASE_SECRET_ARN": arn}).database_secret
    assert secret is not None
    assert secret.arn == arn
    with pytest.raises(SettingsError, match="TAP_DATABASE_SECRET_ARN is not the ARN of a secret"):
        Settings.from_environment({**ENVIRONMENT, "TAP_DATABASE_SECRET_ARN": "hunter2"})


def test_a_sandbox_needs_the_pepper_and_a_key_that_is_one() -> None:
    url = {"TAP_DATABASE_URL": "postgresql://tap:hunter2@db/tap"}
    assert MaintenanceSettings.from_environment(url).sandbox_key is None
    settings = MaintenanceSettings.from_environment({**url, "TAP_SANDBOX_KEY": "ab" * 32, "TAP_API_KEY_PEPPER": "cd" * 32})
    assert settings.sandbox_key == "ab" * 32
    for secret in ("ab" * 32, "cd" * 32, "hunter2"):
        assert secret not in repr(settings)
    with pytest.raises(SettingsError, match="TAP_API_KEY_PEPPER"):
        MaintenanceSettings.from_environment({**url, "TAP_SANDBOX_KEY": "ab" * 32})
    for wrong in ("AB" * 32, "ab", "x" * 64, " ".join(["abcdef01"] * 8)):
        with pytest.raises(SettingsError, match="TAP_SANDBOX_KEY") as refused:
            MaintenanceSettings.from_environment({**url, "TAP_SANDBOX_KEY": wrong, "TAP_API_KEY_PEPPER": "cd" * 32})
        assert wrong not in str(refused.value)


def test_the_services_passwords_are_read_where_they_are_given_and_never_shown() -> None:
    url = {"TAP_DATABASE_URL": "postgresql://tap:hunter2@db/tap"}
    assert MaintenanceSettings.from_environment(url).login_passwords == {}
    passwords = {spec.login_password_variable: f"secret of {service}" for service, spec in SERVICES.items()}
    settings = MaintenanceSettings.from_environment(url | passwords)
    assert settings.login_passwords == {service: f"secret of {service}" for service in SERVICES}
    assert "secret of" not in repr(settings)


def test_the_envelope_key_may_be_injected() -> None:
    environment = {name: value for name, value in ENVIRONMENT.items() if name != "TAP_ENVELOPE_KEY_FILE"}
    assert Settings.from_environment({**environment, "TAP_ENVELOPE_KEY": "cd" * 32}).envelope_key == EnvelopeKeys.of(b"\xcd" * 32)


def test_metrics_are_lines_in_the_embedded_metric_format() -> None:
    stream = io.BytesIO()
    clock, log = FakeClock(), Logger("payment-api", stream)
    reporter = MetricReporter("payment-api", "prod", lambda: asyncio.sleep(0, {}), clock, log)
    reporter.report({Metric.BACKLOG: 7, Metric.OUTBOX_AGE: 0.5})
    log.flush()
    line = json.loads(stream.getvalue())
    assert line["_aws"]["Timestamp"] == int(clock.time * 1000)
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == METRIC_NAMESPACE
    assert directive["Dimensions"] == [list(METRIC_DIMENSIONS)]
    assert {each["Name"]: each["Unit"] for each in directive["Metrics"]} == {"Backlog": "Count", "OutboxAge": "Seconds"}
    assert (line["Environment"], line["Service"], line["Backlog"], line["OutboxAge"]) == ("prod", "payment-api", 7, 0.5)


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/v1/payment_intents", Service.PAYMENT_API),
        ("/v1/events", Service.NOTIFICATION_SERVICE),
        ("/v1/events/evt_1", Service.NOTIFICATION_SERVICE),
        ("/v1/eventsx", Service.PAYMENT_API),
        ("/v1/webhook_endpoints/we_1", Service.NOTIFICATION_SERVICE),
        ("/v1/balance", Service.TRANSACTION_PROCESSOR),
        ("/v1/balance_transactions/txn_1", Service.TRANSACTION_PROCESSOR),
        ("/pay/authenticate/test/1/pi_1", Service.PAYMENT_API),
        ("/", Service.PAYMENT_API),
    ],
)
def test_the_route_table(path: str, service: Service) -> None:
    assert route(path) is service


def test_exactly_one_service_takes_the_rest() -> None:
    assert [service for service, spec in SERVICES.items() if not spec.path_patterns] == [Service.PAYMENT_API]
