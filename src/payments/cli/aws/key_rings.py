"""The rings of keys of an environment on AWS: in Secrets Manager, injected when a task starts."""

from datetime import datetime
from typing import Any

import msgspec

from payments.cli.aws.environment import DeployedEnvironment
from payments.cli.aws.storage_tasks import StorageTasks
from payments.cli.data_directory import UsageError
from payments.cli.key_rings import Purpose
from payments.runtime.topology import API_KEY_PEPPER_VARIABLE, ENVELOPE_KEY_VARIABLE, SERVICES
from payments.storage.envelope_tasks import EnvelopeEvent, EnvelopeTask
from payments.storage.resealing import KeyUse, Resealed

_VARIABLES = {Purpose.ENVELOPE: ENVELOPE_KEY_VARIABLE, Purpose.PEPPER: API_KEY_PEPPER_VARIABLE}


class AwsPlace:
    """An environment."""

    def __init__(self, deployed: DeployedEnvironment, tasks: StorageTasks) -> None:
        """Read and change secrets as whoever is logged in, and ask the database by tasks."""
        self._deployed, self._tasks = deployed, tasks
        environment = deployed.names.environment
        self.restart = f"Release each service with the image that it runs, so that all its tasks are new: tap release SERVICE --environment {environment} --image TAG."

    def read(self, purpose: Purpose) -> str:
        """Return a ring as text; raises `UsageError` where there is none."""
        return self._deployed.injected_secret(_VARIABLES[purpose])

    def write(self, purpose: Purpose, text: str) -> None:
        """Keep a ring; the one before it is its secret's previous version."""
        self._deployed.replace_secret(_VARIABLES[purpose], text)

    def outdated(self, purpose: Purpose) -> list[str]:
        """Name the services of which tasks run that were made before the ring was written last: old ones that a release keeps, too."""
        written = self._deployed.secret_changed_at(_VARIABLES[purpose])
        return [
            f"A task of {service}"
            for service in SERVICES
            if any(each <= written for each in self._made_at(self._deployed.names.task_family(service)))
        ]

    def _made_at(self, family: str) -> list[datetime]:
        ecs, cluster = self._deployed.aws.ecs, self._deployed.names.cluster
        found: list[datetime] = []
        for desired in ("RUNNING", "STOPPED"):  # the latter may still be at work
            for page in ecs.get_paginator("list_tasks").paginate(cluster=cluster, family=family, desiredStatus=desired):
                if page["taskArns"]:
                    tasks: list[Any] = list(ecs.describe_tasks(cluster=cluster, tasks=page["taskArns"])["tasks"])
                    found += [each["createdAt"] for each in tasks if each.get("lastStatus") != "STOPPED"]
        return found

    def uses(self) -> list[KeyUse]:
        """Count what there is under each key, by a task."""
        done = self._tasks.run(EnvelopeTask.USES)
        uses = [msgspec.convert(event, KeyUse) for event in done if event["event"] == EnvelopeEvent.USE]
        if next((event["count"] for event in done if event["event"] == EnvelopeEvent.USES), None) != len(uses):
            raise UsageError("Not all of the task's lines have arrived in its log yet: try again.")
        return uses

    def reseal(self) -> Resealed:
        """Seal anew what isn't under the envelope key in use, by a task."""
        done = next((event for event in self._tasks.run(EnvelopeTask.RESEAL) if event["event"] == EnvelopeEvent.RESEALED), None)
        if done is None:
            raise UsageError("It is done, but the task's line hasn't arrived in its log yet: run this again.")
        return msgspec.convert(done, Resealed)

    def command(self, *arguments: object) -> str:
        """Return a `tap` command about the environment."""
        return " ".join(map(str, ("tap", *arguments, "--environment", self._deployed.names.environment)))
