"""Aurora: with an engine each DB instance is a real PostgreSQL, the readers following the writer by streaming replication.

The endpoint's name is an alias of the writer's container; its certificate comes from the rehearsal's authority, if one is given. The image
is `postgres:<major>-alpine` by name. Without an engine clusters and instances are records.
"""

import time
from typing import Any

from rehearsal.emulator import cloudformation, restores, upstream
from rehearsal.emulator.cloudformation import Created, ResourceFailed
from rehearsal.emulator.settings import SETTINGS
from rehearsal.emulator.upstream import Record

SERVERLESS_ZONES = "bcd"
"""Letters of the zones that have Aurora Serverless."""
_START_SECONDS_MAX = 120
_CLUSTER_TEXTS = (
    "Engine",
    "EngineVersion",
    "MasterUsername",
    "MasterUserPassword",
    "DatabaseName",
    "DBSubnetGroupName",
    "KmsKeyId",
    "VpcSecurityGroupIds",
    "DBClusterParameterGroupName",
    "PreferredBackupWindow",
)


def _rds() -> Any:
    return upstream.module("services.rds")


def _serverless_zones() -> None:
    """Have Aurora Serverless, which ministack doesn't list, in all zones but the first: who takes the first three zones that there are is found out."""
    original: Any = None

    def describe(params: Record) -> Any:
        rds = _rds()
        if rds._p(params, "DBInstanceClass") != "db.serverless":
            return original(params)
        zones = "".join(f"<AvailabilityZone><Name>{upstream.region()}{letter}</Name></AvailabilityZone>" for letter in SERVERLESS_ZONES)
        told = "".join(f"<{name}>{rds._p(params, name)}</{name}>" for name in ("Engine", "EngineVersion", "DBInstanceClass"))
        option = (
            f"<OrderableDBInstanceOption>{told}<AvailabilityZones>{zones}</AvailabilityZones><Vpc>true</Vpc></OrderableDBInstanceOption>"
        )
        body = f"<OrderableDBInstanceOptions>{option}</OrderableDBInstanceOptions>"
        result = f"<DescribeOrderableDBInstanceOptionsResult>{body}</DescribeOrderableDBInstanceOptionsResult>"
        return rds._xml(200, "DescribeOrderableDBInstanceOptionsResponse", result)

    original = upstream.replace(_rds(), "_describe_orderable_options", describe)


def install() -> None:
    """Let CloudFormation start databases, if there is an engine."""
    _serverless_zones()
    if SETTINGS.database_certificate and SETTINGS.database_key:
        material = SETTINGS.database_certificate.read_text(), SETTINGS.database_key.read_text()
        upstream.replace(_rds(), "_pg_server_material", lambda _names, _addresses: material)
    _protect()
    if not upstream.has_engine():
        return
    _keep_inside()
    _label()
    # A reader is started past its image's entry point, and would drop what makes it speak TLS.
    script = str(_rds()._PG_READER_BOOTSTRAP_SCRIPT)
    start = 'install -d -o postgres /var/run/postgresql\nexec gosu postgres postgres "$@"'
    _rds()._PG_READER_BOOTSTRAP_SCRIPT = script.replace("exec gosu postgres postgres", start)
    for kind, create, delete in (("Cluster", _create_cluster, _delete_cluster), ("Instance", _create_instance, _delete_instance)):
        update = cloudformation.handlers(f"AWS::RDS::DB{kind}")["update"]
        cloudformation.register(f"AWS::RDS::DB{kind}", create=create, update=update, delete=delete)


def _keep_inside() -> None:
    """Publish no database on the machine's own addresses: whoever needs one is on its network, and two emulators don't want one port."""
    containers = upstream.docker_containers()
    create = containers.create

    def create_inside(self: Any, image: str, command: Any = None, **options: Any) -> Any:
        if options.get("network") and options.get("labels", {}).get("ministack") == "rds":
            options.pop("ports", None)
        return create(self, image, command, **options)

    containers.create = create_inside  # `run` goes through it


def _protect() -> None:
    """Let a cluster's deletion fail when it is protected, as on AWS."""
    handler = cloudformation.handlers("AWS::RDS::DBCluster")
    delete = handler["delete"]

    def deleted(physical_id: str, properties: Record) -> None:
        cluster = _rds()._clusters.get(physical_id, {})
        if cluster.get("DeletionProtection"):
            raise ResourceFailed("Cannot delete protected Cluster, please disable deletion protection and try again.")
        delete(physical_id, properties)

    handler["delete"] = deleted


