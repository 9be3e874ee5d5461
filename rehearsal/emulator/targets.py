"""Targets of target groups: who is registered, and who is healthy.

Each target is checked as its group says: protocol, path, port, codes, thresholds; the interval is scaled as minutes are, the time-out isn't. A new
target is healthy after one good answer, as on AWS. A target that leaves is `draining` until its group's deregistration delay is over, and
gets no new request. Without an engine a registered target is healthy: only tasks that run are registered.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from xml.sax.saxutils import escape

from rehearsal.emulator import forwarding, loops, upstream
from rehearsal.emulator.settings import SETTINGS
from rehearsal.emulator.upstream import Answer, Record

_TICK_SECONDS = 0.2
_SECONDS_PER_MINUTE = 60


class Health(StrEnum):
    """ELB's words."""

    INITIAL = "initial"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    DRAINING = "draining"


_REASONS = {
    Health.INITIAL: ("Elb.RegistrationInProgress", "Target registration is in progress"),
    Health.UNHEALTHY: ("Target.FailedHealthChecks", "Health checks failed"),
    Health.DRAINING: ("Target.DeregistrationInProgress", "Target deregistration is in progress"),
}


@dataclass(slots=True)
class _Target:
    health: Health
    next_check_at: float
    good: int = 0
    bad: int = 0
    being_checked: bool = False
    draining_until: float = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Address:
    """A target of a group."""

    group: str
    """The target group's ARN."""
    host: str
    port: int


class TargetHealth:
    """Watches over every target of every group."""

    def __init__(self) -> None:
        self._targets: dict[Address, _Target] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="tap-health")

    def start(self) -> None:
        """Begin to check, for as long as the process lives."""
        loops.forever("target-health", lambda: self.tick(time.monotonic()), seconds=_TICK_SECONDS)

    def tick(self, now: float) -> None:
        """Take note of who came and went, and start the checks that are due."""
        alb = _alb()
        registered: dict[Address, Record] = {}
        for (account, region, arn), group in alb._tgs.all_items():
            with upstream.scope(account, region):
                for target in list(alb._targets.get(arn, [])):
                    registered[Address(arn, str(target["Id"]), int(target.get("Port") or group["Port"]))] = group
        with self._lock:
            self._note_changes(registered, now)
            due = [
                (address, group)
                for address, group in registered.items()
                if not (each := self._targets[address]).being_checked and each.next_check_at <= now
            ]
            for address, _ in due:
                self._targets[address].being_checked = True
        for address, group in due:
            self._pool.submit(self._check, address, group)

    def _note_changes(self, registered: dict[Address, Record], now: float) -> None:
        for address in registered:
            known = self._targets.get(address)
            if known is None or known.health is Health.DRAINING:
                self._targets[address] = _Target(Health.INITIAL, now)
        for address, known in list(self._targets.items()):
            if address in registered:
                continue
            if known.health is not Health.DRAINING:
                known.health, known.draining_until = Health.DRAINING, now + drain_seconds(address.group)
            elif known.draining_until <= now:
                del self._targets[address]

    def _check(self, address: Address, group: Record) -> None:
        problem = "" if not upstream.has_engine() else _probe(address, group)
        interval = max(SETTINGS.health_interval_seconds_min, SETTINGS.scaled(group["HealthCheckIntervalSeconds"] / _SECONDS_PER_MINUTE))
        with self._lock:
            target = self._targets.get(address)
            if target is None or target.health is Health.DRAINING:
                return
            target.being_checked, target.problem = False, problem
            target.good, target.bad = (0, target.bad + 1) if problem else (target.good + 1, 0)
            if target.health is Health.INITIAL:
                # A task that starts up refuses connections for a while: it is looked at often, and isn't unhealthy yet.
                interval = _TICK_SECONDS
            target.next_check_at = time.monotonic() + interval
            if target.good >= (1 if target.health is Health.INITIAL else group["HealthyThresholdCount"]):
                target.health = Health.HEALTHY
            elif target.bad * interval >= group["UnhealthyThresholdCount"] * SETTINGS.health_interval_seconds_min:
                target.health = Health.UNHEALTHY

    def health(self, address: Address) -> Health:
        """Return a target's health; one that nobody has looked at yet is `initial`."""
        with self._lock:
            known = self._targets.get(address)
            return known.health if known else Health.INITIAL

    def served_by(self, group: str) -> list[Address]:
        """Return those targets of a group that get requests: healthy and registered still; where none is healthy, those that are unhealthy."""
        members = {(str(each["Id"]), int(each.get("Port") or 0)) for each in _alb()._targets.get(group, [])}
        with self._lock:
            registered = [
                (address, target.health)
                for address, target in self._targets.items()
                if address.group == group and (address.host, address.port) in members
            ]
        healthy = [address for address, health in registered if health is Health.HEALTHY]
        return healthy or [address for address, health in registered if health is Health.UNHEALTHY]

    def describe(self, group: str) -> list[tuple[Address, Health, str]]:
        """Return all targets of a group, those that drain included, with what is wrong with them."""
        with self._lock:
            known = {address: (target.health, target.problem) for address, target in self._targets.items() if address.group == group}
        for each in _alb()._targets.get(group, []):
            known.setdefault(Address(group, str(each["Id"]), int(each["Port"])), (Health.INITIAL, ""))
        return [(address, health, problem) for address, (health, problem) in known.items()]


