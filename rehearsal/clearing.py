"""Takes a trial's environment away again, with what its stack retains on purpose and what AWS's services made for it, and tells what is left.

Only an environment with a trial's name: two letters and six hexadecimal digits.
"""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import ClientError
from rich.console import Console

from payments.cli.aws.clients import Aws, error_code
from payments.cli.aws.environment import DeployedEnvironment
from payments.cli.data_directory import UsageError
from payments.runtime.topology import Names, Service

_TRIAL = re.compile(r"pr[0-9a-f]{6}")
_DELETIONS_MAX = 3
_DELETION_SECONDS_MAX = 5_400.0
"""The network interfaces of a function in the network go slowly."""
_LEFT_SECONDS_MAX = 900.0
"""What is gone is listed for some minutes still."""
_POLL_SECONDS = 15.0
_KEY_DAYS = 7
"""The shortest that AWS allows; a key that waits for its deletion costs nothing."""
_DELETABLE_AT_ONCE = ("CREATE_IN_PROGRESS", "REVIEW_IN_PROGRESS")
_boto3: Any = boto3  # its own annotations name clients whose types aren't installed


@dataclass(frozen=True, slots=True, kw_only=True)
class Clearing:
    """Clears one environment away."""

    aws: Aws
    names: Names
    console: Console
    tagging: Any
    kms: Any
    s3: Any
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        if not _TRIAL.fullmatch(self.names.environment):
            raise ValueError(f"{self.names.environment} isn't the name of a trial")

    def delete_stack(self) -> None:
        """Delete the stack as `cdk destroy` does, and once more when something kept it; raises `UsageError` when it stays."""
        for _ in range(_DELETIONS_MAX):
            if self._status_when_settled() is None:
                return
            self.console.print(f"Deleting {self.names.stack} …")
            self.aws.cloudformation.delete_stack(StackName=self.names.stack)
        status = self._status_when_settled()
        if status is not None:
            raise UsageError(f"{self.names.stack} is {status}: see its events in CloudFormation, and delete it by hand.")

    def _status_when_settled(self) -> str | None:
        deadline = time.monotonic() + _DELETION_SECONDS_MAX
        while True:
            status = DeployedEnvironment(self.aws, self.names).stack_status()
            if status is None or not status.endswith("_IN_PROGRESS") or status in _DELETABLE_AT_ONCE:
                return status
            if time.monotonic() > deadline:
                raise UsageError(f"{self.names.stack} is {status}, and doesn't get on: look at its events in CloudFormation.")
            self.sleep(_POLL_SECONDS)

    def remove_retained(self) -> None:
        """Remove what outlives the stack: the key, the access logs, the task definitions, and logs that AWS's services made."""
        for arn in self._tagged():
            if ":kms:" in arn and self._key_state(arn) != "PendingDeletion":
                self.kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=_KEY_DAYS)
            elif ":s3:::" in arn:
                self._remove_bucket(arn.rpartition(":")[2])
        for family in (self.names.migration_family, *map(self.names.task_family, Service)):
            pages = self.aws.ecs.get_paginator("list_task_definitions").paginate(familyPrefix=family, status="ACTIVE")
            for definition in [arn for page in pages for arn in page["taskDefinitionArns"]]:
                self.aws.ecs.deregister_task_definition(taskDefinition=definition)
        # CloudFormation's names begin with the stack's, ECS's with the cluster's, and RDS writes everything in small letters.
        for part in (self.names.stack, self.names.stack.lower(), self.names.cluster):
            pages = self.aws.logs.get_paginator("describe_log_groups").paginate(logGroupNamePattern=part)
            for group in [each.get("logGroupName", "") for page in pages for each in page["logGroups"]]:
                self.aws.logs.delete_log_group(logGroupName=group)

    def left(self) -> list[str]:
        """Return what there is still with the environment's tags, and may cost something."""
        deadline = time.monotonic() + _LEFT_SECONDS_MAX
        while True:
            left = [arn for arn in self._tagged() if not self._is_free(arn)]
            if not left or time.monotonic() > deadline:
                return left
            self.sleep(_POLL_SECONDS)

    def _tagged(self) -> Iterator[str]:
        wanted = [{"Key": "application", "Values": ["tap"]}, {"Key": "environment", "Values": [self.names.environment]}]
        for page in self.tagging.get_paginator("get_resources").paginate(TagFilters=wanted):
            yield from (each["ResourceARN"] for each in page["ResourceTagMappingList"])

    def _is_free(self, arn: str) -> bool:
        return ":task-definition/" in arn or (":kms:" in arn and self._key_state(arn) == "PendingDeletion")

    def _key_state(self, arn: str) -> str:
        return str(self.kms.describe_key(KeyId=arn)["KeyMetadata"]["KeyState"])

    def _remove_bucket(self, name: str) -> None:
        """Empty and delete it; the load balancer may write its last log after it is gone, and what is deleted is listed for a while."""
        for attempt in range(_DELETIONS_MAX):
            try:
                self._empty_bucket(name)
                self.s3.delete_bucket(Bucket=name)
            except ClientError as failure:
                if error_code(failure) == "NoSuchBucket":
                    return
                if error_code(failure) != "BucketNotEmpty" or attempt == _DELETIONS_MAX - 1:
                    raise
                self.sleep(_POLL_SECONDS)
            else:
                return

    def _empty_bucket(self, name: str) -> None:
        for page in self.s3.get_paginator("list_object_versions").paginate(Bucket=name):
            every = [each for kind in ("Versions", "DeleteMarkers") for each in page.get(kind, [])]
            if found := [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in every]:
                self.s3.delete_objects(Bucket=name, Delete={"Objects": found, "Quiet": True})


def clearing(aws: Aws, names: Names, console: Console) -> Clearing:
    """Return what clears an environment of this account and region away."""

    def client(service: str) -> Any:
        return _boto3.client(service, region_name=aws.region)

    return Clearing(aws=aws, names=names, console=console, tagging=client("resourcegroupstaggingapi"), kms=client("kms"), s3=client("s3"))
