"""How CodeDeploy moves traffic: the predefined deployment configurations of ECS, as steps.

AWS: "Working with deployment configurations in CodeDeploy", compute platform Amazon ECS.
"""

import re
from dataclasses import dataclass
from typing import Any


class UnknownConfiguration(Exception):
    """No Deployment Configuration found for this name."""


@dataclass(frozen=True, slots=True)
class TrafficStep:
    """A share of the traffic, and how long it stays so."""

    percent: int
    minutes: float


_CANARY = re.compile(r"CodeDeployDefault\.ECSCanary(\d+)Percent(\d+)Minutes")
_LINEAR = re.compile(r"CodeDeployDefault\.ECSLinear(\d+)PercentEvery(\d+)Minutes?")
ALL_AT_ONCE = "CodeDeployDefault.ECSAllAtOnce"


def traffic_steps(configuration: str) -> tuple[TrafficStep, ...]:
    """Return the steps of a configuration, the last of which is all of the traffic."""
    if configuration == ALL_AT_ONCE:
        return (TrafficStep(100, 0),)
    if match := _CANARY.fullmatch(configuration):
        return TrafficStep(int(match[1]), int(match[2])), TrafficStep(100, 0)
    if match := _LINEAR.fullmatch(configuration):
        percent, minutes = int(match[1]), int(match[2])
        return (*(TrafficStep(share, minutes) for share in range(percent, 100, percent)), TrafficStep(100, 0))
    raise UnknownConfiguration(f"No Deployment Configuration found for name: {configuration}")


def routing(configuration: str) -> dict[str, Any]:
    """Return a configuration as GetDeploymentConfig's `trafficRoutingConfig` tells it."""
    steps = traffic_steps(configuration)
    first = steps[0]
    if len(steps) == 1:
        return {"type": "AllAtOnce"}
    if _CANARY.fullmatch(configuration):
        return {"type": "TimeBasedCanary", "timeBasedCanary": {"canaryPercentage": first.percent, "canaryInterval": int(first.minutes)}}
    return {"type": "TimeBasedLinear", "timeBasedLinear": {"linearPercentage": first.percent, "linearInterval": int(first.minutes)}}
