"""What each stack makes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from lib.environments import size_of
from payments.cli.assembly import fargate_tasks
from payments.runtime.topology import SERVICES, WEBHOOK_PORTS, Service
from payments.wire.request import BODY_BYTES_MAX
from payments.wire.serve import CONNECTIONS_WAITING_MAX, DRAIN_SECONDS
from tests.infrastructure.conftest import ROOT, Synthesised, goes_out
from tests.infrastructure.test_traps import containers


def test_networking(synthesised: Synthesised) -> None:
    size = size_of(synthesised.environment)
    assert synthesised.only("Networking", "AWS::EC2::VPC")["CidrBlock"] == "10.0.0.0/16"
    assert len(synthesised.resources("Networking", "AWS::EC2::NatGateway")) == size.nat_gateways
    endpoints = synthesised.resources("Networking", "AWS::EC2::VPCEndpoint").values()
    assert len([each for each in endpoints if each["Properties"]["VpcEndpointType"] == "Interface"]) == (
        6 if size.interface_endpoints else 0
    )
    assert not any(
        each["Properties"].get("MapPublicIpOnLaunch") for each in synthesised.resources("Networking", "AWS::EC2::Subnet").values()
    )


def test_security(synthesised: Synthesised) -> None:
    key = synthesised.only("Security", "AWS::KMS::Key")
    assert key["EnableKeyRotation"]
    assert "kms:EncryptionContext:aws:logs:arn" in json.dumps(key["KeyPolicy"])
    assert len(synthesised.resources("Security", "AWS::SecretsManager::Secret")) == 7 + len(SERVICES)
    for group in synthesised.resources("Security", "AWS::EC2::SecurityGroup").values():
        (rule,) = group["Properties"]["SecurityGroupEgress"]
        assert rule["CidrIp"] == "255.255.255.255/32", "a group without a rule of its own lets everything out"
    assert goes_out(synthesised) == {
        ("Alb", "Ecs", 8080),
        ("Ecs", "Internal", 8080),
        ("Ecs", "Internal", 8081),
        ("Internal", "Ecs", 8080),
        ("Ecs", "Database", 5432),
        *(("Ecs", "0.0.0.0/0", port) for port in WEBHOOK_PORTS),
        ("Database", "Database", 5432),
        ("Database", "0.0.0.0/0", 443),
        ("ReleaseCheck", "0.0.0.0/0", 8443),
        ("ReleaseCheck", "0.0.0.0/0", 443),
        *([] if synthesised.environment == "prod" else [("ReleaseCheck", "0.0.0.0/0", 80)]),  # without a certificate customers come there
    }
    open_to_all = [
        each["Properties"]["FromPort"]
        for each in synthesised.all("AWS::EC2::SecurityGroupIngress").values()
        if each["Properties"].get("CidrIp") == "0.0.0.0/0"
    ]
    assert sorted(open_to_all) == [80, 443]
    rules = {rule["Name"]: rule["Statement"] for rule in synthesised.only("Security", "AWS::WAFv2::WebACL")["Rules"]}
    assert rules.keys() == {"RateLimit", "AWSManagedRulesCommonRuleSet", "AWSManagedRulesKnownBadInputsRuleSet"}
    (limit,) = [rule for rule in synthesised.only("Security", "AWS::WAFv2::WebACL")["Rules"] if rule["Name"] == "RateLimit"]
    assert limit["Statement"]["RateBasedStatement"]["Limit"] == size_of(synthesised.environment).requests_per_five_minutes
    refusal = limit["Action"]["Block"]["CustomResponse"]
    (body,) = synthesised.only("Security", "AWS::WAFv2::WebACL")["CustomResponseBodies"].values()
    assert refusal["ResponseCode"] == 429
    assert json.loads(body["Content"])["error"]["code"] == "rate_limit"
    (kept,) = synthesised.only("Security", "AWS::WAFv2::LoggingConfiguration")["LoggingFilter"]["Filters"]
    logged = {each["ActionCondition"]["Action"] for each in kept["Conditions"]}
    assert logged == {"BLOCK", "COUNT", "EXCLUDED_AS_COUNT"}, "what is let through is in the load balancer's log, and costs nothing there"
    overrides = rules["AWSManagedRulesCommonRuleSet"]["ManagedRuleGroupStatement"]["RuleActionOverrides"]
    counted = {each["Name"] for each in overrides if each["ActionToUse"] == {"Count": {}}}
    assert "SizeRestrictions_BODY" in counted, "the API takes more than 8 KiB"
    assert all(name.endswith("_BODY") for name in counted), "addresses and headers are looked at"
    assert synthesised.resources("Security", "AWS::EC2::FlowLog")


def test_no_rule_between_our_groups_outside_of_security(synthesised: Synthesised) -> None:
    named = {
        name.split(".")[0]
        for kind in ("AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress")
        for name, each in synthesised.all(kind).items()
        if each["Properties"].keys() & {"SourceSecurityGroupId", "DestinationSecurityGroupId"}
    }
    assert named == {"Security"}
    inline = [
        (rule.get("CidrIp"), rule["FromPort"])
        for name, each in synthesised.all("AWS::EC2::SecurityGroup").items()
        for rule in each["Properties"].get("SecurityGroupIngress", [])
        if not name.startswith("Security.")
    ]
    endpoints = size_of(synthesised.environment).interface_endpoints
    assert inline == ([("10.0.0.0/16", 443)] if endpoints else []), "the interface endpoints' group alone"


def test_database(synthesised: Synthesised) -> None:
    size = size_of(synthesised.environment)
    cluster = synthesised.only("Database", "AWS::RDS::DBCluster")
    assert cluster["Engine"] == "aurora-postgresql"
    assert cluster["EngineVersion"].startswith("17.")
    assert cluster["StorageEncrypted"]
    assert cluster["EnableIAMDatabaseAuthentication"]
    assert cluster["BackupRetentionPeriod"] == size.backup_days
    assert cluster["DeletionProtection"] == size.protected
    assert cluster["ServerlessV2ScalingConfiguration"] == {"MinCapacity": size.database_acu_min, "MaxCapacity": size.database_acu_max}
    assert ":SecretString:password::}}" in json.dumps(cluster["MasterUserPassword"])
    instances = synthesised.resources("Database", "AWS::RDS::DBInstance").values()
    assert len(instances) == 1 + size.database_readers
    assert all(each["Properties"]["DBInstanceClass"] == "db.serverless" for each in instances)
    assert synthesised.only("Database", "AWS::RDS::DBClusterParameterGroup")["Parameters"] == {
        "rds.force_ssl": "1",
        "rds.restrict_password_commands": "1",
    }
    assert synthesised.only("Database", "AWS::SecretsManager::RotationSchedule")["RotationRules"] == {"AutomaticallyAfterDays": 30}


def test_logs_that_aws_would_make_by_itself_are_ours_with_a_key_and_an_end(synthesised: Synthesised) -> None:
    name = f"tap-{synthesised.environment}"
    made = {each["Properties"].get("LogGroupName"): each["Properties"] for each in synthesised.all("AWS::Logs::LogGroup").values()}
    for group in (f"/aws/rds/cluster/{name}/postgresql", f"/aws/ecs/containerinsights/{name}/performance"):
        assert made[group]["RetentionInDays"] == size_of(synthesised.environment).log_days
        assert made[group]["KmsKeyId"]
    for stack, owner in (("Database", "AWS::RDS::DBCluster"), ("Ecs", "AWS::ECS::Cluster")):
        ((_, resource),) = synthesised.resources(stack, owner).items()
        groups = synthesised.resources(stack, "AWS::Logs::LogGroup")
        assert set(resource["DependsOn"]) & groups.keys(), "made before AWS makes it"


def test_the_database_is_looked_into(synthesised: Synthesised) -> None:
    cluster = synthesised.only("Database", "AWS::RDS::DBCluster")
    assert (cluster["DatabaseInsightsMode"], cluster["PerformanceInsightsEnabled"]) == ("standard", True)
    assert cluster["PerformanceInsightsKmsKeyId"]


def test_repositories(synthesised: Synthesised) -> None:
    repositories = synthesised.resources("Container", "AWS::ECR::Repository").values()
    names = {each["Properties"]["RepositoryName"] for each in repositories}
    assert names == {f"tap-{synthesised.environment}/{service}" for service in SERVICES}
    for each in repositories:
        assert each["Properties"]["ImageTagMutability"] == "IMMUTABLE"
        first, second = json.loads(each["Properties"]["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
        assert (first["selection"]["tagPrefixList"], second["selection"]["tagStatus"]) == (["released-"], "any")
        assert first["rulePriority"] < second["rulePriority"], "no rule takes away what an earlier one matches"
        assert each["Properties"]["ImageScanningConfiguration"] == {"ScanOnPush": True}
        assert each["Properties"]["EncryptionConfiguration"]["EncryptionType"] == "KMS"
        assert each["DeletionPolicy"] == ("RetainExceptOnCreate" if synthesised.environment == "prod" else "Delete")


def test_tasks_are_confined(synthesised: Synthesised) -> None:
    found = containers(synthesised)
    assert found.keys() == {*SERVICES, "migrate"}
    for name, container in found.items():
        assert container["User"] == "10001:10001"
        assert container["ReadonlyRootFilesystem"]
        assert container["LinuxParameters"]["InitProcessEnabled"]
        assert container["StopTimeout"] == 60
        linger_seconds = int(next(each["Value"] for each in container["Environment"] if each["Name"] == "TAP_LINGER_SECONDS"))
        assert 0 < linger_seconds < container["StopTimeout"] - DRAIN_SECONDS, "what is under way is answered before the task is killed"
        assert container["LogConfiguration"]["LogDriver"] == "awslogs"
        assert ("HealthCheck" in container) == (name != "migrate")
    assert found["migrate"]["Command"] == ["python", "-m", "payments.storage"]
    for service, spec in SERVICES.items():
        assert found[service]["Command"] == ["python", "-m", spec.module]
    for group in synthesised.resources("Ecs", "AWS::Logs::LogGroup").values():
        assert "KmsKeyId" in group["Properties"]


def test_secrets_are_decrypted_through_secrets_manager_only(synthesised: Synthesised) -> None:
    statements = [
        statement
        for policy in synthesised.resources("Ecs", "AWS::IAM::Policy").values()
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if "kms:Decrypt" in statement["Action"]
    ]
    assert len(statements) == 2 * (len(SERVICES) + 1), "an execution role and a task role for each service and for the migration"
    assert all("kms:ViaService" in statement["Condition"]["StringEquals"] for statement in statements)


def test_load_balancer(synthesised: Synthesised) -> None:
    groups = synthesised.resources("Ecs", "AWS::ElasticLoadBalancingV2::TargetGroup").values()
    assert len(groups) == 6
    for group in groups:
        properties = group["Properties"]
        assert (properties["HealthCheckPath"], properties["HealthCheckIntervalSeconds"], properties["TargetType"]) == ("/health", 15, "ip")
        assert len(properties["Name"]) <= 32
        # CloudFormation takes HTTP for a health check that says nothing, whatever the group speaks.
        assert (properties["Protocol"], properties["HealthCheckProtocol"], properties["Port"]) == ("HTTPS", "HTTPS", 8080)
    listeners = {
        each["Properties"]["Port"]: each["Properties"]
        for each in synthesised.resources("Ecs", "AWS::ElasticLoadBalancingV2::Listener").values()
    }
    statuses = {port: each["DefaultActions"][0]["FixedResponseConfig"]["StatusCode"] for port, each in listeners.items()}
    if synthesised.environment == "prod":
        assert statuses == {80: "403", 443: "404", 8443: "404", 8080: "404", 8081: "404"}
        assert all("TLS13" in listeners[port]["SslPolicy"] and listeners[port]["Certificates"] for port in (443, 8443, 8080, 8081))
    else:
        assert statuses == {80: "404", 8443: "404", 8080: "404", 8081: "404"}
    balancers = [each["Properties"] for each in synthesised.resources("Ecs", "AWS::ElasticLoadBalancingV2::LoadBalancer").values()]
    assert {each["Name"]: each["Scheme"] for each in balancers} == {
        f"tap-{synthesised.environment}": "internet-facing",
        f"tap-{synthesised.environment}-internal": "internal",
    }
    cluster = synthesised.only("Ecs", "AWS::ECS::Cluster")
    assert cluster["ClusterSettings"] == [{"Name": "containerInsights", "Value": "enhanced"}]


def test_scaling(synthesised: Synthesised) -> None:
    policies = [each["Properties"] for each in synthesised.resources("Ecs", "AWS::ApplicationAutoScaling::ScalingPolicy").values()]
    assert len(policies) == 9
    targets = [each["TargetTrackingScalingPolicyConfiguration"] for each in policies]
    predefined = [
        each["PredefinedMetricSpecification"]["PredefinedMetricType"] for each in targets if "PredefinedMetricSpecification" in each
    ]
    assert sorted(set(predefined)) == ["ECSServiceAverageCPUUtilization", "ECSServiceAverageMemoryUtilization"]
    custom = {each["CustomizedMetricSpecification"]["MetricName"] for each in targets if "CustomizedMetricSpecification" in each}
    assert custom == {"Backlog"}


def test_each_policy_can_fire(synthesised: Synthesised) -> None:
    """A process uses one processor, and a service is one process: of more it would never reach a share that is asked for."""
    least_memory = {256: 512, 512: 1024, 1024: 2048}
    targets = {
        json.dumps(each["Properties"]["TargetTrackingScalingPolicyConfiguration"].get("PredefinedMetricSpecification")): each["Properties"][
            "TargetTrackingScalingPolicyConfiguration"
        ]["TargetValue"]
        for each in synthesised.resources("Ecs", "AWS::ApplicationAutoScaling::ScalingPolicy").values()
    }
    cpu, memory = (next(value for name, value in targets.items() if kind in name) for kind in ("CPUUtilization", "MemoryUtilization"))
    for task in synthesised.resources("Ecs", "AWS::ECS::TaskDefinition").values():
        units, megabytes = int(task["Properties"]["Cpu"]), int(task["Properties"]["Memory"])
        assert 100 * min(1024, units) / units > cpu
        assert megabytes == least_memory[units]
        under_way = CONNECTIONS_WAITING_MAX * BODY_BYTES_MAX / 2**20
        assert 100 * under_way / megabytes > memory, "what requests under way may hold"


def test_monitoring(synthesised: Synthesised) -> None:
    alarms = synthesised.resources("Monitoring", "AWS::CloudWatch::Alarm").values()
    assert len(alarms) == 3 * 5 + 2 + 3 + 10
    (silent,) = [each["Properties"] for each in alarms if each["Properties"]["TreatMissingData"] != "notBreaching"]
    assert (silent["Statistic"], silent["Dimensions"][1]["Value"]) == ("SampleCount", Service.TRANSACTION_PROCESSOR)
    assert all(each["Properties"]["AlarmActions"] and each["Properties"]["AlarmDescription"] for each in alarms)
    topics = synthesised.resources("Monitoring", "AWS::SNS::Topic")
    encrypted = {name for name, each in topics.items() if "KmsMasterKeyId" in each["Properties"]}
    actions = {action["Ref"] for each in alarms for action in each["Properties"]["AlarmActions"]}
    assert actions == encrypted
    publishers: dict[str, Any] = {}
    for policy in synthesised.resources("Monitoring", "AWS::SNS::TopicPolicy").values():
        (topic,) = policy["Properties"]["Topics"]
        (allowed,) = [each for each in policy["Properties"]["PolicyDocument"]["Statement"] if each["Effect"] == "Allow"]
        assert allowed["Action"] == "sns:Publish"
        publishers[topic["Ref"]] = allowed["Principal"]["Service"]
    assert publishers == {name: "cloudwatch.amazonaws.com" if name in encrypted else "events.amazonaws.com" for name in topics}
    assert synthesised.only("Monitoring", "AWS::CloudWatch::Dashboard")["DashboardName"] == f"tap-{synthesised.environment}"


def test_the_databases_alarms_can_fire_and_are_silent_at_what_the_services_may_take(synthesised: Synthesised) -> None:
    """Of the writer: the average with readers that stay small never comes near the largest size."""
    alarms = {
        each["Properties"]["MetricName"]: each["Properties"]
        for each in synthesised.resources("Monitoring", "AWS::CloudWatch::Alarm").values()
        if each["Properties"].get("Namespace") == "AWS/RDS"
    }
    capacity, connections = alarms["ServerlessDatabaseCapacity"], alarms["DatabaseConnections"]
    assert {"Name": "Role", "Value": "WRITER"} in capacity["Dimensions"]
    assert {"Name": "Role", "Value": "WRITER"} in connections["Dimensions"]
    scaling = synthesised.only("Database", "AWS::RDS::DBCluster")["ServerlessV2ScalingConfiguration"]
    assert capacity["Threshold"] < scaling["MaxCapacity"]
    # Aurora, "Maximum connections for Aurora Serverless v2": its table is this line, LEAST({DBInstanceClassMemory/9531392}, 5000).
    takes = min(5_000 if scaling["MinCapacity"] > 0.5 else 2_000, 211 * scaling["MaxCapacity"] - 23)
    held = sum(
        each.tasks_max * SERVICES[Service(each.service)].connections_max for each in fargate_tasks(list(synthesised.templates.values()))
    )
    assert held < connections["Threshold"] < takes * 0.9


def test_the_end_of_the_key_is_told_by_what_does_not_depend_on_it(synthesised: Synthesised) -> None:
    """A topic that is encrypted under a key takes no message once that key is disabled or waits for its deletion."""
    rules = {
        each["Properties"]["Description"]: each["Properties"] for each in synthesised.resources("Monitoring", "AWS::Events::Rule").values()
    }
    topics = synthesised.resources("Monitoring", "AWS::SNS::Topic")
    for rule in rules.values():
        (target,) = rule["Targets"]
        assert "KmsMasterKeyId" not in topics[target["Arn"]["Ref"]]["Properties"]
        assert "RoleArn" not in target
        assert "docs/runbook.md#a-message-about-a-secret-or-the-key" in json.dumps(target["InputTransformer"])
    rotation = rules["A secret's rotation failed"]["EventPattern"]
    assert (rotation["detail-type"], rotation["detail"]["eventName"]) == (["AWS Service Event via CloudTrail"], ["RotationFailed"])
    assert len(rotation["detail"]["additionalEventData"]["SecretId"]) >= len(
        synthesised.resources("Security", "AWS::SecretsManager::Secret")
    )
    key = rules["The key was disabled, or is going to be deleted"]["EventPattern"]["detail"]
    assert set(key["eventName"]) == {"DisableKey", "ScheduleKeyDeletion"}
    assert key["errorCode"] == [{"exists": False}], "a call that was refused has done nothing"
    assert len(key["resources"]["ARN"]) == 1


def called(synthesised: Synthesised, source: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The rule about events of an AWS service, and the function that it calls and may call."""
    rules = [each["Properties"] for each in synthesised.resources("Deployment", "AWS::Events::Rule").values()]
    (rule,) = [each for each in rules if each.get("EventPattern", {}).get("source") == [source]]
    (target,) = rule["Targets"]
    name = target["Arn"]["Fn::GetAtt"][0]
    permissions = [each["Properties"] for each in synthesised.resources("Deployment", "AWS::Lambda::Permission").values()]
    callers = [each["Principal"] for each in permissions if each["FunctionName"]["Fn::GetAtt"][0] == name]
    assert callers == ["events.amazonaws.com"] * 2, "of this rule, and of the daily one"
    return rule, synthesised.resources("Deployment", "AWS::Lambda::Function")[name]["Properties"]


