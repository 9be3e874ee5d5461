"""What synthesises and then fails at deploy, or causes an outage later."""

import json
import re
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from lib.environments import ENVIRONMENTS
from payments.runtime.settings import Settings
from payments.runtime.topology import (
    DATABASE_SECRET_VARIABLE,
    METRIC_DIMENSIONS,
    METRIC_NAMESPACE,
    SERVICES,
    WEBHOOK_PORTS,
    Metric,
    Service,
    entered_by,
    route,
)
from tests.infrastructure.conftest import ROOT, Synthesised, run_app
from tests.support.listener import route_by
from tests.support.warm_app import WarmApp, warm_app

CONSTANTS = Path(__file__).parent / "frozen_ids.json"


def references(value: Any) -> set[str]:
    """The logical ids that a template's value refers to."""
    found: set[str] = set()
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "Ref":
                found.add(inner)
            elif key == "Fn::GetAtt":
                found.add(inner[0] if isinstance(inner, list) else inner.split(".")[0])
            else:
                found |= references(inner)
    elif isinstance(value, list):
        for inner in value:
            found |= references(inner)
    return found


def test_nested_stacks_do_not_depend_on_each_other_in_a_circle(synthesised: Synthesised) -> None:
    nested = synthesised.resources("root", "AWS::CloudFormation::Stack")
    depends = {
        name: (references(each["Properties"]) | set(each.get("DependsOn", []))) & nested.keys() - {name} for name, each in nested.items()
    }
    assert len(nested) == 7
    done: set[str] = set()
    while ready := {name for name in depends.keys() - done if depends[name] <= done}:
        done |= ready
    assert done == nested.keys(), {name: depends[name] for name in nested.keys() - done}


def test_three_zones_wherever_it_is_deployed(synthesised: Synthesised) -> None:
    zones = {
        json.dumps(each["Properties"]["AvailabilityZone"]) for each in synthesised.resources("Networking", "AWS::EC2::Subnet").values()
    }
    assert zones == {json.dumps({"Fn::Select": [index, {"Fn::GetAZs": ""}]}) for index in range(3)}
    assert len(synthesised.resources("Networking", "AWS::EC2::Subnet")) == 9


def test_nothing_that_code_deploy_forbids(synthesised: Synthesised) -> None:
    for service in synthesised.resources("Ecs", "AWS::ECS::Service").values():
        properties = service["Properties"]
        assert properties["DeploymentController"] == {"Type": "CODE_DEPLOY"}
        assert "DeploymentCircuitBreaker" not in properties.get("DeploymentConfiguration", {})
        assert "Alarms" not in properties.get("DeploymentConfiguration", {})
        assert "ServiceConnectConfiguration" not in properties
        assert "LaunchType" not in properties
        # The family and not a revision: CloudFormation may not change the task definition of such a service.
        assert properties["TaskDefinition"] == f"tap-{synthesised.environment}-{service_name(synthesised, service)}"


def service_name(synthesised: Synthesised, service: dict[str, Any]) -> str:
    return service["Properties"]["TaskDefinition"].removeprefix(f"tap-{synthesised.environment}-")


def test_services_wait_for_both_listeners(synthesised: Synthesised) -> None:
    rules = synthesised.resources("Ecs", "AWS::ElasticLoadBalancingV2::ListenerRule")
    for service in synthesised.resources("Ecs", "AWS::ECS::Service").values():
        (target,) = references(service["Properties"]["LoadBalancers"])
        needed = {name for name, rule in rules.items() if target in references(rule["Properties"]["Actions"])}
        assert len(needed) == 2
        assert needed <= set(service["DependsOn"])


def test_services_are_taken_away_before_the_capacity_that_they_use(synthesised: Synthesised) -> None:
    (providers,) = synthesised.resources("Ecs", "AWS::ECS::ClusterCapacityProviderAssociations")
    assert all(providers in service["DependsOn"] for service in synthesised.resources("Ecs", "AWS::ECS::Service").values())


