"""The names that the code and the infrastructure share.

Paths, ports, health checks, environment variables and database roles are written here once. The services, the local front door and the
load balancer's rules all read this module, so none of them can drift from the others.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Service(StrEnum):
    """A deployable service; the value is its name in process lists, in service discovery and in dashboards."""

    PAYMENT_API = "payment-api"
    TRANSACTION_PROCESSOR = "transaction-processor"
    NOTIFICATION_SERVICE = "notification-service"


class Colour(StrEnum):
    """The two target groups of a service: one serves, the next release goes to the other."""

    BLUE = "blue"
    GREEN = "green"


class Architecture(StrEnum):
    """What processors the tasks run on, and images are built for; the value is what options say."""

    X86_64 = "x86-64"
    ARM64 = "arm64"

    @property
    def image(self) -> str:
        """What container engines call it."""
        return {Architecture.X86_64: "amd64", Architecture.ARM64: "arm64"}[self]

    @property
    def ecs(self) -> str:
        """What ECS calls it."""
        return {Architecture.X86_64: "X86_64", Architecture.ARM64: "ARM64"}[self]

    @classmethod
    def from_ecs(cls, name: str | None) -> "Architecture":
        """Read what a task definition says; nothing means x86-64. Raises `KeyError`."""
        return {None: cls.X86_64, **{each.ecs: each for each in cls}}[name]


class Metric(StrEnum):
    """What the services report of themselves, and what alarms and auto scaling watch."""

    BACKLOG = "Backlog"
    """Work that waits in one copy of a service: what auto scaling goes by."""
    PAYMENTS_APPROVED = "PaymentsApproved"
    PAYMENTS_DECLINED = "PaymentsDeclined"
    UNKNOWN_ATTEMPTS = "UnknownAttempts"
    """Attempts that were taken over and still have no outcome."""
    UNKNOWN_AGE = "UnknownAttemptsAge"
    """How long ago the oldest of them was begun."""
    LEDGER_IMBALANCE = "LedgerImbalance"
    """Σ |debits - credits| over all currencies, and how many rows of the books were found wrong: anything but 0 is a defect."""
    LEDGER_PROOF_FAULTS = "LedgerProofFaults"
    """Seals of the ledger that don't hold, or can't be made: anything but 0 is a change of history, or a database that was moved."""
    LEDGER_UNSEALED_AGE = "LedgerUnsealedAge"
    """How long the oldest transfer has been waiting for its seal."""
    DEAD_LETTERS = "DeadLetters"
    """Webhooks given up in the last day."""
    OUTBOX_AGE = "OutboxAge"
    """How long the oldest event has been waiting to be fanned out."""
    OVERDUE_AGE = "OverdueJobsAge"
    """For how long the job that waits longest should have been done again, whether nobody does it or it fails."""


METRIC_NAMESPACE = "Tap"
METRIC_DIMENSIONS = ("Environment", "Service")
_SECONDS = (Metric.OUTBOX_AGE, Metric.UNKNOWN_AGE, Metric.OVERDUE_AGE, Metric.LEDGER_UNSEALED_AGE)
METRIC_UNITS: dict[Metric, str] = {metric: "Seconds" if metric in _SECONDS else "Count" for metric in Metric}


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """How one service is started and reached."""

    service: Service
    module: str
    """`python -m MODULE` starts it, locally and in a container."""
    database_role: str
    """The least-privileged PostgreSQL role that it works as."""
    connections_max: int
    """How many connections to the database one copy of it opens at most: all its pools', and those that it watches and listens by."""
    metrics: tuple[Metric, ...]
    """What it reports."""
    path_patterns: tuple[str, ...]
    """Public paths that it answers, `*` as a trailing wildcard; empty: everything that no other service takes."""
    is_called_by_services: bool = False
    """Other services call it, so that what guards a release must stand between them and it: on AWS it has a load balancer of its own, inside of the
    network, and no service can be behind two. No front door leads to it, and payment-api passes its public paths on."""

    @property
    def database_login(self) -> str:
        """Who it is for the database on AWS, where an environment has a server of its own: a member of its role, and of no other."""
        return f"{self.database_role}_login"

    @property
    def login_password_variable(self) -> str:
        """Injected into the migration task alone, which makes that login."""
        return f"TAP_{self.service.name}_LOGIN_PASSWORD"


