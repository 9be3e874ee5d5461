"""Aurora's backups: a cluster is restored to a point in time beside the one that it comes from, and either gets another name.

With an engine: as soon as a cluster of CloudFormation's runs, its files are copied to a volume, and its server keeps its log from then on. The first instance of a
restored cluster begins with that copy, follows the log up to the point that was asked for, and goes on alone. Clusters that were restored have no backups of
their own, unlike Aurora's. Without an engine restored clusters are records, as all are.
"""

import contextlib
from typing import Any

from rehearsal.emulator import images, upstream
from rehearsal.emulator.upstream import Answer, Record

ENDPOINT_LABEL = "cluster-rehearsal"
"""`<cluster>.cluster-rehearsal.<region>.rds.amazonaws.com`: one wildcard certificate covers it."""
_BACKUPS, _SOURCE = "/backups", "/source"
_SLOT = "backups"
_BACK_UP = f"""set -eu
install -d -o postgres -g postgres -m 0700 {_BACKUPS}/base
psql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --set=ON_ERROR_STOP=1 --command "SELECT pg_create_physical_replication_slot('{_SLOT}', true)"
gosu postgres pg_basebackup --username "$POSTGRES_USER" --pgdata {_BACKUPS}/base --checkpoint=fast
"""
"""The slot keeps what is written from before the copy on. As root, for the volume's sake."""
_RESTORE = f"""set -eu
install -d -o postgres -g postgres -m 0700 "$PGDATA"
install -d -o postgres /var/run/postgresql
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    cp -a {_SOURCE}/base/. "$PGDATA"
    touch "$PGDATA/standby.signal"
    set -- "$@" -c "primary_conninfo=$TAP_SOURCE" -c "recovery_target_time=$TAP_TIME" -c recovery_target_action=promote -c hot_standby=off
fi
exec gosu postgres postgres "$@"
"""
"""The container's first start restores. Nobody can connect before that is over, who would see an earlier state."""
_COMMIT = "SELECT pg_current_xact_id()"
"""A server that follows a log sees that a point in time is over by the first commit after it."""


def _rds() -> Any:
    return upstream.module("services.rds")


def endpoint_of(cluster: str) -> str:
    """Return the DNS name of a cluster's writer."""
    return f"{cluster}.{ENDPOINT_LABEL}.{upstream.region()}.rds.amazonaws.com"


def install() -> None:
    """Add what ministack's RDS lacks."""
    rds = _rds()
    modify_cluster: Any = None
    modify_instance: Any = None

    def modify_cluster_and_rename(params: Record) -> Answer:
        answer = modify_cluster(params)
        new = rds._p(params, "NewDBClusterIdentifier")
        return _rename_cluster(rds._p(params, "DBClusterIdentifier"), new) if answer[0] < 400 and new else answer

    def modify_instance_and_rename(params: Record) -> Answer:
        answer = modify_instance(params)
        new = rds._p(params, "NewDBInstanceIdentifier")
        return _rename_instance(rds._p(params, "DBInstanceIdentifier"), new) if answer[0] < 400 and new else answer

    modify_cluster = upstream.replace(rds, "_modify_db_cluster", modify_cluster_and_rename)
    modify_instance = upstream.replace(rds, "_modify_db_instance", modify_instance_and_rename)
    rds._ACTION_MAP["RestoreDBClusterToPointInTime"] = _restore
    if upstream.has_engine():
        _install_running()


def _install_running() -> None:
    run: Any = None

    def with_backups(docker: Any, engine: str, arguments: Record, *others: Any, **more: Any) -> Any:
        cluster = _rds()._clusters.get(arguments["labels"].get("cluster_id", ""))
        if cluster is not None and "command" not in arguments:  # which only readers have
            arguments = {**arguments, "volumes": {**arguments.get("volumes", {})}}
            if source := cluster.get("_restored_from"):
                arguments["volumes"][_volume(source)] = {"bind": _SOURCE, "mode": "ro"}
                arguments["command"] = ["sh", "-c", _RESTORE]
                arguments["environment"] = {
                    **arguments["environment"],
                    "TAP_SOURCE": _followed(source),
                    "TAP_TIME": cluster["_restored_to"],
                }
            else:
                arguments["volumes"][_volume(cluster)] = {"bind": _BACKUPS, "mode": "rw"}
        return run(docker, engine, arguments, *others, **more)

    run = upstream.replace(_rds(), "_run_rds_container", with_backups)
    delete = upstream.replace(_rds(), "_remove_cluster_shared_resources", lambda *arguments, **more: _deleted(delete, *arguments, **more))


def _deleted(delete: Any, cluster_id: str, cluster: Record, *others: Any, **more: Any) -> None:
    """Automated backups go with their cluster, or with the last that was restored from them: its container has their volume."""
    delete(cluster_id, cluster, *others, **more)
    with contextlib.suppress(images.docker_errors().APIError):
        _rds()._get_docker().volumes.get(_volume(cluster.get("_restored_from", cluster))).remove()


def back_up(cluster_id: str) -> None:
    """Begin with a cluster's backups; its writer runs."""
    rds = _rds()
    cluster = rds._clusters[cluster_id]
    rds._ensure_pg_replication_source(cluster_id, cluster)
    _in(cluster["_shared_container_id"], "sh", "-c", _BACK_UP)


def _volume(cluster: Record) -> str:
    # Its id stays, whatever the cluster is called.
    return f"ministack-rds-backups-{cluster['DbClusterResourceId'].lower()}"


