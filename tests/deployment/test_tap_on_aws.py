"""`tap deploy`, `release`, `rollback`, `status` and `verify` as an operator uses them, on an emulated AWS."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from payments.cli.assembly import Assembly, synthesise
from payments.cli.aws.clients import connect
from payments.cli.aws.environment import DeployedEnvironment
from payments.cli.aws.plan import deployed_colours, deployed_templates, make_plan
from payments.cli.aws.zones import kept_zones
from payments.runtime.topology import RELEASED_IMAGE_PREFIX, SERVICES, Colour, Service
from rehearsal.emulator.database import SERVERLESS_ZONES
from tests.support.emulated_aws import REGION, clients, running_emulator
from tests.support.front_door import front_door
from tests.support.operator import API, ENVIRONMENT, NAMES, Operator
from tests.support.waiting import wait_until
from tests.support.warm_app import warm_app

KEPT_SECONDS_PER_MINUTE = 20.0
"""Old tasks are kept for five minutes: long enough to go back in on the busiest machine. Nobody waits for their end."""


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Generator[Operator]:
    directory = tmp_path_factory.mktemp("operator")
    engine = directory / "engine"
    engine.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).with_name("fake_engine.py")}" "$@"\n')
    engine.chmod(engine.stat().st_mode | stat.S_IXUSR)
    with (
        running_emulator(directory, kept_seconds_per_minute=KEPT_SECONDS_PER_MINUTE) as emulator,
        clients(emulator) as aws,
        front_door() as door,
        warm_app() as app,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in emulator.environment.items():
            patch.setenv(name, value)
        checkout = app.checkout(directory / "checkout")
        yield Operator(emulator, aws, door, engine, directory / "cdk", DeployedEnvironment(connect(REGION), NAMES), checkout)


@pytest.fixture(scope="module")
def first(operator: Operator) -> str:
    """What the first deployment printed; its release check pays at the front door of these tests."""
    output = operator.deploy("one", "--bootstrap", "--new")
    configuration = operator.aws.functions.get_function_configuration(FunctionName=NAMES.hook_function)
    variables = {**configuration.get("Environment", {}).get("Variables", {}), "TEST_URL": operator.door.url, "LIVE_URL": operator.door.url}
    operator.aws.functions.update_function_configuration(FunctionName=NAMES.hook_function, Environment={"Variables": variables})
    return output


@pytest.fixture
def deployed(operator: Operator, first: str) -> Generator[Operator]:
    assert first
    operator.door.declines = False
    operator.settle()
    yield operator
    operator.settle()


def test_without_bootstrap_nothing_is_begun(operator: Operator) -> None:
    line = operator.deploy("one", fails=True)
    assert "deploy once with --bootstrap" in line


def test_an_environment_comes_from_nothing_in_one_command(operator: Operator, first: str) -> None:
    for service in SERVICES:
        state = operator.service(service)
        assert state["tasks"] == {"desired": 1, "running": 1}
        assert state["traffic"] == {"blue": 100, "green": 0}
        assert state["image"] == f"{NAMES.repository(service)}:one"
        assert is_kept(operator, service, "one")
    zones = ",".join(f"{REGION}{letter}" for letter in SERVERLESS_ZONES)
    assert kept_zones(deployed_templates(operator.environment), None) == zones, "and not the region's first three"
    assert "The database's schema is up to date." in first
    assert f"pi_1 succeeded through {operator.door.url}" in first
    assert f"ClusterName{ENVIRONMENT} = tap-{ENVIRONMENT}" in first
    (key,) = operator.door.keys
    assert key.startswith("sk_test_")
    assert key not in first
    assert "CREATE_COMPLETE" in first, "progress, resource by resource"


def is_kept(operator: Operator, service: Service, tag: str) -> bool:
    """Whether an image's repository keeps it for having been in service."""
    found = operator.aws.ecr.describe_images(repositoryName=NAMES.repository(service), imageIds=[{"imageTag": tag}])["imageDetails"]
    return any(each.startswith(RELEASED_IMAGE_PREFIX) for each in found[0].get("imageTags", []))


def test_a_later_deployment_leaves_what_runs(deployed: Operator) -> None:
    before = deployed.service()
    output = deployed.deploy("two")
    assert deployed.service() == before
    assert f"payment-api still runs {before['image']}. Bring two into service: tap release payment-api --image two" in output
    assert not is_kept(deployed, API, "two"), "it was pushed, and isn't in service"