def test_a_task_that_spot_ends_is_taken_out_of_its_load_balancer(synthesised: Synthesised) -> None:
    """ECS itself may do so only once the task has stopped, which accepts no more by then."""
    rule, function = called(synthesised, "aws.ecs")
    assert rule["EventPattern"]["detail-type"] == ["ECS Task State Change"]
    detail = rule["EventPattern"]["detail"]
    assert (detail["desiredStatus"], detail["lastStatus"]) == (["STOPPED"], ["RUNNING", "DEACTIVATING"])
    assert len(detail["clusterArn"]) == 1
    assert "stopCode" not in detail, "AWS doesn't always say it"
    assert function["Handler"] == "spot_notice.handler"
    assert all(f"tap-{synthesised.environment}-{service}" in json.dumps(function["Environment"]) for service in Service)
    policies = [each["Properties"] for each in synthesised.resources("Deployment", "AWS::IAM::Policy").values()]
    statements = [each for policy in policies for each in policy["PolicyDocument"]["Statement"]]
    (right,) = [each for each in statements if each["Action"] == "elasticloadbalancing:DeregisterTargets"]
    assert len(right["Resource"]) == 2 * len(Service), "blue and green of each service, and no other"


def test_no_function_in_the_network_is_left_alone_for_weeks(synthesised: Synthesised) -> None:
    """Lambda makes it inactive then, and its next call fails: a release would be undone, or go on without it."""
    functions = synthesised.resources("Deployment", "AWS::Lambda::Function")
    assert all(each["Properties"]["VpcConfig"]["SubnetIds"] for each in functions.values())
    daily = [each["Properties"] for each in synthesised.resources("Deployment", "AWS::Events::Rule").values()]
    called = {
        target["Arn"]["Fn::GetAtt"][0]: target["Input"]
        for rule in daily
        if rule.get("ScheduleExpression") == "rate(1 day)"
        for target in rule["Targets"]
    }
    assert called == dict.fromkeys(functions, '{"awake":true}')