def test_port_80_leads_pages_on_and_no_request_that_carries_a_key(prod: Synthesised) -> None:
    listeners = prod.resources("Ecs", "AWS::ElasticLoadBalancingV2::Listener")
    (plain,) = [name for name, each in listeners.items() if each["Properties"]["Port"] == 80]
    rules = sorted(
        (
            each["Properties"]
            for each in prod.resources("Ecs", "AWS::ElasticLoadBalancingV2::ListenerRule").values()
            if plain in references(each)
        ),
        key=lambda rule: rule["Priority"],
    )
    keys, pages = rules
    assert keys["Conditions"] == [{"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "Authorization", "Values": ["*"]}}]
    assert keys["Actions"][0]["FixedResponseConfig"]["StatusCode"] == "403"
    conditions = {each["Field"]: each for each in pages["Conditions"]}
    assert conditions["path-pattern"]["PathPatternConfig"]["Values"] == ["/pay/*"]
    assert conditions["http-request-method"]["HttpRequestMethodConfig"]["Values"] == ["GET", "HEAD"]
    assert pages["Actions"][0]["RedirectConfig"]["Protocol"] == "HTTPS"


def test_what_other_services_call_is_shifted_by_the_release_that_shifts_everything_else_of_it(synthesised: Synthesised) -> None:
    """Its name leads to the load balancer between the services, and CodeDeploy moves the listener there: it has one pair and one listener per service."""
    ecs = synthesised.resources("Ecs")
    (internal,) = [name for name, each in ecs.items() if each["Properties"].get("Scheme") == "internal"]
    named = {each["Properties"]["Name"]: name for name, each in ecs.items() if each["Type"] == "AWS::ServiceDiscovery::Service"}
    (instance,) = [each["Properties"] for each in ecs.values() if each["Type"] == "AWS::ServiceDiscovery::Instance"]
    assert references(instance["ServiceId"]) == {named[Service.TRANSACTION_PROCESSOR]}
    assert references(instance["InstanceAttributes"]["AWS_ALIAS_DNS_NAME"]) == {internal}
    registered = {
        service_name(synthesised, each)
        for each in ecs.values()
        if each["Type"] == "AWS::ECS::Service" and "ServiceRegistries" in each["Properties"]
    }
    assert registered == {Service.PAYMENT_API, Service.NOTIFICATION_SERVICE}, "tasks that a name leads to directly are shifted by nothing"
    ports = {name: each["Properties"]["Port"] for name, each in ecs.items() if each["Type"] == "AWS::ElasticLoadBalancingV2::Listener"}
    outputs = {name: references(each["Value"]) for name, each in synthesised.templates["Ecs"]["Outputs"].items()}
    for group in synthesised.resources("Deployment", "AWS::CodeDeploy::DeploymentGroup").values():
        (pair,) = group["Properties"]["LoadBalancerInfo"]["TargetGroupPairInfoList"]
        routes = []
        for route_name in ("ProdTrafficRoute", "TestTrafficRoute"):
            (parameter,) = references(pair[route_name]["ListenerArns"])
            (output,) = [name for name in outputs if parameter.endswith(name)]
            (listener,) = outputs[output]
            routes.append(ports[listener])
        production = 443 if synthesised.environment == "prod" else 80
        called = service_name_of_group(group) == f"tap-{synthesised.environment}-{Service.TRANSACTION_PROCESSOR}"
        assert routes == ([8080, 8081] if called else [production, 8443])


def service_name_of_group(group: dict[str, Any]) -> str:
    return group["Properties"]["DeploymentGroupName"]


def test_an_environment_that_gets_a_certificate_frees_port_80_before_the_redirect_takes_it(prod: Synthesised) -> None:
    listeners = prod.resources("Ecs", "AWS::ElasticLoadBalancingV2::Listener")
    names = {each["Properties"]["Port"]: name for name, each in listeners.items()}
    assert names[443] in listeners[names[80]]["DependsOn"]


def test_traffic_stays_where_it_is_when_green_serves(environments: dict[str, Synthesised], with_options: Synthesised) -> None:
    """The rules are synthesised as a release left them, and nothing else changes for that: least of all the services."""
    now, before = with_options.resources("Ecs"), environments["dev"].resources("Ecs")
    changed = {name for name, each in now.items() if each != before[name] and each["Type"] != "AWS::ECS::TaskDefinition"}
    assert {now[name]["Type"] for name in changed} == {"AWS::ElasticLoadBalancingV2::ListenerRule"}
    assert len(changed) == 2, "production and test"
    assert all("paymentapiGreen" in json.dumps(now[name]["Properties"]["Actions"]) for name in changed)


def test_nothing_of_a_service_differs_by_size_so_that_no_update_touches_it(environments: dict[str, Synthesised]) -> None:
    """CloudFormation sends all properties with an update, and CodeDeploy's services refuse them; tasks start when there are images."""
    services = [
        {name: each["Properties"] for name, each in synthesised.resources("Ecs", "AWS::ECS::Service").items()}
        for synthesised in environments.values()
    ]
    for name, properties in services[0].items():
        assert properties["DesiredCount"] == 0
        for other in services[1:]:
            differing = {key for key in properties if properties[key] != other[name][key]}
            assert differing <= {"TaskDefinition", "Tags", "NetworkConfiguration"}, name


def test_every_task_that_may_be_stopped_early_keeps_a_base_that_is_not(synthesised: Synthesised) -> None:
    for service in synthesised.resources("Ecs", "AWS::ECS::Service").values():
        strategy = {each["CapacityProvider"]: each for each in service["Properties"]["CapacityProviderStrategy"]}
        assert (strategy["FARGATE"]["Base"], strategy["FARGATE"]["Weight"]) == (2, 1)
        name = service_name(synthesised, service)
        assert ("FARGATE_SPOT" in strategy) == (name != Service.TRANSACTION_PROCESSOR)


def test_service_discovery_forgets_quickly(synthesised: Synthesised) -> None:
    registered = synthesised.resources("Ecs", "AWS::ServiceDiscovery::Service")
    assert {each["Properties"]["Name"] for each in registered.values()} == set(SERVICES)
    for each in registered.values():
        assert each["Properties"]["DnsConfig"]["DnsRecords"] == [{"TTL": 10, "Type": "A"}]


def test_error_shares_count_blue_and_green(synthesised: Synthesised) -> None:
    failing = [
        each["Properties"]
        for each in synthesised.resources("Monitoring", "AWS::CloudWatch::Alarm").values()
        if "failing" in json.dumps(each["Properties"].get("AlarmDescription", "")) or "with 5xx" in each["Properties"]["AlarmDescription"]
    ]
    assert len(failing) == 3
    for alarm in failing:
        counted = [each["MetricStat"]["Metric"] for each in alarm["Metrics"] if "MetricStat" in each]
        groups = {json.dumps(d["Value"]) for metric in counted for d in metric["Dimensions"] if d["Name"] == "TargetGroup"}
        assert len(groups) == 2
        assert alarm["TreatMissingData"] == "notBreaching"


def test_access_logs_can_be_written_before_the_load_balancer_is_made(synthesised: Synthesised) -> None:
    balancers = synthesised.resources("Ecs", "AWS::ElasticLoadBalancingV2::LoadBalancer")
    policies = synthesised.resources("Ecs", "AWS::S3::BucketPolicy")
    assert len(balancers) == 2
    for name, balancer in balancers.items():
        assert set(policies) <= set(balancer["DependsOn"]), name
    assert "logdelivery.elasticloadbalancing.amazonaws.com" in json.dumps(policies)
    bucket = synthesised.only("Ecs", "AWS::S3::Bucket")
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}


def containers(synthesised: Synthesised) -> dict[str, dict[str, Any]]:
    return {
        each["Properties"]["Family"].removeprefix(f"tap-{synthesised.environment}-"): each["Properties"]["ContainerDefinitions"][0]
        for each in synthesised.resources("Ecs", "AWS::ECS::TaskDefinition").values()
    }


@pytest.mark.parametrize("service", SERVICES)
def test_a_task_sets_every_variable_that_its_service_reads(synthesised: Synthesised, service: Service) -> None:
    container = containers(synthesised)[service]
    later = {"TAP_DATABASE_SECRET_ARN": "arn:aws:secretsmanager:eu-west-1:000000000000:secret:database"}
    variables = {
        each["Name"]: each["Value"] if isinstance(each["Value"], str) else later.get(each["Name"], "resolved-later")
        for each in container["Environment"]
    }
    secrets = {each["Name"]: "ab" * 32 for each in container["Secrets"]}
    arn = "arn:aws:secretsmanager:eu-west-1:111111111111:secret:DatabaseSecret-AbCdEf"
    assert "DatabaseSecret" in json.dumps([each["Value"] for each in container["Environment"] if each["Name"] == DATABASE_SECRET_VARIABLE])
    settings = Settings.from_environment({**variables, **secrets, DATABASE_SECRET_VARIABLE: arn})
    assert settings.database_secret is not None
    assert settings.database_role == SERVICES[service].database_role
    assert settings.environment == synthesised.environment
    assert "sslmode=verify-full" in settings.database_url
    assert not settings.allow_private_webhook_targets
    assert settings.webhook_ports == set(WEBHOOK_PORTS), "what the tasks' security group lets out"
    assert not {name for name in variables if re.search("KEY|PASSWORD|SECRET|PEPPER", name.removesuffix("_SECRET_ARN"))}, (
        "a secret in plain sight"
    )


def test_what_alarms_and_scaling_watch_is_emitted(synthesised: Synthesised) -> None:
    watched: set[tuple[str, str]] = set()

    def look(value: Any) -> None:
        if isinstance(value, dict):
            if value.get("Namespace") == METRIC_NAMESPACE:
                dimensions = {each["Name"]: each["Value"] for each in value["Dimensions"]}
                assert tuple(sorted(dimensions)) == METRIC_DIMENSIONS
                assert dimensions["Environment"] == synthesised.environment
                watched.add((dimensions["Service"], value["MetricName"]))
            for inner in value.values():
                look(inner)
        elif isinstance(value, list):
            for inner in value:
                look(inner)

    for stack in synthesised.templates:
        look(synthesised.templates[stack]["Resources"])
    assert watched == {(service.value, metric.value) for service, spec in SERVICES.items() for metric in spec.metrics}
    assert {Metric.BACKLOG} <= {Metric(name) for _, name in watched}


def test_paths_go_where_the_code_routes_them(synthesised: Synthesised) -> None:
    resources = synthesised.resources("Ecs")
    short = {"api": Service.PAYMENT_API, "processor": Service.TRANSACTION_PROCESSOR, "notify": Service.NOTIFICATION_SERVICE}
    ports = {
        each["Properties"]["Port"]: name for name, each in resources.items() if each["Type"] == "AWS::ElasticLoadBalancingV2::Listener"
    }
    public, internal = {ports[443] if 443 in ports else ports[80], ports[8443]}, {ports[8080], ports[8081]}

    def balanced(path: str, listeners: set[str]) -> Service | None:
        """Traffic's listener and that for tests agree."""
        (group,) = {route_by(resources, listener)(path) for listener in listeners}
        return None if group is None else short[resources[group]["Properties"]["Name"].split("-")[1]]

    for path in (
        "/v1/payment_intents",
        "/v1/events",
        "/v1/events/evt_1",
        "/v1/webhook_endpoints/we_1/rotate_secret",
        "/v1/balance",
        "/v1/balance_transactions/txn_1",
        "/v1/notifications/deliveries",
        "/pay/authenticate/test/1/pi_1",
        "/v1/eventsx",
    ):
        assert balanced(path, public) is entered_by(path)
        called = SERVICES[route(path)].is_called_by_services
        assert balanced(path, internal) is (route(path) if called else None)
    for path in ("/internal/attempts", "/health", "/", "/admin"):
        assert balanced(path, public) is None
    assert balanced("/internal/attempts", internal) is Service.TRANSACTION_PROCESSOR


def test_ids_that_must_never_change(prod: Synthesised) -> None:
    """A changed logical id replaces the resource: a new target group, service, listener, database or key under running traffic."""
    kinds = (
        "AWS::ECS::Service",
        "AWS::ElasticLoadBalancingV2::TargetGroup",
        "AWS::ElasticLoadBalancingV2::ListenerRule",
        "AWS::ElasticLoadBalancingV2::Listener",
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        "AWS::RDS::DBCluster",
        "AWS::KMS::Key",
        "AWS::SecretsManager::Secret",
        "AWS::ECR::Repository",
        "AWS::CodeDeploy::DeploymentGroup",
        "AWS::ServiceDiscovery::Service",
    )
    ids = sorted(name for kind in kinds for name in prod.all(kind))
    assert ids == json.loads(CONSTANTS.read_text())


def test_whoever_is_named_is_told_of_alarms(environments: dict[str, Synthesised], with_options: Synthesised) -> None:
    subscribed = with_options.only("Monitoring", "AWS::SNS::Subscription")
    assert (subscribed["Protocol"], subscribed["Endpoint"]) == ("email", "oncall@example.com")
    assert not environments["dev"].resources("Monitoring", "AWS::SNS::Subscription")


def test_webhooks_may_go_to_private_addresses_only_when_that_is_said(
    environments: dict[str, Synthesised], with_options: Synthesised
) -> None:
    said = "TAP_ALLOW_PRIVATE_WEBHOOK_TARGETS"
    assert all({"Name": said, "Value": "true"} in container["Environment"] for container in containers(with_options).values())
    for synthesised in environments.values():
        assert said not in json.dumps(synthesised.templates["Ecs"])


@pytest.fixture(scope="module")
def app() -> Generator[WarmApp]:
    with warm_app() as running:
        yield running


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"environmentSuffix": "Dev"}, "must be 1 to 12 lower-case letters"),
        ({"environmentSuffix": "prod"}, "prod needs a certificate"),
        ({"environmentSuffix": "prod", "certificateArn": "arn:aws:acm:eu-west-1:1:certificate/1"}, "A certificate needs the name"),
        ({"environmentSuffix": "dev", "serving": '{"payment-api": "red"}'}, "The context's `serving` must be like"),
        ({"environmentSuffix": "dev", "region": "xx-new-1"}, "xx-new-1 has no certificate authority in rds-global-bundle.pem"),
        ({"environmentSuffix": "dev", "region": "us-west-1"}, "us-west-1 has two availability zones"),
    ],
)
def test_a_mistake_is_one_line_before_synthesis(app: WarmApp, tmp_path: Path, context: dict[str, str], message: str) -> None:
    complains(app(tmp_path, **context), tmp_path, message)