def test_a_release_moves_traffic_and_the_next_deployment_leaves_it_there(deployed: Operator) -> None:
    before = deployed.service()
    asked = len(deployed.door.asked)
    output = deployed.tap("release", API, "--image", "two", "--build")
    after = deployed.service()
    assert {"POST /v1/payment_intents", "GET /v1/balance", "GET /v1/events"} <= set(deployed.door.asked[asked:]), (
        "the release was tried out"
    )
    assert after["image"].startswith("tap-prcli/payment-api@sha256:")
    assert after["traffic"] == {colour: 100 - share for colour, share in before["traffic"].items()}
    assert "ALARM" not in after["alarms"].values()
    assert "AfterAllowTestTraffic: Succeeded" in output
    assert "payment-api runs two." in output
    assert is_kept(deployed, API, "two")
    deployed.settle()
    output = deployed.deploy("two", "--dry-run")
    assert "Nothing was changed: that was a dry run." in output
    (summary,) = [line for line in output.splitlines() if line.startswith("Resources:")]
    assert summary == "Resources: 0 added, 0 removed, 0 changed", (
        "rules stay as CloudFormation knows them: not even a rollback touches them"
    )
    assert deployed.service()["traffic"] == after["traffic"]
    strategy = deployed.aws.ecs.describe_services(cluster=NAMES.cluster, services=[_ecs_service(deployed)])["services"][0]
    (task_set,) = strategy.get("taskSets", [])
    assert {each["capacityProvider"] for each in task_set.get("capacityProviderStrategy", [])} == {"FARGATE", "FARGATE_SPOT"}


def _ecs_service(operator: Operator) -> str:
    name = NAMES.task_family(API)
    group = operator.aws.codedeploy.get_deployment_group(applicationName=name, deploymentGroupName=name)["deploymentGroupInfo"]
    return group.get("ecsServices", [])[0].get("serviceName", "")


def test_going_back_while_the_old_tasks_are_kept(deployed: Operator) -> None:
    before = deployed.service()
    deployed.tap("release", API, "--image", "four", "--build")
    assert "runs already" in deployed.tap("release", API, "--image", "two", fails=True)
    output = deployed.tap("rollback", API)
    assert "traffic goes back to the old tasks" in output
    after = deployed.service()
    assert (after["traffic"], after["task_definition"]) == (before["traffic"], before["task_definition"])


def test_going_back_after_the_old_tasks_ended_though_the_alarm_is_red(deployed: Operator) -> None:
    before = deployed.service()
    deployed.tap("release", API, "--image", "five", "--build")
    deployed.settle()
    with deployed.red_alarm():
        output = deployed.tap("rollback", API)
        assert ": ALARM (A test says so)" in output
    after = deployed.service()
    assert after["task_definition"] == before["task_definition"]
    assert after["traffic"] == before["traffic"]


def test_a_release_follows_another_when_told_to_end_the_old_tasks(deployed: Operator) -> None:
    deployed.tap("release", API, "--image", "six", "--build")
    output = deployed.tap("release", API, "--image", "seven", "--build", "--end-wait")
    assert "end now" in output
    assert "payment-api runs seven" in output


def test_a_release_whose_tasks_die_is_given_up_and_the_next_one_is_not(deployed: Operator) -> None:
    before = deployed.service()
    line = deployed.tap("release", API, "--image", "failing", "--build", "--skip-migration", fails=True)
    assert "its new tasks don't start" in line
    after = deployed.service()
    assert (after["traffic"], after["task_definition"]) == (before["traffic"], before["task_definition"])
    assert "payment-api runs fourteen." in deployed.tap("release", API, "--image", "fourteen", "--build")


def test_a_release_that_cannot_pay_gets_no_traffic(deployed: Operator) -> None:
    before = deployed.service()
    deployed.door.declines = True
    line = deployed.tap("release", API, "--image", "eight", "--build", fails=True)
    assert "HOOK_EXECUTION_FAILURE" in line
    after = deployed.service()
    assert (after["traffic"], after["task_definition"]) == (before["traffic"], before["task_definition"])


def test_an_alarm_undoes_a_release_and_refuses_the_next(deployed: Operator) -> None:
    before = deployed.service()
    with deployed.held_release("nine") as process, deployed.red_alarm():
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 1, output + errors
        assert "(ALARM_ACTIVE)" in errors
        assert "was stopped by somebody" not in errors
        wait_until(lambda: deployed.service()["deployment"] is None, "the rollback ended", 60)
        assert "is red" in deployed.tap("release", API, "--image", "nine", fails=True)
    after = deployed.service()
    assert (after["traffic"], after["task_definition"]) == (before["traffic"], before["task_definition"])