def test_whoever_is_on_call_learns_of_a_certificate_that_is_not_renewed(synthesised: Synthesised) -> None:
    patterns = [each["Properties"]["EventPattern"] for each in synthesised.resources("Monitoring", "AWS::Events::Rule").values()]
    about = [each for each in patterns if each["source"] == ["aws.acm"]]
    if synthesised.environment != "prod":  # the one that has a certificate
        assert about == []
        return
    (pattern,) = about
    assert pattern["detail-type"] == ["ACM Certificate Approaching Expiration"]
    assert len(pattern["resources"]) == 1


def test_no_stack_comes_near_cloudformations_limits(synthesised: Synthesised) -> None:
    for name, template in synthesised.templates.items():
        assert len(template["Resources"]) < 400, f"{name}: 500 resources are what a stack may have"
        assert max(len(template.get("Parameters", {})), len(template.get("Outputs", {}))) < 150, f"{name}: 200 of each"


def test_services_scale_again_when_their_deployment_has_ended_whoever_began_it(synthesised: Synthesised) -> None:
    rule, function = called(synthesised, "aws.codedeploy")
    families = {f"tap-{synthesised.environment}-{service}" for service in Service}
    assert set(rule["EventPattern"]["detail"]["application"]) == families
    assert set(rule["EventPattern"]["detail"]["state"]) == {"SUCCESS", "FAILURE", "STOP"}
    assert function["Handler"] == "resume_scaling.handler"
    assert all(family in json.dumps(function["Environment"]["Variables"]["TARGETS"]) for family in families)
    targets = synthesised.resources("Ecs", "AWS::ApplicationAutoScaling::ScalableTarget").values()
    assert not any("SuspendedState" in each["Properties"] for each in targets), "an update of the stack leaves it as it is"