def _alb() -> Any:
    return upstream.module("services.alb")


def drain_seconds(group: str) -> float:
    """Return a group's deregistration delay in scaled seconds."""
    attributes = {each["Key"]: each["Value"] for each in _alb()._tg_attrs.get(group, [])}
    return SETTINGS.scaled(float(attributes.get("deregistration_delay.timeout_seconds", "300")) / _SECONDS_PER_MINUTE)


def _probe(address: Address, group: Record) -> str:
    """Return what is wrong with a target; nothing if it is well."""
    port = address.port if group["HealthCheckPort"] == "traffic-port" else int(group["HealthCheckPort"])
    connection = forwarding.connect(
        address.host, port, group["HealthCheckProtocol"], timeout_seconds=float(group["HealthCheckTimeoutSeconds"])
    )
    try:
        connection.request("GET", group["HealthCheckPath"], headers={"User-Agent": "ELB-HealthChecker/2.0"})
        status = connection.getresponse().status
    except Exception as problem:  # noqa: BLE001 - whatever it is, the target isn't well, and is to be asked again
        return f"Request failed: {type(problem).__name__} {problem}"
    finally:
        connection.close()
    return (
        ""
        if _matches(status, str((group.get("Matcher") or {}).get("HttpCode", "200")))
        else f"Health checks failed with these codes: [{status}]"
    )


def _matches(status: int, codes: str) -> bool:
    for part in codes.split(","):
        first, _, last = part.strip().partition("-")
        if int(first) <= status <= int(last or first):
            return True
    return False


HEALTH = TargetHealth()
"""One process, one watch."""


def install() -> None:
    """Let DescribeTargetHealth tell the truth."""

    def describe_target_health(params: Record) -> Answer:
        alb = _alb()
        group = alb._p(params, "TargetGroupArn")
        if group not in alb._tgs:
            return alb._error("TargetGroupNotFound", f"Target group '{group}' not found.")
        wanted = {each["Id"] for each in alb._parse_targets_param(params)}
        told = [_tell(*each) for each in HEALTH.describe(group) if not wanted or each[0].host in wanted]
        return alb._xml(200, "DescribeTargetHealth", f"<TargetHealthDescriptions>{''.join(told)}</TargetHealthDescriptions>")

    upstream.replace(_alb(), "_describe_target_health", describe_target_health)


def _tell(address: Address, health: Health, problem: str) -> str:
    code, description = _REASONS.get(health, ("", ""))
    details = f"<Reason>{code}</Reason><Description>{escape(problem or description)}</Description>" if code else ""
    return (
        f"<member><Target><Id>{address.host}</Id><Port>{address.port}</Port></Target><HealthCheckPort>{address.port}</HealthCheckPort>"
        f"<TargetHealth><State>{health}</State>{details}</TargetHealth></member>"
    )