SERVICES: dict[Service, ServiceSpec] = {
    spec.service: spec
    for spec in (
        ServiceSpec(
            Service.NOTIFICATION_SERVICE,
            "payments.notification_service",
            "tap_notification_service",
            19,
            (Metric.BACKLOG, Metric.DEAD_LETTERS, Metric.OUTBOX_AGE, Metric.OVERDUE_AGE),
            ("/v1/events", "/v1/events/*", "/v1/webhook_endpoints", "/v1/webhook_endpoints/*", "/v1/notifications/*"),
        ),
        ServiceSpec(
            Service.TRANSACTION_PROCESSOR,
            "payments.transaction_processor",
            "tap_transaction_processor",
            21,
            (
                Metric.BACKLOG,
                Metric.PAYMENTS_APPROVED,
                Metric.PAYMENTS_DECLINED,
                Metric.UNKNOWN_ATTEMPTS,
                Metric.UNKNOWN_AGE,
                Metric.LEDGER_IMBALANCE,
                Metric.LEDGER_PROOF_FAULTS,
                Metric.LEDGER_UNSEALED_AGE,
                Metric.OVERDUE_AGE,
            ),
            ("/v1/balance*", "/v1/payouts*", "/v1/disputes*", "/v1/ledger/*"),
            is_called_by_services=True,
        ),
        ServiceSpec(Service.PAYMENT_API, "payments.payment_api", "tap_payment_api", 20, (Metric.BACKLOG, Metric.OVERDUE_AGE), ()),
    )
}
"""Routing order: the first service with a matching pattern takes the request; the one without patterns takes the rest."""


class DatabaseSecretField(StrEnum):
    """JSON fields of a secret that somebody logs in to the database with: its owner, or a service."""

    HOST = "host"
    """Of the writer's endpoint; whoever attaches the secret to its database writes it there."""
    USERNAME = "username"
    PASSWORD = "password"  # noqa: S105 - the name of a field


class ApiSecretField(StrEnum):
    """JSON fields of the services' own secrets, each 64 hexadecimal digits at first, in a secret of its own, so that each rotates by itself."""

    API_KEY_PEPPER = "api_key_pepper"
    INTERNAL_API_KEY = "internal_api_key"
    ENVELOPE_KEY = "envelope_key"
    SANDBOX_KEY = "sandbox_key"
    """What follows `sk_test_` in the API key with which releases are tried out, in test mode."""


DATABASE_NAME = "tap"
DATABASE_USER = "tap"
DATABASE_PORT = 5432
DATABASE_ENGINE_VERSION = "17.7"
"""Of Aurora PostgreSQL."""

API_KEY_PEPPER_VARIABLE = "TAP_API_KEY_PEPPER"
"""Where API keys are hashed: in the services, and in the command line that makes keys for them."""
ENVELOPE_KEY_VARIABLE = "TAP_ENVELOPE_KEY"
"""Where card numbers and secrets are sealed: in the services, and in the task that seals them anew."""

SECRET_VARIABLES: dict[str, ApiSecretField | DatabaseSecretField] = {
    "TAP_DATABASE_HOST": DatabaseSecretField.HOST,
    "TAP_DATABASE_USER": DatabaseSecretField.USERNAME,
    "TAP_DATABASE_PASSWORD": DatabaseSecretField.PASSWORD,
    API_KEY_PEPPER_VARIABLE: ApiSecretField.API_KEY_PEPPER,
    "TAP_INTERNAL_API_KEY": ApiSecretField.INTERNAL_API_KEY,
    ENVELOPE_KEY_VARIABLE: ApiSecretField.ENVELOPE_KEY,
}
"""Environment variables that are injected from secrets when a task starts."""

ACQUIRERS_TOML_VARIABLE = "TAP_ACQUIRERS_TOML"
"""What would stand in `acquirers.toml`, where it is injected instead of mounted: in payment-api and transaction-processor."""
ACQUIRER_SECRETS_VARIABLE = "TAP_ACQUIRER_SECRETS"
"""What the acquirers share with us, as JSON, by their names: in transaction-processor alone."""


class AcquirersField(StrEnum):
    """JSON fields of the secrets that `tap acquirers set` writes, each in a secret of its own, since not every service may read both."""

    CONFIGURATION = "configuration"
    SECRETS = "secrets"