def test_an_alarm_brings_traffic_back_while_the_old_tasks_are_kept(deployed: Operator) -> None:
    before = deployed.service()
    deployed.tap("release", API, "--image", "twelve", "--build")
    with deployed.red_alarm():
        wait_until(lambda: deployed.service()["deployment"] is None, "the rollback ended", 60)
    after = deployed.service()
    assert (after["traffic"], after["task_definition"]) == (before["traffic"], before["task_definition"])


def test_interrupting_a_release_lets_it_go_on(deployed: Operator) -> None:
    before = deployed.service()
    with deployed.held_release("ten") as process:
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 130, output + errors
        assert "goes on without this command. See: tap status --environment prcli" in errors
        assert deployed.service()["traffic"] == before["traffic"]
    wait_until(lambda: deployed.service()["traffic"] != before["traffic"], "the release goes on", 60)


def test_traffic_that_somebody_split_by_hand_is_not_moved(deployed: Operator) -> None:
    groups = {
        each.get("TargetGroupName"): each.get("TargetGroupArn", "") for each in deployed.aws.elb.describe_target_groups()["TargetGroups"]
    }
    mine = [groups["tap-api-blue-prcli"], groups["tap-api-green-prcli"]]
    listeners = deployed.aws.elb.describe_listeners(
        LoadBalancerArn=deployed.aws.elb.describe_load_balancers(Names=[NAMES.cluster])["LoadBalancers"][0].get("LoadBalancerArn", "")
    )
    listener = next(each.get("ListenerArn", "") for each in listeners["Listeners"] if each.get("Port") == 80)
    rule = next(
        each
        for each in deployed.aws.elb.describe_rules(ListenerArn=listener)["Rules"]
        if any(arn in json.dumps(each.get("Actions")) for arn in mine)
    )
    actions: Any = rule.get("Actions")
    split: Any = [{"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": arn, "Weight": 50} for arn in mine]}}]
    deployed.aws.elb.modify_rule(RuleArn=rule.get("RuleArn", ""), Actions=split)
    try:
        assert "is split though no deployment runs" in deployed.deploy("two", fails=True)
        assert "is split (50 % on blue, 50 % on green)" in deployed.tap("release", API, "--image", "two", fails=True)
    finally:
        deployed.aws.elb.modify_rule(RuleArn=rule.get("RuleArn", ""), Actions=actions)


@pytest.fixture(scope="module")
def synthesised(operator: Operator, first: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the next deployment would be, with nothing changed."""
    assert first
    before = deployed_templates(operator.environment)
    context = {
        "environmentSuffix": ENVIRONMENT,
        "imageTag": "two",
        "serving": json.dumps(deployed_colours(NAMES, before)),
        "availabilityZones": kept_zones(before, None),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(operator.checkout)
        return synthesise(tmp_path_factory.mktemp("plan"), context, region=REGION).directory


TARGET_GROUP = "AWS::ElasticLoadBalancingV2::TargetGroup"
Change = Callable[[dict[str, Any], Colour], None]
"""Of the services' template, with the target group of payment-api that serves."""


def of_type(template: dict[str, Any], resource_type: str) -> str:
    return next(name for name, each in template["Resources"].items() if each["Type"] == resource_type and "paymentapi" in name)


def another_grace_period(template: dict[str, Any], _serving: Colour) -> None:
    template["Resources"][of_type(template, "AWS::ECS::Service")]["Properties"]["HealthCheckGracePeriodSeconds"] += 1


def another_logical_id(template: dict[str, Any], _serving: Colour) -> None:
    template["Resources"]["Renamed"] = template["Resources"].pop(of_type(template, "AWS::ECS::Service"))


def another_priority_where_nothing_serves(template: dict[str, Any], serving: Colour) -> None:
    """A rule of payment-api's changes, and with that leads to the target group that has no task."""
    idle = NAMES.target_group(API, Colour.GREEN if serving is Colour.BLUE else Colour.BLUE)
    groups = {each["Properties"].get("Name"): name for name, each in template["Resources"].items() if each["Type"] == TARGET_GROUP}
    rule = template["Resources"][of_type(template, "AWS::ElasticLoadBalancingV2::ListenerRule")]["Properties"]
    rule["Priority"] += 1
    rule["Actions"][0]["TargetGroupArn"]["Ref"] = groups[idle]


def another_name(template: dict[str, Any], _serving: Colour) -> None:
    template["Resources"][of_type(template, TARGET_GROUP)]["Properties"]["Name"] = "tap-other"


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (another_grace_period, "HealthCheckGracePeriodSeconds would change, and a service that CodeDeploy deploys refuses every update"),
        (another_logical_id, "(AWS::ECS::Service) would be removed"),
        (another_priority_where_nothing_serves, "that would be an outage"),
        (another_name, "would be replaced, since its Name would change"),
    ],
)
def test_a_change_that_would_fail_or_cause_an_outage_is_refused(
    deployed: Operator, synthesised: Path, tmp_path: Path, change: Change, refusal: str
) -> None:
    live, before = deployed.environment.services(), deployed_templates(deployed.environment)
    serving = live[API].serving
    assert serving is not None
    assembly = Assembly(Path(shutil.copytree(synthesised, tmp_path / "assembly")))
    (path,) = assembly.directory.glob("*Ecs*.nested.template.json")
    template = json.loads(path.read_text())
    assert make_plan(assembly, NAMES, before, live).refusals == []
    change(template, serving)
    path.write_text(json.dumps(template))
    assert any(refusal in each for each in make_plan(assembly, NAMES, before, live).refusals)


