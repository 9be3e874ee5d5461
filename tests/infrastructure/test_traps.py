"""What synthesises and then fails at deploy, or causes an outage later."""

import json
import re
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from lib.environments import ENVIRONMENTS
from payments.acquirers.configuration import configured
from payments.cli.assembly import architecture
from payments.runtime.settings import Settings
from payments.runtime.topology import (
    DATABASE_SECRET_VARIABLE,
    MAIL_PORTS,
    METRIC_DIMENSIONS,
    METRIC_NAMESPACE,
    QUEUES_VARIABLE,
    SERVICES,
    SMTP_URL_VARIABLE,
    WEBHOOK_PORTS,
    Architecture,
    Metric,
    Service,
)
from tests.infrastructure.conftest import ROOT, Synthesised, goes_out, run_app
from tests.support.assemblies import QUEUE
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


def test_services_are_taken_away_before_the_capacity_that_they_use(synthesised: Synthesised) -> None:
    (providers,) = synthesised.resources("Ecs", "AWS::ECS::ClusterCapacityProviderAssociations")
    assert all(providers in service["DependsOn"] for service in synthesised.resources("Ecs", "AWS::ECS::Service").values())


def test_traffic_stays_where_it_is_when_green_serves(environments: dict[str, Synthesised], with_options: Synthesised) -> None:
    """The rules are synthesised as a release left them, and nothing else changes for that: least of all the services."""
    now, before = with_options.resources("Ecs"), environments["dev"].resources("Ecs")
    by_other_options = {"AWS::ECS::TaskDefinition", "AWS::IAM::Policy", "AWS::ElasticLoadBalancingV2::LoadBalancer"}
    changed = {name for name, each in now.items() if each != before[name] and each["Type"] not in by_other_options}
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
    settings = Settings.from_environment({**variables, **secrets, DATABASE_SECRET_VARIABLE: arn})
    assert settings.database_secret is not None
    assert settings.database_role is None, "a role that is taken can be left: it logs in as itself"
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
    subscribed = [each["Properties"] for each in with_options.resources("Monitoring", "AWS::SNS::Subscription").values()]
    assert {(each["Protocol"], each["Endpoint"]) for each in subscribed} == {("email", "oncall@example.com")}
    assert {each["TopicArn"]["Ref"] for each in subscribed} == set(with_options.resources("Monitoring", "AWS::SNS::Topic"))
    assert not environments["dev"].resources("Monitoring", "AWS::SNS::Subscription")


def test_the_network_is_in_the_zones_that_are_said_and_else_in_the_regions_first(
    environments: dict[str, Synthesised], with_options: Synthesised
) -> None:
    def zones(synthesised: Synthesised) -> set[str]:
        subnets = synthesised.resources("Networking", "AWS::EC2::Subnet").values()
        assert len(subnets) == 9
        return {json.dumps(each["Properties"]["AvailabilityZone"]) for each in subnets}

    assert zones(with_options) == {'"eu-west-1b"', '"eu-west-1c"', '"eu-west-1d"'}
    for synthesised in environments.values():
        assert zones(synthesised) == {json.dumps({"Fn::Select": [number, {"Fn::GetAZs": ""}]}) for number in range(3)}


def test_the_processors_are_those_that_are_said(environments: dict[str, Synthesised], with_options: Synthesised) -> None:
    def asked_for(synthesised: Synthesised) -> set[str]:
        tasks = synthesised.resources("Ecs", "AWS::ECS::TaskDefinition").values()
        return {each["Properties"]["RuntimePlatform"]["CpuArchitecture"] for each in tasks}

    assert asked_for(with_options) == {"ARM64"}
    assert architecture(with_options.templates.values()) is Architecture.ARM64, "what images are built for"
    for synthesised in environments.values():
        assert asked_for(synthesised) == {"X86_64"}
        assert architecture(synthesised.templates.values()) is Architecture.X86_64