def test_what_the_final_snapshot_was_sealed_with_outlives_the_stack_too(synthesised: Synthesised) -> None:
    kept = {each["DeletionPolicy"] for each in synthesised.resources("Security", "AWS::SecretsManager::Secret").values()}
    assert kept == {"Retain" if size_of(synthesised.environment).protected else "Delete"}


def test_deployment(synthesised: Synthesised) -> None:
    groups = [each["Properties"] for each in synthesised.resources("Deployment", "AWS::CodeDeploy::DeploymentGroup").values()]
    assert len(groups) == 3
    for group in groups:
        assert group["DeploymentStyle"] == {"DeploymentOption": "WITH_TRAFFIC_CONTROL", "DeploymentType": "BLUE_GREEN"}
        assert set(group["AutoRollbackConfiguration"]["Events"]) == {
            "DEPLOYMENT_FAILURE",
            "DEPLOYMENT_STOP_ON_REQUEST",
            "DEPLOYMENT_STOP_ON_ALARM",
        }
        (pair,) = group["LoadBalancerInfo"]["TargetGroupPairInfoList"]
        assert len(pair["TargetGroups"]) == 2
        assert pair["TestTrafficRoute"]["ListenerArns"]
        kept = group["BlueGreenDeploymentConfiguration"]["TerminateBlueInstancesOnDeploymentSuccess"]
        assert kept["TerminationWaitTimeInMinutes"] == 15
        assert len(group["AlarmConfiguration"]["Alarms"]) == 5, "its own, both load balancers', and what became of payments"
        canary = "Canary10Percent5Minutes" in json.dumps(group["DeploymentConfigName"])
        assert canary == size_of(synthesised.environment).canary


