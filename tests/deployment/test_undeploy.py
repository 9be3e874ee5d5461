"""The life of a stack on the emulator: what an update changes, what it may not change, and what is left in the end."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from payments.runtime.topology import DATABASE_USER, SERVICES, Service
from tests.support.emulated_aws import DEV, Aws, Cdk, changed, put_image, scale, service_arn, task_sets
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("deployed")


def stacks(aws: Aws) -> dict[str, Any]:
    """The nested stacks, by the first word of their logical id."""
    told = aws.cloudformation.list_stack_resources(StackName=DEV.stack)["StackResourceSummaries"]
    nested = [each for each in told if each.get("ResourceType") == "AWS::CloudFormation::Stack"]
    return {each.get("LogicalResourceId", "").partition("Stackdev")[0]: each for each in nested}


def resources(aws: Aws, stack: str) -> dict[str, Any]:
    physical = stacks(aws)[stack].get("PhysicalResourceId", "")
    return {
        each.get("LogicalResourceId", ""): each
        for each in aws.cloudformation.describe_stack_resources(StackName=physical)["StackResources"]
    }


def template_of(directory: Path, stack: str) -> Any:
    (path,) = directory.glob(f"TapStackdev{stack}*.template.json")
    return json.loads(path.read_text())


def test_every_resource_of_every_nested_stack_is_made(aws: Aws, deployed: Path) -> None:
    made = stacks(aws)
    assert len(made) == 7
    for stack in made:
        template = template_of(deployed, stack)
        told = resources(aws, stack)
        assert told.keys() == template["Resources"].keys()
        assert {each.get("ResourceStatus") for each in told.values()} == {"CREATE_COMPLETE"}
        body = aws.cloudformation.get_template(StackName=made[stack].get("PhysicalResourceId", ""))["TemplateBody"]
        assert (body if isinstance(body, dict) else json.loads(str(body))) == template


def test_task_definition_keeps_what_the_template_says(aws: Aws) -> None:
    told: Any = aws.ecs.describe_task_definition(taskDefinition=DEV.task_family(Service.PAYMENT_API))["taskDefinition"]
    (container,) = told["containerDefinitions"]
    assert container["readonlyRootFilesystem"]
    assert container["user"] == "10001:10001"
    assert container["stopTimeout"] == 60
    assert container["healthCheck"]["command"][0] == "CMD"
    assert container["linuxParameters"]["initProcessEnabled"]
    assert container["mountPoints"] == [{"containerPath": "/tmp", "readOnly": False, "sourceVolume": "tmp"}]
    assert all(each["valueFrom"].startswith("arn:aws:secretsmanager:") for each in container["secrets"])


def test_database_has_the_secrets_password_and_the_secret_its_address(aws: Aws) -> None:
    (cluster,) = aws.rds.describe_db_clusters()["DBClusters"]
    (instance, other) = aws.rds.describe_db_instances()["DBInstances"]
    assert {instance.get("DBClusterIdentifier"), other.get("DBClusterIdentifier")} == {cluster.get("DBClusterIdentifier")}
    values = [
        json.loads(aws.secrets.get_secret_value(SecretId=each.get("ARN", ""))["SecretString"])
        for each in aws.secrets.list_secrets()["SecretList"]
    ]
    logins = {each["username"]: each for each in values if "username" in each}
    assert logins.keys() == {DATABASE_USER, *(spec.database_login for spec in SERVICES.values())}
    assert {each["host"] for each in logins.values()} == {cluster.get("Endpoint")}
    assert len({each["password"] for each in logins.values()}) == len(logins)
    assert "resolve:" not in json.dumps(values)


def test_restored_cluster_takes_the_place_and_the_address_of_the_one_that_it_comes_from(aws: Aws) -> None:
    rds, name = aws.rds, DEV.database_cluster
    restored, damaged, well = f"{name}-restored", f"{name}-damaged", datetime.now(UTC)

    def described(cluster: str) -> dict[str, Any]:
        (found,) = rds.describe_db_clusters(DBClusterIdentifier=cluster)["DBClusters"]
        return dict(found)

    def rename(cluster: str, new: str) -> None:
        rds.modify_db_cluster(DBClusterIdentifier=cluster, NewDBClusterIdentifier=new, ApplyImmediately=True)

    with pytest.raises(ClientError, match="DBClusterNotFoundFault"):
        rds.restore_db_cluster_to_point_in_time(SourceDBClusterIdentifier="none", DBClusterIdentifier=restored, RestoreToTime=well)
    before = described(name)
    rds.restore_db_cluster_to_point_in_time(SourceDBClusterIdentifier=name, DBClusterIdentifier=restored, RestoreToTime=well)
    assert described(restored)["Endpoint"].startswith(f"{restored}.")
    assert described(restored)["EngineVersion"] == before["EngineVersion"]
    assert described(restored)["DBClusterMembers"] == [], "it has no instance until one is made"
    rds.create_db_instance(
        DBClusterIdentifier=restored, DBInstanceIdentifier=f"{restored}-1", DBInstanceClass="db.serverless", Engine="aurora-postgresql"
    )
    with pytest.raises(ClientError, match="DBClusterAlreadyExistsFault"):
        rename(restored, name)
    rename(name, damaged)
    rename(restored, name)
    taken_over = described(name)["Endpoint"]
    assert taken_over.startswith(f"{name}."), "an address is made of the name"
    assert described(damaged)["Endpoint"].startswith(f"{damaged}.")
    assert described(damaged)["DBClusterMembers"] == before["DBClusterMembers"]
    rds.modify_db_instance(DBInstanceIdentifier=f"{restored}-1", NewDBInstanceIdentifier=f"{name}-1", ApplyImmediately=True)
    assert [each["DBInstanceIdentifier"] for each in described(name)["DBClusterMembers"]] == [f"{name}-1"]
    (instance,) = rds.describe_db_instances(DBInstanceIdentifier=f"{name}-1")["DBInstances"]
    assert instance.get("DBClusterIdentifier") == name
    # And back, for the tests behind this one.
    rename(name, restored)
    rename(damaged, name)
    rds.delete_db_instance(DBInstanceIdentifier=f"{name}-1", SkipFinalSnapshot=True)
    rds.delete_db_cluster(DBClusterIdentifier=restored, SkipFinalSnapshot=True)
    assert described(name)["Endpoint"] == taken_over


def test_task_that_is_killed_is_replaced_and_nobody_else_is_reached_meanwhile(aws: Aws) -> None:
    service = Service.NOTIFICATION_SERVICE
    scale(aws, service, 2)
    group = task_sets(aws, service)[0]["loadBalancers"][0]["targetGroupArn"]
    victim, kept = aws.ecs.list_tasks(cluster=DEV.cluster, family=DEV.task_family(service))["taskArns"]
    aws.ecs.stop_task(cluster=DEV.cluster, task=victim, reason="a test")
    (registry,) = [each["Id"] for each in aws.discovery.list_services()["Services"] if each["Name"] == service.value]

    def is_whole() -> bool:
        running = set(aws.ecs.list_tasks(cluster=DEV.cluster, family=DEV.task_family(service))["taskArns"])
        named = {each["Id"] for each in aws.discovery.list_instances(ServiceId=registry)["Instances"]}
        # Asked last: once the replacement has its name, it is among the targets, and the victim's health may still be told beside it.
        told = aws.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return (
            len(running - {victim}) == 2
            and named == {arn.rsplit("/", 1)[-1] for arn in running}
            and [each.get("TargetHealth", {}).get("State") for each in told] == ["healthy", "healthy"]
        )

    wait_until(is_whole, "both tasks are healthy and found by name, and no other is")
    assert kept in aws.ecs.list_tasks(cluster=DEV.cluster, family=DEV.task_family(service))["taskArns"]
    scale(aws, service, 4)
    scale(aws, service, 1)


def test_higher_minimum_of_a_scalable_target_raises_the_service(aws: Aws) -> None:
    service = Service.NOTIFICATION_SERVICE
    name = service_arn(aws, service).rsplit("/", 1)[-1]
    request: Any = {
        "ServiceNamespace": "ecs",
        "ResourceId": f"service/{DEV.cluster}/{name}",
        "ScalableDimension": "ecs:service:DesiredCount",
    }
    aws.scaling.register_scalable_target(**request, MinCapacity=3)
    (target,) = aws.scaling.describe_scalable_targets(ServiceNamespace="ecs", ResourceIds=[request["ResourceId"]])["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (3, 4)
    assert task_sets(aws, service)[0]["computedDesiredCount"] == 3
    aws.scaling.register_scalable_target(**request, MinCapacity=1)
    assert len(aws.scaling.describe_scaling_policies(ServiceNamespace="ecs", ResourceId=request["ResourceId"])["ScalingPolicies"]) == 3
    scale(aws, service, 1)


def test_one_off_task_ends_with_the_exit_code_that_its_image_stands_for(aws: Aws) -> None:
    network: Any = task_sets(aws, Service.PAYMENT_API)[0]["networkConfiguration"]
    started = aws.ecs.run_task(
        cluster=DEV.cluster, taskDefinition=DEV.migration_family, launchType="FARGATE", networkConfiguration=network
    )["tasks"][0]

    def told() -> Any:
        return aws.ecs.describe_tasks(cluster=DEV.cluster, tasks=[started.get("taskArn", "")])["tasks"][0]

    wait_until(lambda: told()["lastStatus"] == "STOPPED", "the task ends")
    assert told()["containers"][0]["exitCode"] == 0


def test_missing_image_is_an_error(aws: Aws) -> None:
    with pytest.raises(ClientError) as refused:
        aws.ecr.describe_images(repositoryName=DEV.repository(Service.PAYMENT_API), imageIds=[{"imageTag": "nowhere"}])
    assert refused.value.response.get("Error", {}).get("Code") == "ImageNotFoundException"


def test_update_makes_new_revisions_and_leaves_services_alone(aws: Aws, cdk: Cdk, deployed: Path, tmp_path: Path) -> None:
    before = {service: (service_arn(aws, service), task_sets(aws, service)[0]["id"]) for service in SERVICES}
    revision = aws.ecs.describe_task_definition(taskDefinition=DEV.migration_family)["taskDefinition"].get("revision", 0)
    put_image(aws, Service.PAYMENT_API, "two")
    directory = changed(deployed, tmp_path / "changed", "Ecs", ':one"', ':two"')
    cdk("deploy", DEV.stack, "--app", str(directory), "--require-approval", "never")
    assert aws.cloudformation.describe_stacks(StackName=DEV.stack)["Stacks"][0]["StackStatus"] == "UPDATE_COMPLETE"
    told = aws.ecs.describe_task_definition(taskDefinition=DEV.migration_family)["taskDefinition"]
    assert told.get("revision") == revision + 1
    assert told.get("containerDefinitions", [{}])[0].get("image", "").endswith(":two")
    # The one before may be gone back to.
    old = aws.ecs.describe_task_definition(taskDefinition=f"{DEV.migration_family}:{revision}")["taskDefinition"]
    assert old.get("status") == "ACTIVE"
    assert {service: (service_arn(aws, service), task_sets(aws, service)[0]["id"]) for service in SERVICES} == before


def test_update_that_touches_a_service_is_refused_and_rolled_back(aws: Aws, cdk: Cdk, deployed: Path, tmp_path: Path) -> None:
    grace = '"HealthCheckGracePeriodSeconds": '
    directory = changed(deployed, tmp_path / "changed", "Ecs", f"{grace}90", f"{grace}91")
    done = cdk("deploy", DEV.stack, "--app", str(directory), "--require-approval", "never", check=False)
    assert done.returncode != 0
    assert "Use AWS CodeDeploy to trigger a new deployment" in done.stdout + done.stderr
    assert aws.cloudformation.describe_stacks(StackName=DEV.stack)["Stacks"][0]["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert {each.get("ResourceStatus") for each in resources(aws, "Ecs").values()} == {"UPDATE_COMPLETE"}


def test_destruction_leaves_what_is_retained_on_purpose_and_nothing_else(aws: Aws, cdk: Cdk, deployed: Path) -> None:
    (kept,) = [each.get("PhysicalResourceId") for each in resources(aws, "Ecs").values() if each.get("ResourceType") == "AWS::S3::Bucket"]
    cdk("destroy", DEV.stack, "--app", str(deployed), "--force")
    with pytest.raises(ClientError, match="does not exist"):
        aws.cloudformation.describe_stacks(StackName=DEV.stack)
    assert aws.ecs.list_tasks(cluster=DEV.cluster)["taskArns"] == []
    assert aws.elb.describe_load_balancers()["LoadBalancers"] == []
    assert aws.elb.describe_target_groups()["TargetGroups"] == []
    assert aws.rds.describe_db_clusters()["DBClusters"] == []
    assert aws.rds.describe_db_instances()["DBInstances"] == []
    assert aws.secrets.list_secrets()["SecretList"] == []
    assert aws.codedeploy.list_applications()["applications"] == []
    assert aws.scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"] == []
    assert aws.ec2.describe_addresses()["Addresses"] == []
    assert aws.ec2.describe_flow_logs()["FlowLogs"] == []
    assert [each for each in aws.ec2.describe_vpcs()["Vpcs"] if not each.get("IsDefault")] == []
    repositories = {each.get("repositoryName", "") for each in aws.ecr.describe_repositories()["repositories"]}
    assert repositories.isdisjoint({DEV.repository(service) for service in SERVICES})
    assert kept in [each.get("Name") for each in aws.s3.list_buckets()["Buckets"]]
    assert aws.ecs.describe_task_definition(taskDefinition=DEV.migration_family)["taskDefinition"].get("status") == "ACTIVE"
