"""Settings of a service, read once from the environment at start.

A service never reads `os.environ` elsewhere. A missing or malformed variable is one `SettingsError` that names it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from payments.runtime.keyring import KeyRing, KeyRingError
from payments.runtime.seal import EnvelopeKeys
from payments.runtime.secrets_manager import SecretLocation
from payments.runtime.topology import (
    API_KEY_PEPPER_VARIABLE,
    CONTAINER_PORT,
    DATABASE_SECRET_VARIABLE,
    ENVELOPE_KEY_VARIABLE,
    FRAME_ANCESTOR,
    FRAME_ANCESTORS_VARIABLE,
    INTERNAL_NAME_VARIABLE,
    RATE_LIMIT_VARIABLE,
    SANDBOX_KEY_VARIABLE,
    SERVE_TLS_VARIABLE,
    SERVICES,
    WEBHOOK_PORTS_VARIABLE,
    WRITES_PER_SECOND_MAX,
    Service,
)


class SettingsError(Exception):
    """A setting is missing or malformed."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that the environment tells a service. Secrets are left out of the repr."""

    database_url: str = field(repr=False)
    """`TAP_DATABASE_URL`: a libpq URL, TCP or Unix socket (`?host=/directory`). Or its parts, as a secret store injects them: `TAP_DATABASE_HOST`,
    `TAP_DATABASE_PORT`, `TAP_DATABASE_NAME`, `TAP_DATABASE_USER`, `TAP_DATABASE_PASSWORD`, and `TAP_DATABASE_CA_FILE` to verify the server's certificate."""
    database_secret: SecretLocation | None
    """`TAP_DATABASE_SECRET_ARN`: the secret in AWS Secrets Manager that has the password after it was rotated; unset: it never is.
    Read with `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`, which Fargate sets, at `AWS_ENDPOINT_URL` if that is set."""
    database_role: str | None
    """`TAP_DATABASE_ROLE`: the role that every connection assumes; unset: the login role itself."""
    host: str
    """`TAP_HOST`: the address to listen on."""
    port: int
    """`TAP_PORT`."""
    serves_tls: bool
    """`TAP_SERVE_TLS`: `true` where only a load balancer connects, which takes any certificate: each process makes its own."""
    linger_seconds: float
    """`TAP_LINGER_SECONDS`: for how long after SIGTERM requests may still come, from a load balancer that is told at the same time."""
    public_url: str
    """`TAP_PUBLIC_URL`: what customers' browsers reach, without a trailing slash: hosted pages are linked with it."""
    transaction_processor_url: str
    """`TAP_TRANSACTION_PROCESSOR_URL`: where payment-api finds transaction-processor."""
    transaction_processor_trial_url: str
    """`TAP_TRANSACTION_PROCESSOR_TRIAL_URL`: where it finds the copies that a release is tried out with; unset: there as well."""
    transaction_processor_name: str | None
    """`TAP_TRANSACTION_PROCESSOR_SERVER_NAME`: the name that the certificate there must be for, where these are `https`; unset: that of the URL."""
    api_key_pepper: KeyRing = field(repr=False)
    """`TAP_API_KEY_PEPPER`: key of the keyed hash under which API keys are stored, 64 hex digits; or several with their numbers (`runtime/keyring.py`)."""
    internal_api_key: str = field(repr=False)
    """`TAP_INTERNAL_API_KEY`: bearer token between the services."""
    envelope_key_file: Path | None
    """`TAP_ENVELOPE_KEY_FILE`: file (mode 0600) with the key that seals card numbers and webhook secrets, 64 hex digits;
    or several (`runtime/seal.py`)."""
    envelope_key: EnvelopeKeys | None = field(repr=False)
    """`TAP_ENVELOPE_KEY`: what would stand in the file, where it is injected instead of mounted. One of the two is needed."""
    environment: str
    """`TAP_ENVIRONMENT`: `local`, `dev`, `prod`, …: a dimension of the metrics."""
    attempt_lease_seconds: float
    """`TAP_ATTEMPT_LEASE_SECONDS`: how long one process may work on an attempt before the sweeper takes it over."""
    acquirer_timeout_seconds: float
    """`TAP_ACQUIRER_TIMEOUT_SECONDS`: silence after which an outcome is unknown; shorter than the lease."""
    webhook_ports: frozenset[int]
    """`TAP_WEBHOOK_PORTS`: the ports that webhooks may go to, with commas between them; empty: any."""
    allow_private_webhook_targets: bool
    """`TAP_ALLOW_PRIVATE_WEBHOOK_TARGETS`: deliver to loopback and private addresses (local runs only)."""

    writes_per_second: float | None
    """`TAP_RATE_LIMIT_WRITES`: how fast an API key may write for which nothing else is set; unset: as fast as it can."""
    frame_ancestors: tuple[str, ...]
    """`TAP_FRAME_ANCESTORS`: the origins whose pages may show card fields and 3-D Secure in a frame, such as `https://shop.example https://*.shop.example`;
    unset: any."""

    @staticmethod
    def from_environment(environment: Mapping[str, str]) -> "Settings":
        """Build the settings; raises `SettingsError` with the name of the first variable that is wrong."""
        read = _Reader(environment)
        settings = Settings(
            database_url=read.database_url(),
            database_secret=read.database_secret(),
            database_role=read.text("TAP_DATABASE_ROLE", "") or None,
            host=read.text("TAP_HOST", "127.0.0.1"),
            port=int(read.number("TAP_PORT", CONTAINER_PORT)),
            serves_tls=read.text(SERVE_TLS_VARIABLE, "false") == "true",
            linger_seconds=read.number("TAP_LINGER_SECONDS", 0.0),
            public_url=read.text("TAP_PUBLIC_URL").rstrip("/"),
            transaction_processor_url=read.text("TAP_TRANSACTION_PROCESSOR_URL").rstrip("/"),
            transaction_processor_trial_url=read.text(
                "TAP_TRANSACTION_PROCESSOR_TRIAL_URL", read.text("TAP_TRANSACTION_PROCESSOR_URL")
            ).rstrip("/"),
            transaction_processor_name=read.text(INTERNAL_NAME_VARIABLE, "") or None,
            api_key_pepper=read.key_ring(API_KEY_PEPPER_VARIABLE),
            internal_api_key=read.text("TAP_INTERNAL_API_KEY"),
            envelope_key_file=Path(read.text("TAP_ENVELOPE_KEY_FILE")) if ENVELOPE_KEY_VARIABLE not in environment else None,
            envelope_key=read.envelope_keys(ENVELOPE_KEY_VARIABLE) if ENVELOPE_KEY_VARIABLE in environment else None,
            environment=read.text("TAP_ENVIRONMENT", "local"),
            attempt_lease_seconds=read.number("TAP_ATTEMPT_LEASE_SECONDS", 15.0),
            acquirer_timeout_seconds=read.number("TAP_ACQUIRER_TIMEOUT_SECONDS", 10.0),
            webhook_ports=read.ports(WEBHOOK_PORTS_VARIABLE),
            allow_private_webhook_targets=read.text("TAP_ALLOW_PRIVATE_WEBHOOK_TARGETS", "false") == "true",
            writes_per_second=read.number(RATE_LIMIT_VARIABLE, 0.0) if RATE_LIMIT_VARIABLE in environment else None,
            frame_ancestors=read.origins(FRAME_ANCESTORS_VARIABLE),
        )
        if settings.writes_per_second is not None and not 1 <= settings.writes_per_second <= WRITES_PER_SECOND_MAX:
            raise SettingsError(f"{RATE_LIMIT_VARIABLE} must be between 1 and {WRITES_PER_SECOND_MAX}")
        if settings.acquirer_timeout_seconds >= settings.attempt_lease_seconds:
            raise SettingsError("TAP_ACQUIRER_TIMEOUT_SECONDS must be shorter than TAP_ATTEMPT_LEASE_SECONDS")
        return settings