def test_outputs(synthesised: Synthesised) -> None:
    assert synthesised.templates["root"]["Outputs"].keys() == {
        f"LoadBalancerDNS{synthesised.environment}",
        f"ClusterName{synthesised.environment}",
    }


def test_tap_stack_has_no_resource_of_its_own(synthesised: Synthesised) -> None:
    kinds = {each["Type"] for each in synthesised.resources("root").values()}
    assert kinds <= {"AWS::CloudFormation::Stack", "AWS::CDK::Metadata"}


def test_tap_stack_takes_what_a_stack_takes_and_shows_its_children(asked: dict[str, Any]) -> None:
    assert asked["suffixes"] == ["dev", "prod"]
    assert asked["places"] == [["111111111111", "eu-west-1"], [None, "eu-west-2"]]
    assert list(asked["children"]) == [
        f"{name}Stackdev" for name in ("Networking", "Security", "Database", "Container", "Ecs", "Monitoring", "Deployment")
    ]
    assert all(asked["children"].values()), "each has a template of its own"
    assert asked["description"] == "Ours"
    assert asked["tags"] == {"application": "tap", "environment": "prod", "team": "payments"}
    assert asked["protected"]


def test_an_environment_that_outlives_its_stack_is_not_deployed_without_a_certificate_by_mistake(asked: dict[str, Any]) -> None:
    """It synthesises, for unit tests; the CDK's command line refuses to deploy what has an error."""
    (error,) = asked["refused"]
    assert "prod needs a certificate" in error