def test_clients_come_by_ipv6_when_that_is_said_and_nothing_else_has_such_an_address(
    environments: dict[str, Synthesised], with_options: Synthesised
) -> None:
    balancers = [each["Properties"] for each in with_options.resources("Ecs", "AWS::ElasticLoadBalancingV2::LoadBalancer").values()]
    assert {each["Scheme"]: each.get("IpAddressType") for each in balancers} == {"internet-facing": "dualstack", "internal": None}
    network = with_options.resources("Networking")
    blocks = [name for name, each in network.items() if each["Type"] == "AWS::EC2::VPCCidrBlock"]
    having = {name: each for name, each in network.items() if "Ipv6CidrBlock" in each["Properties"] and each["Type"] == "AWS::EC2::Subnet"}
    assert {"public" in name for name in having} == {True}
    assert len(having) == 3
    assert all(each["DependsOn"] == blocks for each in having.values())
    assert len({json.dumps(each["Properties"]["Ipv6CidrBlock"]) for each in having.values()}) == 3
    routes = [each["Properties"] for each in network.values() if each["Properties"].get("DestinationIpv6CidrBlock") == "::/0"]
    assert len(routes) == 3
    open_to_all = [
        each["Properties"]["FromPort"]
        for each in with_options.all("AWS::EC2::SecurityGroupIngress").values()
        if each["Properties"].get("CidrIpv6") == "::/0"
    ]
    assert sorted(open_to_all) == [80, 443]
    for synthesised in environments.values():
        assert "pv6" not in json.dumps([synthesised.templates["Networking"], synthesised.templates["Security"]])


def test_webhooks_may_go_to_private_addresses_only_when_that_is_said(
    environments: dict[str, Synthesised], with_options: Synthesised
) -> None:
    said = "TAP_ALLOW_PRIVATE_WEBHOOK_TARGETS"
    assert all({"Name": said, "Value": "true"} in container["Environment"] for container in containers(with_options).values())
    for synthesised in environments.values():
        assert said not in json.dumps(synthesised.templates["Ecs"])


def test_only_who_talks_to_acquirers_is_given_their_secrets(synthesised: Synthesised) -> None:
    def given(name: str) -> set[str]:
        return {each["Name"] for each in containers(synthesised)[name]["Secrets"]} & {"TAP_ACQUIRERS_TOML", "TAP_ACQUIRER_SECRETS"}

    assert {name: given(name) for name in containers(synthesised)} == {
        "payment-api": {"TAP_ACQUIRERS_TOML"},
        "transaction-processor": {"TAP_ACQUIRERS_TOML", "TAP_ACQUIRER_SECRETS"},
        "notification-service": set(),
        "migrate": set(),
    }
    initial = [
        json.loads(each["Properties"]["SecretString"])
        for each in synthesised.resources("Security", "AWS::SecretsManager::Secret").values()
        if "SecretString" in each["Properties"]
    ]
    assert sorted(initial, key=str) == [{"configuration": "# None yet: tap acquirers set"}, {"secrets": "{}"}]
    assert configured({"TAP_ACQUIRERS_TOML": initial[0]["configuration"]}).acquirers == []


def test_the_test_listener_is_open_to_our_own_network_and_whom_the_operator_names(
    environments: dict[str, Synthesised], with_options: Synthesised
) -> None:
    def sources(synthesised: Synthesised) -> list[Any]:
        rules = (each["Properties"] for each in synthesised.all("AWS::EC2::SecurityGroupIngress").values())
        return [rule["CidrIp"] for rule in rules if rule["FromPort"] == 8443]

    assert sources(with_options)[1:] == ["203.0.113.7/32"]
    assert all(isinstance(each, dict) for each in sources(environments["prod"])), "references to NAT gateways"


def test_tasks_reach_the_ports_of_acquirers(with_options: Synthesised) -> None:
    assert ("Ecs", "0.0.0.0/0", 5001) in goes_out(with_options)