@dataclass(frozen=True, slots=True)
class MaintenanceSettings:
    """What the one-off tasks, migration and verification, take of the environment."""

    database_url: str = field(repr=False)
    database_secret: SecretLocation | None
    sandbox_key: str | None = field(repr=False)
    """`TAP_SANDBOX_KEY`: 64 hexadecimal digits; unset: no sandbox."""
    api_key_pepper: KeyRing | None = field(repr=False)
    """`TAP_API_KEY_PEPPER`: needed for a sandbox."""
    envelope_key: EnvelopeKeys | None = field(repr=False)
    """`TAP_ENVELOPE_KEY`: needed to seal anew."""
    login_passwords: Mapping[Service, str] = field(repr=False)
    """`TAP_SERVICE_LOGIN_PASSWORD`: what each service logs in to the database with; one that is unset has no login of its own."""

    @staticmethod
    def from_environment(environment: Mapping[str, str]) -> "MaintenanceSettings":
        """Build the settings; raises `SettingsError` with the name of the first variable that is wrong."""
        read = _Reader(environment)
        sandbox = SANDBOX_KEY_VARIABLE in environment
        return MaintenanceSettings(
            database_url=read.database_url(),
            database_secret=read.database_secret(),
            sandbox_key=read.digits(SANDBOX_KEY_VARIABLE) if sandbox else None,
            api_key_pepper=read.key_ring(API_KEY_PEPPER_VARIABLE) if sandbox else None,
            envelope_key=read.envelope_keys(ENVELOPE_KEY_VARIABLE) if ENVELOPE_KEY_VARIABLE in environment else None,
            login_passwords={
                service: read.text(spec.login_password_variable)
                for service, spec in SERVICES.items()
                if spec.login_password_variable in environment
            },
        )