def _label() -> None:
    """Label a reader as this emulator's: another one that starts beside it on the same engine takes what nobody owns for leftovers."""
    run: Any = None
    own = upstream.module("core.container_reaper").own_labels

    def labelled(docker: Any, engine: str, arguments: Record, *others: Any, **more: Any) -> Any:
        return run(docker, engine, {**arguments, "labels": {**own("rds"), **arguments["labels"]}}, *others, **more)

    run = upstream.replace(_rds(), "_run_rds_container", labelled)


def _truth(value: Any) -> bool:
    return str(value).lower() == "true"


def _create_cluster(logical_id: str, properties: Record, stack_name: str) -> Created:
    name = properties.get("DBClusterIdentifier") or cloudformation.physical_name(stack_name, logical_id, length_max=63).lower()
    given: Record = {key: properties[key] for key in _CLUSTER_TEXTS if key in properties}
    for key in ("StorageEncrypted", "DeletionProtection", "CopyTagsToSnapshot", "EnableIAMDatabaseAuthentication"):
        if key in properties:
            given[key] = _truth(properties[key])
    if "BackupRetentionPeriod" in properties:
        given["BackupRetentionPeriod"] = int(properties["BackupRetentionPeriod"])
    if scaling := properties.get("ServerlessV2ScalingConfiguration"):
        given["ServerlessV2ScalingConfiguration"] = {key: float(value) for key, value in scaling.items()}
    told = upstream.client("rds").create_db_cluster(DBClusterIdentifier=name, **given)["DBCluster"]
    # Its container doesn't run before the first instance is made, and takes its name from here.
    record = _rds()._clusters[name]
    record["Endpoint"] = restores.endpoint_of(name)
    return name, {
        "Arn": told["DBClusterArn"],
        "DBClusterArn": told["DBClusterArn"],
        "DBClusterResourceId": told.get("DbClusterResourceId", ""),
        "Endpoint.Address": record["Endpoint"],
        "Endpoint.Port": str(told["Port"]),
        "ReadEndpoint.Address": told["ReaderEndpoint"],
    }


def _delete_cluster(physical_id: str, _properties: Record) -> None:
    if physical_id not in _rds()._clusters:
        return
    # CloudFormation has taken the snapshot that the deletion policy asks for.
    upstream.client("rds").delete_db_cluster(DBClusterIdentifier=physical_id, SkipFinalSnapshot=True)


def _create_instance(logical_id: str, properties: Record, stack_name: str) -> Created:
    name = properties.get("DBInstanceIdentifier") or cloudformation.physical_name(stack_name, logical_id, length_max=63).lower()
    given: Record = {
        key: properties[key] for key in ("DBClusterIdentifier", "DBInstanceClass", "Engine", "DBSubnetGroupName") if key in properties
    }
    if "PromotionTier" in properties:
        given["PromotionTier"] = int(properties["PromotionTier"])
    client = upstream.client("rds")
    client.create_db_instance(DBInstanceIdentifier=name, **given)
    deadline = time.monotonic() + _START_SECONDS_MAX
    while True:
        told = client.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
        if told["DBInstanceStatus"] == "available":
            break
        if told["DBInstanceStatus"] == "failed" or time.monotonic() > deadline:
            client.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)
            raise ResourceFailed(f"DB instance {name} is {told['DBInstanceStatus']}")
        time.sleep(0.3)
    members = _rds()._clusters[told["DBClusterIdentifier"]]["DBClusterMembers"]
    if any(each["IsClusterWriter"] and each["DBInstanceIdentifier"] == name for each in members):
        restores.back_up(told["DBClusterIdentifier"])
    return name, {
        "Endpoint.Address": told["Endpoint"]["Address"],
        "Endpoint.Port": str(told["Endpoint"]["Port"]),
        "DBInstanceArn": told["DBInstanceArn"],
    }


def _delete_instance(physical_id: str, _properties: Record) -> None:
    if physical_id in _rds()._instances:
        upstream.client("rds").delete_db_instance(DBInstanceIdentifier=physical_id, SkipFinalSnapshot=True)
