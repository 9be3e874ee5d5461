"""What differs between environments. Nothing else asks which environment it is."""

import re
from dataclasses import dataclass
from math import ceil

from cryptography import x509

from payments.runtime.topology import DATABASE_CA_SOURCE, SERVICES, Architecture, Service, environment_mistake


class ConfigurationError(Exception):
    """Something that must be mended before synthesis; the message says how, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSize:
    """One service's tasks."""

    cpu: int
    """Fargate CPU units: 1024 are one vCPU, which is what one process of Python uses. With more the CPU's target would never be reached."""
    memory_mb: int
    """The least that Fargate has for so much CPU: what a service holds beyond its code grows with the requests that are under way."""
    tasks_min: int
    tasks_max: int
    spot_weight: int
    """Tasks on Fargate Spot per task on Fargate, beyond the base. Fixed once an environment is deployed: no update may touch a service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentSize:
    """The sizes of one environment."""

    nat_gateways: int
    interface_endpoints: bool
    database_readers: int
    database_acu_min: float
    """Aurora capacity units; at 0 the database pauses when nothing has a connection, which is when no task runs."""
    database_acu_max: float
    backup_days: int
    protected: bool
    """Data outlives the stack: deletion protection, final snapshot, retained repositories."""
    log_days: int
    architecture: Architecture
    """Of the tasks' processors, unless the context says another one. Images are built for it."""
    canary: bool
    """Traffic shifts by a canary; else all at once."""
    requests_per_five_minutes: int
    """What the firewall lets one address send. A merchant's servers share the address of a NAT gateway, so this stops floods and nothing finer."""
    payment_api: ServiceSize
    transaction_processor: ServiceSize
    notification_service: ServiceSize

    @property
    def services(self) -> dict[Service, ServiceSize]:
        """The sizes by service."""
        return {
            Service.NOTIFICATION_SERVICE: self.notification_service,
            Service.TRANSACTION_PROCESSOR: self.transaction_processor,
            Service.PAYMENT_API: self.payment_api,
        }

    @property
    def database_connections_many(self) -> int:
        """A tenth more than the services' own pools hold when all are scaled out as far as they may, in hundreds: above it somebody is told."""
        held = sum(SERVICES[service].connections_max * size.tasks_max for service, size in self.services.items())
        return 100 * ceil(1.1 * held / 100)


ENVIRONMENTS: dict[str, EnvironmentSize] = {
    "dev": EnvironmentSize(
        nat_gateways=1,
        interface_endpoints=False,
        database_readers=1,
        database_acu_min=0,
        database_acu_max=4,
        backup_days=14,
        protected=False,
        log_days=30,
        architecture=Architecture.X86_64,
        canary=False,
        requests_per_five_minutes=20_000,
        payment_api=ServiceSize(cpu=512, memory_mb=1024, tasks_min=1, tasks_max=4, spot_weight=2),
        transaction_processor=ServiceSize(cpu=512, memory_mb=1024, tasks_min=1, tasks_max=4, spot_weight=0),
        notification_service=ServiceSize(cpu=256, memory_mb=512, tasks_min=1, tasks_max=4, spot_weight=2),
    ),
    "staging": EnvironmentSize(
        nat_gateways=3,
        interface_endpoints=True,
        database_readers=1,
        database_acu_min=0.5,
        database_acu_max=8,
        backup_days=14,
        protected=False,
        log_days=90,
        architecture=Architecture.X86_64,
        canary=True,
        requests_per_five_minutes=100_000,
        payment_api=ServiceSize(cpu=1024, memory_mb=2048, tasks_min=2, tasks_max=8, spot_weight=2),
        transaction_processor=ServiceSize(cpu=1024, memory_mb=2048, tasks_min=2, tasks_max=8, spot_weight=0),
        notification_service=ServiceSize(cpu=512, memory_mb=1024, tasks_min=2, tasks_max=8, spot_weight=2),
    ),
    "prod": EnvironmentSize(
        nat_gateways=3,
        interface_endpoints=True,
        database_readers=2,
        database_acu_min=2,
        database_acu_max=64,
        backup_days=35,
        protected=True,
        log_days=365,
        architecture=Architecture.X86_64,
        canary=True,
        requests_per_five_minutes=600_000,
        payment_api=ServiceSize(cpu=1024, memory_mb=2048, tasks_min=3, tasks_max=30, spot_weight=2),
        transaction_processor=ServiceSize(cpu=1024, memory_mb=2048, tasks_min=3, tasks_max=30, spot_weight=0),
        notification_service=ServiceSize(cpu=1024, memory_mb=2048, tasks_min=3, tasks_max=20, spot_weight=2),
    ),
}


ZONES = 3
"""Of every network: the database's copies and the tasks outlive the loss of one."""
TWO_ZONE_REGIONS = frozenset({"us-west-1"})
"""Regions that offer an ordinary account two availability zones only."""


def size_of(environment: str) -> EnvironmentSize:
    """Return an environment's sizes; a suffix of its own (`test`, `pr123`) gets those of dev. Raises `ConfigurationError`."""
    if mistake := environment_mistake(environment):
        raise ConfigurationError(mistake)
    return ENVIRONMENTS.get(environment, ENVIRONMENTS["dev"])


def check_region(region: str | None) -> None:
    """Raise `ConfigurationError` for a region without three availability zones, or whose databases the images can't verify."""
    if region in TWO_ZONE_REGIONS:
        raise ConfigurationError(f"{region} has two availability zones, and Tap needs three. Choose another region.")
    if region is not None and region not in _verified_regions():
        raise ConfigurationError(
            f"{region} has no certificate authority in {DATABASE_CA_SOURCE.name}, so that no service could verify its database: it is mistyped, of another partition "
            "of AWS (GovCloud, China), or newer than the bundle, which docs/images.md tells how to renew."
        )


def _verified_regions() -> frozenset[str]:
    """The regions that the bundle's authorities are called after, "Amazon RDS eu-west-1 Root CA RSA2048 G1"."""
    authorities = x509.load_pem_x509_certificates(DATABASE_CA_SOURCE.read_bytes())
    return frozenset(
        found[1] for each in authorities if (found := re.search(r"Amazon RDS ([a-z0-9-]+) Root CA", each.subject.rfc4514_string()))
    )
