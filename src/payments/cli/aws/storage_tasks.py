"""One-off tasks of `python -m payments.storage` on AWS: what is told to them, what they log, and one line for what goes wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from payments.cli.aws.environment import DeployedEnvironment
from payments.cli.aws.one_off import Finished, events, run_one_off
from payments.cli.data_directory import UsageError
from payments.runtime.topology import MIGRATION_MODULE, Service

_ARGUMENTS_REFUSED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageTasks:
    """Runs tasks in one environment."""

    deployed: DeployedEnvironment
    network: Mapping[str, Any]
    poll_seconds: float

    @staticmethod
    def of(deployed: DeployedEnvironment, poll_seconds: float) -> "StorageTasks":
        """Find where tasks run; raises `UsageError` unless the environment is there. It may be being changed: a key that was seen can't wait for that."""
        deployed.check_there(may_change=True)
        return StorageTasks(deployed=deployed, network=deployed.service(Service.PAYMENT_API).network, poll_seconds=poll_seconds)

    def run(self, task: str, order: msgspec.Struct | None = None) -> list[dict[str, Any]]:
        """Run a task, and return what it logged; raises `UsageError` with its own message where it failed."""
        aws, names = self.deployed.aws, self.deployed.names
        command = ["python", "-m", MIGRATION_MODULE, task, *([] if order is None else [msgspec.json.encode(order).decode()])]
        done = run_one_off(aws, names, names.migration_family, self.network, command=command, poll_seconds=self.poll_seconds)
        if done.exit_code != 0:
            raise UsageError(self._explain(done))
        return events(done.lines)

    def _explain(self, done: Finished) -> str:
        name, failures = self.deployed.names.environment, [event for event in events(done.lines) if event["event"] == "error"]
        if failures:
            return str(failures[-1].get("message") or f"The task failed: {failures[-1].get('kind')}. Its log says where.")
        if done.exit_code == _ARGUMENTS_REFUSED:
            return f"The code that is deployed doesn't know such a task, or such an order: tap release payment-api --environment {name}"
        return f"The task ended with exit status {done.exit_code}, and its log doesn't say why."