def _followed(cluster: Record) -> str:
    """Return how a cluster's log is read."""
    rds = _rds()
    told = {
        "host": cluster["_shared_internal_address"],
        "port": cluster["_shared_internal_port"],
        "user": rds._PG_REPLICATION_USER,
        "password": rds._PG_REPLICATION_PASSWORD,
    }
    return " ".join(f"{name}={value}" for name, value in told.items())


def _in(container: str, *command: str) -> None:
    code, output = _rds()._get_docker().containers.get(container).exec_run(list(command))
    if code:
        raise RuntimeError(f"{command[0]} in {container}: {output.decode(errors='replace')}")


def _psql(container: str, statement: str) -> None:
    _in(container, "sh", "-c", f'psql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --set=ON_ERROR_STOP=1 --command "{statement}"')


def _restore(params: Record) -> Answer:
    rds = _rds()
    name, time = rds._p(params, "DBClusterIdentifier"), rds._p(params, "RestoreToTime")
    source = rds._clusters.get(rds._p(params, "SourceDBClusterIdentifier"))
    if source is None:
        return rds._error("DBClusterNotFoundFault", f"DBCluster {rds._p(params, 'SourceDBClusterIdentifier')} not found.", 404)
    if not time:
        return rds._error("InvalidParameterCombination", "Here RestoreToTime must be specified.", 400)
    kept = {
        "Engine": source["Engine"],
        "EngineVersion": source["EngineVersion"],
        "MasterUsername": source["MasterUsername"],
        "MasterUserPassword": source["_MasterUserPassword"],
        "DatabaseName": source["DatabaseName"] or "",
        "StorageEncrypted": str(source["StorageEncrypted"]).lower(),
    }
    answer = rds._create_db_cluster({**params, **kept})
    if answer[0] >= 400:
        return answer
    record = rds._clusters[name]
    # A server that starts knows no zone's name yet, `Z` neither.
    record.update(Endpoint=endpoint_of(name), _restored_from=source, _restored_to=time.removesuffix("Z") + "+00")
    if upstream.has_engine():
        _psql(source["_shared_container_id"], _COMMIT)
    return _told("RestoreDBClusterToPointInTime", record)


def _rename_cluster(old: str, new: str) -> Answer:
    rds = _rds()
    if new in rds._clusters:
        return rds._error("DBClusterAlreadyExistsFault", f"DB cluster {new} already exists.", 400)
    with rds._shared_container_lock:
        record = rds._clusters[old]
        del rds._clusters[old]
        rds._clusters[new] = record
        record.update(DBClusterIdentifier=new, DBClusterArn=_renamed(record["DBClusterArn"], old, new), Endpoint=endpoint_of(new))
        members = [each for each in list(rds._instances.values()) if each.get("DBClusterIdentifier") == old]
        for member in members:
            member.update({key: new for key in ("DBClusterIdentifier", "_shared_cluster_id") if member.get(key) == old})
        if record.get("_shared_container_id"):
            _answer_to_another_name(record, members)
    return _told("ModifyDBCluster", record)


def _answer_to_another_name(cluster: Record, members: list[Record]) -> None:
    """Let a cluster's writer be found by its new name; its address becomes another, and readers follow it there."""
    rds = _rds()
    docker = rds._get_docker()
    container = docker.containers.get(cluster["_shared_container_id"])
    container.rename(rds._rds_cluster_docker_name(cluster["DBClusterIdentifier"]))
    ((name, _),) = container.attrs["NetworkSettings"]["Networks"].items()
    network = docker.networks.get(name)
    network.disconnect(container)
    network.connect(container, aliases=[cluster["Endpoint"]])
    container.reload()
    cluster["_shared_internal_address"] = container.attrs["NetworkSettings"]["Networks"][name]["IPAddress"]
    cluster["_shared_endpoint"] = {**cluster["_shared_endpoint"], "Address": cluster["Endpoint"]}
    for member in members:
        if member.get("_pg_standby"):
            _psql(member["_docker_container_id"], f"ALTER SYSTEM SET primary_conninfo = '{_followed(cluster)}'")
            _psql(member["_docker_container_id"], "SELECT pg_reload_conf()")
        else:
            rds._attach_instance_to_shared_cluster(member, cluster)


def _rename_instance(old: str, new: str) -> Answer:
    rds = _rds()
    if new in rds._instances:
        return rds._error("DBInstanceAlreadyExists", f"DB instance {new} already exists", 400)
    record = rds._instances[old]
    del rds._instances[old]
    rds._instances[new] = record
    record.update(DBInstanceIdentifier=new, DBInstanceArn=_renamed(record["DBInstanceArn"], old, new))
    for member in rds._clusters.get(record.get("DBClusterIdentifier"), {}).get("DBClusterMembers", []):
        if member["DBInstanceIdentifier"] == old:
            member["DBInstanceIdentifier"] = new
    if record.get("_pg_standby"):
        rds._get_docker().containers.get(record["_docker_container_id"]).rename(rds._rds_docker_name(new))
    return rds._single_instance_response("ModifyDBInstanceResponse", "ModifyDBInstanceResult", record)


def _renamed(arn: str, old: str, new: str) -> str:
    return f"{arn.removesuffix(old)}{new}"


def _told(operation: str, cluster: Record) -> Answer:
    rds = _rds()
    return rds._xml(
        200, f"{operation}Response", f"<{operation}Result><DBCluster>{rds._cluster_xml(cluster)}</DBCluster></{operation}Result>"
    )
