"""`tap acquirers set`: Secrets Manager has the configuration and the secrets, and at no moment a configuration without its secrets."""

import io
import json
from collections.abc import Generator
from pathlib import Path

import pytest
from rich.console import Console

from payments.cli.aws.acquirers import set_acquirers
from payments.cli.aws.environment import DeployedEnvironment
from payments.cli.data_directory import UsageError
from payments.runtime.topology import Names
from tests.support.stubbed_aws import StubbedAws, stubbed_aws

ARN = "arn:aws:secretsmanager:eu-west-1:1:secret:"
DEFINITION = {
    "containerDefinitions": [
        {
            "secrets": [
                {"name": "TAP_ACQUIRERS_TOML", "valueFrom": f"{ARN}Configuration:configuration::"},
                {"name": "TAP_ACQUIRER_SECRETS", "valueFrom": f"{ARN}Secrets:secrets::"},
            ]
        }
    ]
}
OLD, NEW = "o" * 32, "n" * 32
BANK = '[[acquirer]]\nname = "acme"\nkind = "http"\nmode = "live"\nurl = "https://acme.example"\nkey_id = "1"\nsecret_variable = "ACME"\n'


@pytest.fixture
def stubbed() -> Generator[StubbedAws]:
    with stubbed_aws() as found:
        yield found


def given(stubbed: StubbedAws, *, before: dict[str, str], writes: int) -> None:
    """Answer what is read and written, in that order."""
    fields = {"secrets": json.dumps(before), "configuration": "# None yet"}
    for number, field in enumerate(("secrets", "secrets", "configuration", "secrets")[: writes + 1]):
        stubbed.answer(
            "ecs", "describe_task_definition", {"taskDefinition": DEFINITION}, {"taskDefinition": "tap-dev-transaction-processor"}
        )
        stubbed.answer("secrets", "get_secret_value", {"SecretString": json.dumps({field: fields[field]})})
        if number:
            stubbed.answer("secrets", "put_secret_value", {})


def set_from(stubbed: StubbedAws, file: Path, variables: dict[str, str]) -> str:
    written = io.StringIO()
    set_acquirers(Console(file=written, width=200), DeployedEnvironment(stubbed.aws, Names("dev")), file, variables)
    return written.getvalue()


def puts(stubbed: StubbedAws) -> list[tuple[str, dict[str, str]]]:
    return [(each["SecretId"].removeprefix(ARN), json.loads(each["SecretString"])) for each in stubbed.asked("PutSecretValue")]


def test_secrets_are_there_before_what_names_them_and_go_after_it(stubbed: StubbedAws, tmp_path: Path) -> None:
    given(stubbed, before={"gone": OLD}, writes=3)
    file = tmp_path / "acquirers.toml"
    file.write_text(BANK)
    said = set_from(stubbed, file, {"ACME": NEW})
    assert [
        (name, {field: json.loads(text) if field == "secrets" else text for field, text in fields.items()})
        for name, fields in puts(stubbed)
    ] == [
        ("Secrets", {"secrets": {"acme": NEW, "gone": OLD}}),
        ("Configuration", {"configuration": BANK}),
        ("Secrets", {"secrets": {"acme": NEW}}),
    ]
    assert "tap release payment-api --environment dev" in said
    assert "tap release transaction-processor --environment dev" in said
    assert "notification-service" not in said
    assert NEW not in said


def test_where_none_goes_nothing_is_written_twice(stubbed: StubbedAws, tmp_path: Path) -> None:
    given(stubbed, before={"acme": OLD}, writes=2)
    file = tmp_path / "acquirers.toml"
    file.write_text(BANK)
    set_from(stubbed, file, {"ACME": NEW})
    assert [name for name, _ in puts(stubbed)] == ["Secrets", "Configuration"]


@pytest.mark.parametrize(("text", "variables"), [(BANK, {}), (BANK, {"ACME": "short"}), (BANK + "surprise = 1\n", {"ACME": NEW})])
def test_what_services_would_not_start_with_is_not_written(
    stubbed: StubbedAws, tmp_path: Path, text: str, variables: dict[str, str]
) -> None:
    file = tmp_path / "acquirers.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as raised:
        set_from(stubbed, file, variables)
    assert "\n" not in str(raised.value)
    assert stubbed.calls == []