@pytest.fixture
def checkout(operator: Operator, tmp_path: Path) -> Path:
    """A checkout whose infrastructure may be changed."""
    return Path(shutil.copytree(operator.checkout, tmp_path / "checkout"))


def change(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


def test_another_size_waits_for_its_release_and_a_changed_rule_leads_to_what_serves(deployed: Operator, checkout: Path) -> None:
    change(checkout / "lib/environments.py", "cpu=512, memory_mb=1024, tasks_min=1", "cpu=1024, memory_mb=2048, tasks_min=2")
    change(checkout / "lib/ecs_stack.py", "priority=10 * (number + 1)", "priority=10 * (number + 1) + 1")
    if deployed.service()["traffic"]["blue"]:  # what CloudFormation knows must be another than what serves
        deployed.tap("release", API, "--image", "eleven", "--build")
        deployed.settle()
    before = deployed.service()
    deployed.deploy("two", checkout=checkout)
    assert deployed_colours(NAMES, deployed_templates(deployed.environment))[API] is Colour.GREEN
    after = deployed.service()
    assert after["tasks"]["desired"] == 2
    assert (after["traffic"], after["task_definition"]) == (before["traffic"], before["task_definition"])
    newest = deployed.aws.ecs.describe_task_definition(taskDefinition=NAMES.task_family(API))["taskDefinition"]
    assert newest.get("memory") == "2048"
    assert f"{NAMES.task_family(API)}:{newest.get('revision')}" != after["task_definition"]


def test_the_books_are_proved_by_a_task_and_all_that_it_logged_is_shown(deployed: Operator) -> None:
    aws = deployed.environment.aws

    def tasks() -> set[str]:
        return set(aws.ecs.list_tasks(cluster=NAMES.cluster, family=NAMES.migration_family, desiredStatus="STOPPED")["taskArns"])

    before = tasks()
    process = deployed.start("verify")
    wait_until(lambda: tasks() - before, "the task ended", 60)
    (arn,) = tasks() - before
    container = aws.ecs.describe_task_definition(taskDefinition=NAMES.migration_family)["taskDefinition"].get("containerDefinitions", [])[0]
    options = container.get("logConfiguration", {}).get("options", {})
    group, stream = options["awslogs-group"], f"{options['awslogs-stream-prefix']}/{container.get('name')}/{arn.rsplit('/', 1)[-1]}"
    aws.logs.create_log_stream(logGroupName=group, logStreamName=stream)
    for line in ({"event": "check", "check": "balance"}, {"event": "books", "ok": True}):
        event: Any = {"timestamp": round(time.time() * 1_000), "message": json.dumps(line)}
        aws.logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, output + errors
    assert [json.loads(line)["event"] for line in output.splitlines()[:-1]] == ["check", "books"]
    assert output.splitlines()[-1] == "The books are in order."


def test_a_region_is_asked_for(operator: Operator) -> None:
    environment = {name: value for name, value in operator.emulator.environment.items() if not name.endswith("REGION")}
    command = [sys.executable, "-m", "payments.cli", "status", "--environment", ENVIRONMENT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr.strip()) == (1, "No region: give --region, or set AWS_REGION.")
    assert REGION not in done.stdout