ACQUIRERS_VARIABLES = {AcquirersField.CONFIGURATION: ACQUIRERS_TOML_VARIABLE, AcquirersField.SECRETS: ACQUIRER_SECRETS_VARIABLE}
NO_ACQUIRERS = {AcquirersField.CONFIGURATION: "# None yet: tap acquirers set", AcquirersField.SECRETS: "{}"}
"""What is in them at first."""
KNOWS_ACQUIRERS = {
    Service.PAYMENT_API: frozenset({AcquirersField.CONFIGURATION}),
    Service.TRANSACTION_PROCESSOR: frozenset(AcquirersField),
    Service.NOTIFICATION_SERVICE: frozenset[AcquirersField](),
}
"""What each service is given of them."""

DATABASE_SECRET_VARIABLE = "TAP_DATABASE_SECRET_ARN"  # noqa: S105 - the name of a variable
"""Where a process reads its password of the database again when it was rotated."""
SANDBOX_KEY_VARIABLE = "TAP_SANDBOX_KEY"
"""Injected into the migration task alone, which makes the sandbox's merchant know that key."""
SANDBOX_KEY_PREFIX = "sk_test_"

MIGRATION_MODULE = "payments.storage"
"""`python -m MODULE` brings the schema up to the code's; its other subcommands, such as `verify`, are one-off tasks, too."""

SERVE_TLS_VARIABLE = "TAP_SERVE_TLS"
"""With `true` a service speaks TLS on its port, with a certificate of its own making: what load balancers want of tasks."""
ALIVE_MODULE = "payments.runtime.alive"
"""`python -m MODULE` is a container's own health check."""
INTERNAL_NAME_VARIABLE = "TAP_TRANSACTION_PROCESSOR_SERVER_NAME"
"""Whose certificate the load balancer between the services shows, where it speaks TLS."""

WEBHOOK_PORTS = (80, 443, 8443)
"""Where webhooks may go on AWS: what the tasks' security group lets out, and what an endpoint's URL may name there."""
WEBHOOK_PORTS_VARIABLE = "TAP_WEBHOOK_PORTS"
RATE_LIMIT_VARIABLE = "TAP_RATE_LIMIT_WRITES"
WRITES_PER_SECOND_MAX = 1_000_000
"""Of one API key."""
FRAME_ANCESTORS_VARIABLE = "TAP_FRAME_ANCESTORS"
FRAME_ANCESTOR = re.compile(r"https?://(\*\.)?[A-Za-z0-9.-]+(:([0-9]{1,5}|\*))?")
"""An origin, or several by a wildcard, as a Content-Security-Policy names them."""
QUEUES_VARIABLE = "TAP_QUEUES"
"""Which queues, topics and buses of AWS's API keys may name: in notification-service alone, as are those of mail."""
QUEUES_ALLOWED = re.compile(r"arn:aws[a-z-]*:(sqs|sns|events):[A-Za-z0-9*-]+:[0-9*]{1,12}:[A-Za-z0-9._/*-]+")
"""ARNs, with `*` for anything."""
SMTP_URL_VARIABLE = "TAP_SMTP_URL"
"""The mail server, with the password."""
MAIL_FROM_VARIABLE = "TAP_MAIL_FROM"
MAIL_PORTS = (465, 587)
"""SMTP with TLS from the first byte, or by STARTTLS (RFC 8314)."""

DATABASE_CA_FILE = "/app/rds-global-bundle.pem"
"""Where the image has AWS's certificate authorities for databases."""
DATABASE_CA_SOURCE = Path(__file__).parents[1] / "storage" / "rds-global-bundle.pem"
"""Where the code has them."""