class _Reader:
    """Typed look-ups that fail with the variable's name, never with its value."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def text(self, name: str, default: str | None = None) -> str:
        value = self._environment.get(name, default)
        if value is None:
            raise SettingsError(f"{name} is not set")
        return value

    def database_url(self) -> str:
        if "TAP_DATABASE_HOST" not in self._environment:
            return self.text("TAP_DATABASE_URL")
        user, password = quote(self.text("TAP_DATABASE_USER"), safe=""), quote(self.text("TAP_DATABASE_PASSWORD"), safe="")
        host, port, name = (
            self.text("TAP_DATABASE_HOST"),
            int(self.number("TAP_DATABASE_PORT", 5432)),
            self.text("TAP_DATABASE_NAME", "tap"),
        )
        ca_file = self.text("TAP_DATABASE_CA_FILE", "")
        tls = f"?sslmode=verify-full&sslrootcert={quote(ca_file, safe='')}" if ca_file else ""
        return f"postgresql://{user}:{password}@{host}:{port}/{name}{tls}"

    def database_secret(self) -> SecretLocation | None:
        if DATABASE_SECRET_VARIABLE not in self._environment:
            return None
        try:
            return SecretLocation.from_environment(self.text(DATABASE_SECRET_VARIABLE), self._environment)
        except ValueError as mistake:
            raise SettingsError(f"{DATABASE_SECRET_VARIABLE} is {mistake}") from None

    def number(self, name: str, default: float) -> float:
        try:
            return float(self.text(name, str(default)))
        except ValueError:
            raise SettingsError(f"{name} is not a number") from None

    def ports(self, name: str) -> frozenset[int]:
        try:
            return frozenset(int(each) for each in self.text(name, "").split(",") if each)
        except ValueError:
            raise SettingsError(f"{name} is no list of ports") from None

    def origins(self, name: str) -> tuple[str, ...]:
        found = tuple(self.text(name, "").split())
        if all(FRAME_ANCESTOR.fullmatch(each) for each in found):
            return found
        raise SettingsError(f"{name} is no list of origins, such as https://shop.example https://*.shop.example:8443")

    def key(self, name: str) -> bytes:
        return self.key_ring(name).key

    def key_ring(self, name: str) -> KeyRing:
        try:
            return KeyRing.parse(self.text(name))
        except KeyRingError as mistake:
            raise SettingsError(f"{name} {mistake}") from None

    def envelope_keys(self, name: str) -> EnvelopeKeys:
        try:
            return EnvelopeKeys.parse(self.text(name))
        except KeyRingError as mistake:
            raise SettingsError(f"{name} {mistake}") from None

    def digits(self, name: str) -> str:
        """A key whose very characters count."""
        if self.key(name).hex() != self.text(name):
            raise SettingsError(f"{name} is not in lower case")
        return self.text(name)