def test_a_network_of_ones_own_says_from_where_releases_are_tried_out(asked: dict[str, Any]) -> None:
    """Of an imported one nobody knows by which addresses its calls go out, and the test listener is open to these alone."""
    (error,) = asked["refused in a network whose addresses aren't known"]
    assert "testAddresses" in error


def test_what_the_context_may_say_a_program_may_say_too(asked: dict[str, Any]) -> None:
    assert asked["options without a property"] == []


def test_cfn_lint_finds_nothing(environments: dict[str, Synthesised]) -> None:
    """In any environment: it is longer about beginning than about a template."""
    templates = [str(path) for each in environments.values() for path in sorted(each.directory.glob("*.template.json"))]
    command = [str(Path(sys.prefix) / "bin" / "cfn-lint"), "--config-file", str(ROOT / ".cfnlintrc.yaml"), "-t", *templates]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_cdk_nag_finds_nothing_that_is_not_acknowledged(synthesised: Synthesised) -> None:
    """Synthesis itself fails on a finding; this shows that the packs really ran."""
    report = json.loads((synthesised.directory / "validation-report.json").read_text())
    assert {each["pluginName"] for each in report["pluginReports"]} == {"AwsSolutions", "PCI.DSS.321"}
    assert [each["violations"] for each in report["pluginReports"]] == [[], []]