@dataclass(frozen=True, slots=True)
class Names:
    """What the parts of an environment are called on AWS: the infrastructure names them, and the `tap` command finds them."""

    environment: str

    @property
    def stack(self) -> str:
        """The CloudFormation stack that has the seven nested ones."""
        return f"TapStack{self.environment}"

    @property
    def cluster(self) -> str:
        """The ECS cluster, which shares its name with the load balancer and the dashboard."""
        return f"tap-{self.environment}"

    @property
    def internal_load_balancer(self) -> str:
        """What stands between the services."""
        return f"tap-{self.environment}-internal"

    @property
    def namespace(self) -> str:
        """The private DNS zone: `SERVICE.NAMESPACE` finds a service."""
        return f"tap-{self.environment}.internal"

    @property
    def migration_family(self) -> str:
        """The task definition of the migration task."""
        return f"tap-{self.environment}-migrate"

    @property
    def database_cluster(self) -> str:
        """The Aurora cluster."""
        return f"tap-{self.environment}"

    @property
    def hook_function(self) -> str:
        """The Lambda function that tries a release out; CodeDeploy's managed policy lets it call names that begin like this only."""
        return f"CodeDeployHook_tap-{self.environment}"

    @property
    def web_acl(self) -> str:
        """The firewall, in CloudWatch's metrics."""
        return f"tap-{self.environment}"

    def repository(self, service: Service) -> str:
        """The ECR repository of a service's images."""
        return f"tap-{self.environment}/{service}"

    def task_family(self, service: Service) -> str:
        """The task definition of a service, which shares its name with the CodeDeploy application and its deployment group."""
        return f"tap-{self.environment}-{service}"

    def target_group(self, service: Service, colour: Colour) -> str:
        """One of a service's two target groups; at most 32 characters."""
        short = {Service.PAYMENT_API: "api", Service.TRANSACTION_PROCESSOR: "processor", Service.NOTIFICATION_SERVICE: "notify"}
        return f"tap-{short[service]}-{colour}-{self.environment}"

    def log_group(self, service: Service) -> str:
        """Where a service's output goes."""
        return f"/tap/{self.environment}/{service}"


_ENVIRONMENT_CHARACTERS_MAX = 32 - max(len(Names("").target_group(service, colour)) for service in Service for colour in Colour)
"""Load balancers and target groups have names of at most 32 characters, and the environment ends them."""


def environment_mistake(environment: str) -> str | None:
    """Return what is wrong with an environment's name, in one line."""
    if re.fullmatch(r"[a-z][a-z0-9]*", environment) and len(environment) <= _ENVIRONMENT_CHARACTERS_MAX:
        return None
    return f"The environment suffix {environment!r} must be 1 to {_ENVIRONMENT_CHARACTERS_MAX} lower-case letters and digits, beginning with a letter."


RELEASED_IMAGE_PREFIX = "released-"
"""How a tag begins that an image is given when it comes into service: repositories keep these apart from what was only pushed."""

CONTAINER_PORT = 8080
"""The port that each service listens on in a container (`TAP_PORT` overrides it), and is called at by others."""
TRIAL_PORT = 8081
"""Where services call the copies of one that a release is tried out with; outside of a release, those that serve."""
TRIAL_HEADER = "Tap-Release-Check"
"""With it a call in test mode is carried out by the copies that a release is tried out with."""

PAGE_PATHS = ("/pay/*",)
"""What browsers open."""
SCRIPT_PATHS = ("/js/*", "/v3*")
"""What merchants' pages load of us: by HTTPS alone, since a page by HTTP could be told another address."""
PUBLIC_PATHS = ("/v1/*", *PAGE_PATHS, *SCRIPT_PATHS)
"""What the front door lets in at all; payment-api takes what no other service does."""

HEALTH_PATH = "/health"
"""200 when the process can do its work, its database included; 503 otherwise, with the names of what it can't. Not authenticated."""
LIVE_PATH = "/health/live"
"""503 when another process should take this one's place: something in it hangs. The database isn't asked, since no other process would have another one."""

INTERNAL_PATH_PREFIX = "/internal/"
"""Service-to-service calls; the front door never routes it."""


CHALLENGE_PATH = "/pay/authenticate/{mode}/{merchant}/{intent}"
"""The hosted 3-D Secure page of payment-api, which transaction-processor links to."""
CHALLENGE_PARAMETER = "challenge"
"""In the query of such a link: the attempt that asked for authentication. What the cardholder approves is what it was about, and nothing later."""
CHECKOUT_PATH = "/pay/c/{mode}/{merchant}/{session}/{secret}"
"""The page of a checkout session, on payment-api."""
PAYMENT_LINK_PATH = "/pay/l/{mode}/{merchant}/{link}"
"""The page of a payment link, likewise."""


def entered_by(path: str) -> Service:
    """Return the service that the front door leads a public request path to."""
    service = route(path)
    return Service.PAYMENT_API if SERVICES[service].is_called_by_services else service


def route(path: str) -> Service:
    """Return the service that answers a public request path."""
    for service, spec in SERVICES.items():
        for pattern in spec.path_patterns:
            if path == pattern or (pattern.endswith("*") and path.startswith(pattern[:-1])):
                return service
    return Service.PAYMENT_API