def complains(done: subprocess.CompletedProcess[str], directory: Path, message: str) -> None:
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "WARNING" not in line and line.strip()]
    assert message in line
    assert not list(directory.glob("*.template.json"))


def test_a_mistake_is_all_that_is_said_in_a_process_of_its_own(tmp_path: Path) -> None:
    complains(run_app(tmp_path, environmentSuffix="Dev"), tmp_path, "must be 1 to 12 lower-case letters")


def test_every_environment_has_its_sizes() -> None:
    assert ENVIRONMENTS.keys() == {"dev", "staging", "prod"}


def test_the_test_listener_is_open_to_our_own_nat_gateways_alone(synthesised: Synthesised) -> None:
    """Its load balancer has public addresses inside of the network too, so that a rule for the network's own would never match."""
    rules = [
        each["Properties"]
        for each in synthesised.resources("Security", "AWS::EC2::SecurityGroupIngress").values()
        if each["Properties"]["FromPort"] == 8443
    ]
    assert len(rules) == len(synthesised.resources("Networking", "AWS::EC2::NatGateway"))
    assert all("VpcpublicSubnet" in json.dumps(rule["CidrIp"]) and "/32" in json.dumps(rule["CidrIp"]) for rule in rules)


def test_code_deploy_may_call_the_release_check_and_it_may_answer(synthesised: Synthesised) -> None:
    """CodeDeploy's managed policy lets it call functions of that prefix alone."""
    ((name, function),) = (
        (name, each)
        for name, each in synthesised.resources("Deployment", "AWS::Lambda::Function").items()
        if each["Properties"]["Handler"] == "synthetic_payment.handler"
    )
    properties = function["Properties"]
    assert properties["FunctionName"] == f"CodeDeployHook_tap-{synthesised.environment}"
    assert ":8443" in json.dumps(properties["Environment"]["Variables"]["TEST_URL"])
    assert properties["VpcConfig"], name
    (policy,) = (
        each["Properties"]["PolicyDocument"]["Statement"]
        for each in synthesised.resources("Deployment", "AWS::IAM::Policy").values()
        if "codedeploy:PutLifecycleEventHookExecutionStatus" in json.dumps(each)
    )
    answer = next(each for each in policy if each["Action"] == "codedeploy:PutLifecycleEventHookExecutionStatus")
    assert all(f"tap-{synthesised.environment}-{service}/" in json.dumps(answer["Resource"]) for service in SERVICES)


def test_the_cdk_is_pinned() -> None:
    """An accidental 3.0.0 of its command line exists."""
    wanted = json.loads((ROOT / "package.json").read_text())["devDependencies"]["aws-cdk"]
    locked = json.loads((ROOT / "package-lock.json").read_text())["packages"]["node_modules/aws-cdk"]
    assert re.fullmatch(r"2\.\d+\.\d+", wanted)
    assert locked["version"] == wanted
    assert locked["integrity"].startswith("sha512-")