def test_events_go_to_queues_and_mail_goes_out_as_the_operator_says(
    with_options: Synthesised, environments: dict[str, Synthesised]
) -> None:
    assert {("Ecs", "0.0.0.0/0", port) for port in MAIL_PORTS} <= goes_out(with_options)
    assert not {("Ecs", "0.0.0.0/0", port) for port in MAIL_PORTS} & goes_out(environments["dev"])
    containers = {
        name: each["Properties"]["ContainerDefinitions"][0] for name, each in with_options.all("AWS::ECS::TaskDefinition").items()
    }
    told = {name for name, each in containers.items() if {"Name": QUEUES_VARIABLE, "Value": QUEUE} in each["Environment"]}
    mailing = {name for name, each in containers.items() if SMTP_URL_VARIABLE in {secret["Name"] for secret in each["Secrets"]}}
    assert len(told) == 1
    assert told == mailing
    assert all("notification" in name for name in told), "and no other service"
    (policy,) = [each for each in with_options.all("AWS::IAM::Policy").values() if "sqs:SendMessage" in json.dumps(each)]
    (sends,) = [each for each in policy["Properties"]["PolicyDocument"]["Statement"] if each["Action"] == "sqs:SendMessage"]
    assert sends["Resource"] == QUEUE


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
        ({"environmentSuffix": "dev", "architecture": "sparc"}, "must be x86-64 or arm64, and not sparc"),
        ({"environmentSuffix": "dev", "frameAncestors": "shop.example; script-src *"}, "The context's `frameAncestors` must be origins"),
        ({"environmentSuffix": "dev", "acquirerPorts": "5001,none"}, "The context's `acquirerPorts` must be ports"),
        ({"environmentSuffix": "dev", "acquirerPorts": "0"}, "The context's `acquirerPorts` must be ports"),
        ({"environmentSuffix": "dev", "testAddresses": "203.0.113.0/24"}, "The context's `testAddresses` must be IPv4 addresses"),
        ({"environmentSuffix": "dev", "queues": "arn:aws:s3:::bucket"}, "The context's `queues` must be ARNs"),
        ({"environmentSuffix": "dev", "mailFrom": "receipts@shop.example"}, "Mail needs both"),
        ({"environmentSuffix": "dev", "availabilityZones": "eu-west-1a,eu-west-1b"}, "must be three different zones"),
        ({"environmentSuffix": "dev", "availabilityZones": "eu-west-1a,eu-west-1b,eu-west-1b"}, "must be three different zones"),
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
    """Also where jsii would refuse to unpack the CDK: in a cache where others may write."""
    cache = tmp_path / "home" / ".cache"
    cache.mkdir(parents=True)
    cache.chmod(0o775)
    complains(run_app(tmp_path, tmp_path / "home", environmentSuffix="Dev"), tmp_path, "must be 1 to 12 lower-case letters")
    assert not list(cache.iterdir())


def test_every_environment_has_its_sizes() -> None:
    assert ENVIRONMENTS.keys() == {"dev", "staging", "prod"}


def test_code_deploy_may_call_the_release_check_and_it_may_answer(synthesised: Synthesised) -> None:
    """CodeDeploy's managed policy lets it call functions of that prefix alone."""
    ((name, function),) = (
        (name, each)
        for name, each in synthesised.resources("Deployment", "AWS::Lambda::Function").items()
        if each["Properties"]["Handler"] == "synthetic_payment.handler"
    )
    properties = function["Properties"]
    assert properties["FunctionName"] == f"CodeDeployHook_tap-{synthesised.environment}"
    variables = properties["Environment"]["Variables"]
    assert ":8443" in json.dumps(variables["TEST_URL"])
    listeners = synthesised.resources("Ecs", "AWS::ElasticLoadBalancingV2::Listener")
    (live,) = {
        name: rule
        for name, rule in listeners.items()
        if "FrontDoor" in name and rule["Properties"]["Port"] in (80, 443) and "Plain" not in name
    }
    assert ("https" in json.dumps(variables["LIVE_URL"])) == (listeners[live]["Properties"]["Port"] == 443)
    assert properties["VpcConfig"], name
    (policy,) = (
        each["Properties"]["PolicyDocument"]["Statement"]
        for each in synthesised.resources("Deployment", "AWS::IAM::Policy").values()
        if "codedeploy:PutLifecycleEventHookExecutionStatus" in json.dumps(each)
    )
    answer = next(each for each in policy if "codedeploy:PutLifecycleEventHookExecutionStatus" in each["Action"])
    assert all(f"tap-{synthesised.environment}-{service}/" in json.dumps(answer["Resource"]) for service in SERVICES)


def test_the_cdk_is_pinned() -> None:
    """An accidental 3.0.0 of its command line exists."""
    wanted = json.loads((ROOT / "package.json").read_text())["devDependencies"]["aws-cdk"]
    locked = json.loads((ROOT / "package-lock.json").read_text())["packages"]["node_modules/aws-cdk"]
    assert re.fullmatch(r"2\.\d+\.\d+", wanted)
    assert locked["version"] == wanted
    assert locked["integrity"].startswith("sha512-")
