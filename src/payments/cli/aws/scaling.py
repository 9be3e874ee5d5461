"""A service doesn't scale while a release moves its traffic.

ECS and CodeDeploy each count tasks then, and what auto scaling adds in between has been counted twice (aws/containers-roadmap issue 525), or has failed the
deployment. It scales again when the new tasks have all traffic, or the old ones have it back; if nobody watches any more, a function of the environment's own
sees to that when the deployment ends (`lib/hooks/resume_scaling.py`).
Source: ECS, "CodeDeploy blue/green deployments for Amazon ECS", considerations; Application Auto Scaling, "Suspend and resume scaling".
"""

from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape

from payments.cli.aws.clients import Aws
from payments.runtime.topology import Names


@dataclass(frozen=True, slots=True)
class Scaling:
    """Of one service, by what ECS calls it."""

    aws: Aws
    names: Names
    ecs_service: str
    console: Console

    def suspend(self) -> None:
        """Let it neither scale out nor in; where that isn't permitted, a release goes on without."""
        self._set(suspended=True)

    def resume(self) -> None:
        """Let it scale again."""
        self._set(suspended=False)

    def _set(self, *, suspended: bool) -> None:
        try:
            self.aws.scaling.register_scalable_target(
                ServiceNamespace="ecs",
                ResourceId=f"service/{self.names.cluster}/{self.ecs_service}",
                ScalableDimension="ecs:service:DesiredCount",
                SuspendedState={"DynamicScalingInSuspended": suspended, "DynamicScalingOutSuspended": suspended},
            )
        except (ClientError, BotoCoreError) as failure:
            left = "goes on during the release" if suspended else "begins again only when the deployment has ended"
            self.console.print(f"[yellow]Auto scaling of {self.ecs_service} {left}:[/yellow] {escape(str(failure))}")
