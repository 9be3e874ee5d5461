"""Who gets which secret of the database: a service its own, the migration task all of them, and nobody else's is within anybody's reach."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from payments.runtime.topology import DATABASE_SECRET_VARIABLE, DATABASE_USER, SERVICES, Service
from tests.infrastructure.conftest import Synthesised

OWNER, MIGRATION = "owner", "migrate"
_DATABASE_SECRET = re.compile(r"SecurityStack(?:dev|staging|prod|test)((?:[A-Z][a-z]+)*?)DatabaseSecret[0-9A-F]{8}Ref")


def secrets_in(value: Any) -> set[str]:
    """The secrets of the database that a value of a template refers to: a service's, or the owner's."""
    services = {service.name.title().replace("_", ""): service.value for service in SERVICES}
    return {services[name] if name else OWNER for name in _DATABASE_SECRET.findall(json.dumps(value))}


def tasks(synthesised: Synthesised) -> Iterator[tuple[str, dict[str, Any]]]:
    for each in synthesised.resources("Ecs", "AWS::ECS::TaskDefinition").values():
        yield each["Properties"]["Family"].removeprefix(f"tap-{synthesised.environment}-"), each["Properties"]


def readable(synthesised: Synthesised, role: Any) -> set[str]:
    """The secrets of the database that a role may read."""
    name = role["Fn::GetAtt"][0]
    found: set[str] = set()
    for policy in synthesised.resources("Ecs", "AWS::IAM::Policy").values():
        if {"Ref": name} in policy["Properties"]["Roles"]:
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
                if "secretsmanager:GetSecretValue" in statement["Action"]:
                    assert "*" not in json.dumps(statement["Resource"])
                    found |= secrets_in(statement["Resource"])
    return found


def test_each_login_has_a_secret_of_its_own_under_our_key(synthesised: Synthesised) -> None:
    logins: dict[str, Any] = {}
    for each in synthesised.resources("Security", "AWS::SecretsManager::Secret").values():
        generated = each["Properties"].get("GenerateSecretString", {})
        template = json.loads(generated.get("SecretStringTemplate", "{}"))
        if "username" in template:
            logins[template["username"]] = generated
            assert each["Properties"]["KmsKeyId"]
    assert logins.keys() == {DATABASE_USER, *(spec.database_login for spec in SERVICES.values())}
    for generated in logins.values():
        assert generated["ExcludePunctuation"], "a password that a URL would be broken by"
        assert (generated["GenerateStringKey"], generated["PasswordLength"]) == ("password", 40)


def test_each_login_is_told_where_the_database_is(synthesised: Synthesised) -> None:
    attached = [each["Properties"] for each in synthesised.resources("Database", "AWS::SecretsManager::SecretTargetAttachment").values()]
    assert sorted(sorted(secrets_in(each["SecretId"])) for each in attached) == sorted(
        [[OWNER], *([service.value] for service in SERVICES)]
    )
    assert {json.dumps(each["TargetId"]) for each in attached} == {json.dumps(attached[0]["TargetId"])}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_its_own_login_and_no_way_to_another(synthesised: Synthesised, service: Service) -> None:
    task = dict(tasks(synthesised))[service]
    (container,) = task["ContainerDefinitions"]
    injected = {each["Name"]: each["ValueFrom"] for each in container["Secrets"]}
    for variable in ("TAP_DATABASE_HOST", "TAP_DATABASE_USER", "TAP_DATABASE_PASSWORD"):
        assert secrets_in(injected[variable]) == {service.value}
    assert not {spec.login_password_variable for spec in SERVICES.values()} & injected.keys()
    variables = {each["Name"]: each["Value"] for each in container["Environment"]}
    assert secrets_in(variables[DATABASE_SECRET_VARIABLE]) == {service.value}
    assert "TAP_DATABASE_ROLE" not in variables
    assert secrets_in(task) == {service.value}
    assert readable(synthesised, task["ExecutionRoleArn"]) == {service.value}
    assert readable(synthesised, task["TaskRoleArn"]) == {service.value}


def test_the_migration_is_the_owner_and_gives_each_login_its_password(synthesised: Synthesised) -> None:
    task = dict(tasks(synthesised))[MIGRATION]
    (container,) = task["ContainerDefinitions"]
    injected = {each["Name"]: each["ValueFrom"] for each in container["Secrets"]}
    for variable in ("TAP_DATABASE_HOST", "TAP_DATABASE_USER", "TAP_DATABASE_PASSWORD"):
        assert secrets_in(injected[variable]) == {OWNER}
    for service, spec in SERVICES.items():
        assert secrets_in(injected[spec.login_password_variable]) == {service.value}
        assert ":password::" in json.dumps(injected[spec.login_password_variable])
    assert readable(synthesised, task["ExecutionRoleArn"]) == {OWNER, *(service.value for service in SERVICES)}
    assert readable(synthesised, task["TaskRoleArn"]) == {OWNER}


def test_no_two_tasks_have_a_role_in_common(synthesised: Synthesised) -> None:
    roles = [task[kind]["Fn::GetAtt"][0] for _, task in tasks(synthesised) for kind in ("ExecutionRoleArn", "TaskRoleArn")]
    assert len(set(roles)) == len(roles) == 2 * (len(SERVICES) + 1)


def test_nothing_but_tasks_and_the_database_knows_of_a_login(synthesised: Synthesised) -> None:
    """What watches over the rotations knows the secrets' names, and reads none."""
    for stack, template in synthesised.templates.items():
        if stack not in ("Security", "Database", "Ecs", "root"):
            resources = template["Resources"].values()
            assert secrets_in([each for each in resources if each["Type"] != "AWS::Events::Rule"]) == set(), stack
