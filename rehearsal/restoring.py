"""The steps of docs/disaster-recovery.md, "A point in time of the database": rows are destroyed, and the database is put back, beside and then in place."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from payments.cli.aws.one_off import run_one_off
from payments.runtime.topology import MIGRATION_MODULE, SERVICES, Service
from rehearsal.operating import Operator, RehearsalFailed

_DESTROY = ("SET session_replication_role = replica", "DELETE FROM ledger.transfers WHERE kind = 'capture'", "DELETE FROM payments.charges")
"""As somebody does who knows how to get past the triggers that refuse it."""
_RESTORED, _DAMAGED = "-restored", "-damaged"


@dataclass(frozen=True, slots=True)
class Restoring:
    """Restores an environment's database, while nobody pays."""

    operator: Operator

    def destroy_rows(self) -> datetime:
        """Destroy some; returns the time until when all was well."""
        well = datetime.now(UTC)
        self.operator.stage.as_database_owner(*_DESTROY)
        return well

    def see_the_damage(self) -> None:
        """Or a proof after the restore would show nothing."""
        if self.operator.run("verify") == 0:
            raise RehearsalFailed("rows are gone, and tap verify finds nothing")

    def restore_beside(self, time: datetime) -> None:
        """A cluster as it was at a time, with as many instances; proven by a task that is told its name."""
        rds, cluster = self.operator.aws.rds, self._cluster
        restored = rds.restore_db_cluster_to_point_in_time(
            SourceDBClusterIdentifier=cluster, DBClusterIdentifier=cluster + _RESTORED, RestoreToTime=time
        )["DBCluster"]
        instances = [f"{cluster}{_RESTORED}-{number + 1}" for number, _ in enumerate(self._instances(cluster))]
        for instance in instances:
            rds.create_db_instance(
                DBClusterIdentifier=cluster + _RESTORED,
                DBInstanceIdentifier=instance,
                DBInstanceClass="db.serverless",
                Engine="aurora-postgresql",
            )
        self.operator.until(lambda: self._are_available(instances), "the restored cluster is available")
        rds.modify_db_cluster(DBClusterIdentifier=cluster + _RESTORED, MasterUserPassword=self._password(), ApplyImmediately=True)
        self._verify_at(restored.get("Endpoint", ""))

    def stop_writing(self) -> None:
        """Step 1: no service scales, and no task is left."""
        for service in SERVICES:
            self._suspend(service, suspended=True)
            self.operator.aws.ecs.update_service(cluster=self.operator.names.cluster, service=self._ecs_service(service), desiredCount=0)
        self.operator.until(lambda: not any(self.operator.service(each).running for each in SERVICES), "no task runs")

    def exchange(self) -> None:
        """Steps 2, 4 and 5: a snapshot of what is damaged, then each gets the other's name."""
        rds, cluster = self.operator.aws.rds, self._cluster
        rds.create_db_cluster_snapshot(DBClusterIdentifier=cluster, DBClusterSnapshotIdentifier=cluster + _DAMAGED)
        before, instances = self._described(cluster), self._instances(cluster)
        self._rename(cluster, cluster + _DAMAGED, [f"{each}{_DAMAGED}" for each in instances])
        self._rename(cluster + _RESTORED, cluster, instances)
        after = self._described(cluster)
        if after["Endpoint"] != before["Endpoint"]:
            raise RehearsalFailed(f"the restored cluster is {after['Endpoint']}, the old one was {before['Endpoint']}")
        rds.modify_db_cluster(DBClusterIdentifier=cluster, DeletionProtection=True, ApplyImmediately=True)

    def scale_again(self) -> None:
        """The end of step 6: auto scaling goes on."""
        for service in SERVICES:
            self._suspend(service, suspended=False)

    def drop_what_was_damaged(self) -> None:
        """When nobody needs it any more."""
        rds, damaged = self.operator.aws.rds, self._cluster + _DAMAGED
        rds.modify_db_cluster(DBClusterIdentifier=damaged, DeletionProtection=False, ApplyImmediately=True)
        for instance in self._instances(damaged):
            rds.delete_db_instance(DBInstanceIdentifier=instance, SkipFinalSnapshot=True)
        rds.delete_db_cluster(DBClusterIdentifier=damaged, SkipFinalSnapshot=True)

    def _rename(self, cluster: str, name: str, instances: list[str]) -> None:
        rds, named = self.operator.aws.rds, self._instances(cluster)
        rds.modify_db_cluster(DBClusterIdentifier=cluster, NewDBClusterIdentifier=name, ApplyImmediately=True)
        for old, new in zip(named, instances, strict=True):
            rds.modify_db_instance(DBInstanceIdentifier=old, NewDBInstanceIdentifier=new, ApplyImmediately=True)

    @property
    def _cluster(self) -> str:
        return self.operator.names.database_cluster

    def _described(self, cluster: str) -> dict[str, Any]:
        (told,) = self.operator.aws.rds.describe_db_clusters(DBClusterIdentifier=cluster)["DBClusters"]
        return dict(told)

    def _instances(self, cluster: str) -> list[str]:
        """Return the instances of a cluster, the writer first."""
        members = sorted(self._described(cluster)["DBClusterMembers"], key=lambda each: not each["IsClusterWriter"])
        return [each["DBInstanceIdentifier"] for each in members]

    def _are_available(self, instances: list[str]) -> bool:
        told = self.operator.aws.rds.describe_db_instances()["DBInstances"]
        return {each.get("DBInstanceIdentifier") for each in told if each.get("DBInstanceStatus") == "available"}.issuperset(instances)

    def _password(self) -> str:
        """Return the owner's, by the secret that the migration task is given."""
        definition = self.operator.aws.ecs.describe_task_definition(taskDefinition=self.operator.names.migration_family)["taskDefinition"]
        secrets: list[Any] = list(definition.get("containerDefinitions", [{}])[0].get("secrets", []))
        arn = next(each["valueFrom"] for each in secrets if each["name"] == "TAP_DATABASE_PASSWORD").split(":password:")[0]
        return str(json.loads(self.operator.aws.secrets.get_secret_value(SecretId=arn)["SecretString"])["password"])

    def _verify_at(self, host: str) -> None:
        names = self.operator.names
        done = run_one_off(
            self.operator.aws,
            names,
            names.migration_family,
            self.operator.service(Service.PAYMENT_API).network,
            command=["env", f"TAP_DATABASE_HOST={host}", "python", "-m", MIGRATION_MODULE, "verify"],
            poll_seconds=1.0,
        )
        if done.exit_code:
            raise RehearsalFailed(f"the restored cluster isn't in order: {done.lines[-1:]}")

    def _ecs_service(self, service: Service) -> str:
        return self.operator.service(service).ecs_service

    def _suspend(self, service: Service, *, suspended: bool) -> None:
        self.operator.aws.scaling.register_scalable_target(
            ServiceNamespace="ecs",
            ResourceId=f"service/{self.operator.names.cluster}/{self._ecs_service(service)}",
            ScalableDimension="ecs:service:DesiredCount",
            SuspendedState={
                "DynamicScalingInSuspended": suspended,
                "DynamicScalingOutSuspended": suspended,
                "ScheduledScalingSuspended": suspended,
            },
        )
