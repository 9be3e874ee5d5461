"""What differs between environments. Nothing else asks which environment it is."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from payments.runtime.topology import Colour, Service

SUFFIX_CHARACTERS_MAX = 8
"""Load balancers and target groups have names of at most 32 characters, and the suffix ends them."""


class ConfigurationError(Exception):
    """Something that must be mended before synthesis; the message says how, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSize:
    """One service's tasks."""

    cpu: int
    """Fargate CPU units: 1024 are one vCPU."""
    memory_mb: int
    tasks_min: int
    tasks_max: int
    spot_weight: int
    """Tasks on Fargate Spot per task on Fargate, beyond the base."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentSize:
    """The sizes of one environment."""

    nat_gateways: int
    interface_endpoints: bool
    database_readers: int
    database_acu_min: float
    """Aurora capacity units; 0 pauses the database when nobody uses it."""
    database_acu_max: float
    backup_days: int
    protected: bool
    """Data outlives the stack: deletion protection, final snapshot, retained repositories."""
    log_days: int
    canary: bool
    """Traffic shifts by a canary; else all at once."""
    payment_api: ServiceSize
    transaction_processor: ServiceSize
    notification_service: ServiceSize


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
        canary=False,
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
        canary=True,
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
        canary=True,
        payment_api=ServiceSize(cpu=2048, memory_mb=4096, tasks_min=3, tasks_max=30, spot_weight=2),
        transaction_processor=ServiceSize(cpu=2048, memory_mb=4096, tasks_min=3, tasks_max=30, spot_weight=0),
        notification_service=ServiceSize(cpu=1024, memory_mb=2048, tasks_min=3, tasks_max=20, spot_weight=2),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """How things are in a running environment, which an update of the stack must not change."""

    serving: Mapping[Service, Colour] = field(default_factory=dict[Service, Colour])
    """The target group that serves, where it isn't blue."""
    tasks: Mapping[Service, int] = field(default_factory=dict[Service, int])
    """What auto scaling has made of the number of tasks."""
    paused: bool = False
    """No task runs: the first pass of a first deployment, before there are images to run."""

    def task_range(self, service: Service, size: ServiceSize) -> tuple[int, int]:
        """Return how many tasks a service has at least and now."""
        if self.paused:
            return 0, 0
        return size.tasks_min, min(max(self.tasks.get(service, 0), size.tasks_min), size.tasks_max)


def read_live(text: str | None, *, paused: bool) -> Live:
    """Read the context's `live`, `{"payment-api": {"colour": "green", "tasks": 4}}`; raises `ConfigurationError`."""
    try:
        services = {Service(name): cast("dict[str, Any]", state) for name, state in json.loads(text or "{}").items()}
        return Live(
            serving={service: Colour(state["colour"]) for service, state in services.items() if "colour" in state},
            tasks={service: int(state["tasks"]) for service, state in services.items() if "tasks" in state},
            paused=paused,
        )
    except (ValueError, TypeError, AttributeError):
        raise ConfigurationError(
            """The context's `live` must be like {"payment-api": {"colour": "green", "tasks": 4}}; `tap deploy` fills it in."""
        ) from None


TWO_ZONE_REGIONS = frozenset({"us-west-1", "cn-north-1"})
"""Regions that offer an ordinary account two availability zones only."""


def size_of(environment: str) -> EnvironmentSize:
    """Return an environment's sizes; a suffix of its own (`prx12`) gets those of dev. Raises `ConfigurationError`."""
    if not re.fullmatch(r"[a-z][a-z0-9]*", environment) or len(environment) > SUFFIX_CHARACTERS_MAX:
        raise ConfigurationError(
            f"The environment suffix '{environment}' must be 1 to {SUFFIX_CHARACTERS_MAX} lower-case letters and digits, beginning with a letter."
        )
    if environment in ENVIRONMENTS:
        return ENVIRONMENTS[environment]
    if environment.startswith("pr"):
        return ENVIRONMENTS["dev"]
    raise ConfigurationError(f"There is no environment '{environment}': choose one of {', '.join(ENVIRONMENTS)}, or pr… for a preview.")


def check_region(region: str | None) -> None:
    """Raise `ConfigurationError` for a region without three availability zones."""
    if region in TWO_ZONE_REGIONS:
        raise ConfigurationError(f"{region} has two availability zones, and Tap needs three. Choose another region.")
