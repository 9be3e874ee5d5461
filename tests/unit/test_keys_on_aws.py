"""`tap keys` on AWS: a key is made here, its hash is stored there, and what goes wrong is one line."""

import io
import json
from collections.abc import Generator
from typing import Any

import msgspec
import pytest
from rich.console import Console
from typer.testing import CliRunner

from payments.cli.aws import commands, one_off
from payments.cli.aws.clients import Aws, one_line_errors
from payments.cli.aws.environment import DeployedEnvironment
from payments.cli.aws.keys import Keys
from payments.cli.data_directory import UsageError
from payments.cli.main import app
from payments.domain.principal import KeyKind
from payments.runtime.keyring import KeyRing
from payments.runtime.topology import Names
from payments.storage.key_tasks import CreateKey, LimitKey, RevokeKey
from payments.storage.keys import key_hash
from payments.wire.auth import REMEMBERED_SECONDS
from tests.support.stubbed_aws import StubbedAws, stubbed_aws

PEPPER = "ab" * 32
SECRET_ARN = "arn:aws:secretsmanager:eu-west-1:1:secret:Pepper-abc123"
TASK_ARN = "arn:aws:ecs:eu-west-1:1:task/tap-dev/0123"
DEFINITION = {
    "containerDefinitions": [
        {
            "name": "payment-api",
            "secrets": [{"name": "TAP_API_KEY_PEPPER", "valueFrom": f"{SECRET_ARN}:api_key_pepper::"}],
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {"awslogs-group": "/tap/dev/payment-api", "awslogs-stream-prefix": "tap"},
            },
        }
    ]
}
KEY_ID = "key_0123456789abcdefghijABCD"
LISTED = {
    "id": KEY_ID,
    "merchant_id": 3,
    "livemode": True,
    "kind": "secret",
    "last4": "cafe",
    "created_at": "2026-01-02T03:04:05.678901Z",
    "revoked_at": None,
}


class Operator:
    """Somebody at the command line; what was printed and how long was waited are kept."""

    def __init__(self, stubbed: StubbedAws) -> None:
        self.written = io.StringIO()
        self.waited: list[float] = []
        deployed = DeployedEnvironment(stubbed.aws, Names("dev"))
        self.keys = Keys(deployed=deployed, console=Console(file=self.written, width=200), poll_seconds=0, sleep=self.waited.append)

    def create(
        self, merchant: int | None = None, new_merchant: str | None = None, *, live: bool = False, publishable: bool = False
    ) -> None:
        with one_line_errors():
            self.keys.create(merchant=merchant, new_merchant=new_merchant, live=live, publishable=publishable)


@pytest.fixture
def stubbed() -> Generator[StubbedAws]:
    with stubbed_aws() as found:
        yield found


@pytest.fixture
def operator(stubbed: StubbedAws) -> Operator:
    return Operator(stubbed)


def have_environment(stubbed: StubbedAws, status: str = "UPDATE_COMPLETE") -> None:
    stubbed.describe_stack(status)
    stubbed.describe_service()


def have_pepper(stubbed: StubbedAws, secret: str = json.dumps({"key_id": "1", "api_key_pepper": PEPPER})) -> None:
    stubbed.answer("ecs", "describe_task_definition", {"taskDefinition": DEFINITION})
    stubbed.answer("secrets", "get_secret_value", {"SecretString": secret}, {"SecretId": SECRET_ARN})


def run_task(stubbed: StubbedAws, exit_code: int, *pages: list[dict[str, Any] | str]) -> None:
    """A task, and the pages of its log."""
    stubbed.answer("ecs", "describe_task_definition", {"taskDefinition": DEFINITION})
    stubbed.answer("ecs", "run_task", {"tasks": [{"taskArn": TASK_ARN}]})
    stopped = {"taskArn": TASK_ARN, "lastStatus": "STOPPED", "containers": [{"name": "payment-api", "exitCode": exit_code}]}
    stubbed.answer("ecs", "describe_tasks", {"tasks": [stopped]})
    for page in pages:
        read_log(stubbed, page)


def read_log(stubbed: StubbedAws, lines: list[dict[str, Any] | str], **more: Any) -> None:
    events = [{"message": line if isinstance(line, str) else json.dumps(line)} for line in lines]
    stubbed.answer("logs", "get_log_events", {"events": events, **more})


def override(stubbed: StubbedAws) -> list[str]:
    """The command of the one task that was run, which has nothing else overridden."""
    (asked,) = stubbed.asked("RunTask")
    (container,) = asked["overrides"]["containerOverrides"]
    assert set(container) == {"name", "command"}
    assert container["name"] == "payment-api"
    assert asked["taskDefinition"] == "tap-dev-migrate"
    assert asked["networkConfiguration"] == {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    *start, task, order = container["command"]
    assert start == ["python", "-m", "payments.storage"]
    return [task, order]


@pytest.mark.parametrize(
    ("live", "publishable", "prefix"),
    [(False, False, "sk_test_"), (True, False, "sk_live_"), (False, True, "pk_test_"), (True, True, "pk_live_")],
)
def test_the_key_itself_is_shown_and_never_sent(
    stubbed: StubbedAws, operator: Operator, capsys: pytest.CaptureFixture[str], live: bool, publishable: bool, prefix: str
) -> None:
    have_environment(stubbed)
    have_pepper(stubbed)
    run_task(stubbed, 0, [{"event": "key created", "key_id": "key_…", "merchant_id": 3}])
    operator.create(new_merchant="Shoes & Söhne", live=live, publishable=publishable)
    plaintext = capsys.readouterr().out.strip()
    assert plaintext.startswith(prefix)
    task, said = override(stubbed)
    order = msgspec.json.decode(said, type=CreateKey)
    assert task == "create-key"
    assert order.hashed == key_hash(plaintext, KeyRing.parse(PEPPER)).hex()
    assert (order.last4, order.livemode, order.new_merchant, order.merchant) == (plaintext[-4:], live, "Shoes & Söhne", None)
    assert order.kind is (KeyKind.PUBLISHABLE if publishable else KeyKind.SECRET)
    assert operator.written.getvalue() == f"Merchant 3, key {order.key_id}. It is shown this once:\n"
    assert len(stubbed.calls) > 8
    everything = str(stubbed.calls)
    assert plaintext.removeprefix(prefix)[:-4] not in everything
    assert plaintext not in everything
    assert PEPPER not in everything + operator.written.getvalue()


@pytest.mark.parametrize(
    ("arguments", "merchant", "live", "kind"),
    [([], None, False, KeyKind.SECRET), (["--merchant", "2", "--live", "--publishable"], 2, True, KeyKind.PUBLISHABLE)],
)
def test_the_command_has_the_options_that_it_has_locally(
    stubbed: StubbedAws,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    merchant: int | None,
    live: bool,
    kind: KeyKind,
) -> None:
    regions: list[str | None] = []

    def connect(region: str | None) -> Aws:
        regions.append(region)
        return stubbed.aws

    monkeypatch.setattr(commands, "connect", connect)
    have_environment(stubbed)
    have_pepper(stubbed)
    run_task(stubbed, 0, [{"event": "key created", "merchant_id": 2}])
    done = CliRunner().invoke(
        app, ["keys", "create", "--environment", "dev", "--region", "eu-west-1", "--poll-seconds", "0.05", *arguments]
    )
    assert done.exit_code == 0, done.output
    order = msgspec.json.decode(override(stubbed)[1], type=CreateKey)
    assert (order.merchant, order.livemode, order.kind, regions) == (merchant, live, kind, ["eu-west-1"])
    assert done.stdout.splitlines()[-1][-4:] == order.last4


def test_two_keys_are_two_keys(stubbed: StubbedAws, operator: Operator, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        have_environment(stubbed)
        have_pepper(stubbed)
        run_task(stubbed, 0, [{"event": "key created", "merchant_id": 1}])
        operator.create()
    assert len(set(capsys.readouterr().out.split())) == 2


def test_a_key_that_was_stored_is_shown_though_its_log_is_late(
    stubbed: StubbedAws, operator: Operator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_off, "_LOG_SECONDS_MAX", 0)
    have_environment(stubbed)
    have_pepper(stubbed)
    run_task(stubbed, 0, [])
    operator.create(merchant=1)
    assert capsys.readouterr().out.startswith("sk_test_")
    assert "`tap keys list --environment dev` shows its merchant" in operator.written.getvalue()


def test_both_a_merchant_and_a_new_one_are_refused_before_aws_is_asked(stubbed: StubbedAws, operator: Operator) -> None:
    with pytest.raises(UsageError, match=r"^Give either --merchant or --new-merchant\.$"):
        operator.create(merchant=1, new_merchant="Two")
    with pytest.raises(UsageError, match="1 to 200 printable characters"):
        operator.create(new_merchant="a\udcffb")
    assert stubbed.calls == []


def test_what_the_task_refuses_is_its_own_line(stubbed: StubbedAws, operator: Operator, capsys: pytest.CaptureFixture[str]) -> None:
    have_environment(stubbed)
    have_pepper(stubbed)
    message = "There is no merchant 9. There are: 1, 2"
    run_task(stubbed, 1, [{"event": "database password read again"}, {"event": "error", "kind": "MerchantError", "message": message}])
    with pytest.raises(UsageError, match=f"^{message}$"):
        operator.create(merchant=9)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("exit_code", "lines", "message"),
    [
        (
            1,
            [{"event": "error", "kind": "UndefinedTableError", "stack": []}],
            r"^The task failed: UndefinedTableError\. Its log says where\.$",
        ),
        (2, ["There is no task 'list-keys'. There are: migrate, verify"], "tap release payment-api --environment dev$"),
        (137, ["Killed"], "ended with exit status 137, and its log doesn't say why"),
    ],
)
def test_a_task_that_fails_says_why(
    stubbed: StubbedAws, operator: Operator, exit_code: int, lines: list[dict[str, Any] | str], message: str
) -> None:
    have_environment(stubbed)
    run_task(stubbed, exit_code, lines)
    with pytest.raises(UsageError, match=message):
        operator.keys.show_list()


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        ("{}", "isn't JSON with the field api_key_pepper"),
        ("x" * 64, "isn't JSON with the field"),
        (json.dumps({"api_key_pepper": "xyz" * 9}), "is not hexadecimal"),
    ],
)
def test_a_pepper_that_is_none_is_told_but_not_shown(stubbed: StubbedAws, operator: Operator, secret: str, message: str) -> None:
    have_environment(stubbed)
    have_pepper(stubbed, secret)
    with pytest.raises(UsageError, match=message) as failure:
        operator.create()
    assert "x" * 5 not in str(failure.value)
    assert stubbed.asked("RunTask") == []


def test_who_may_not_read_the_pepper_makes_no_key(stubbed: StubbedAws, operator: Operator) -> None:
    have_environment(stubbed)
    stubbed.answer("ecs", "describe_task_definition", {"taskDefinition": DEFINITION})
    stubbed.refuse("secrets", "get_secret_value", "AccessDeniedException", "not authorized")
    with pytest.raises(UsageError, match="These credentials may not GetSecretValue"):
        operator.create()


def test_an_environment_that_is_not_there(stubbed: StubbedAws, operator: Operator) -> None:
    stubbed.refuse("cloudformation", "describe_stacks", "ValidationError", "Stack with id TapStackdev does not exist")
    with pytest.raises(UsageError, match="There is no environment 'dev'"):
        operator.keys.revoke(KEY_ID)


def test_keys_are_listed_from_all_pages_of_the_log_when_it_is_whole(stubbed: StubbedAws, operator: Operator) -> None:
    have_environment(stubbed)
    revoked = LISTED | {
        "id": KEY_ID[:-1] + "Z",
        "writes_per_second": 250,
        "livemode": False,
        "kind": "publishable",
        "revoked_at": "2026-02-03T04:05:06Z",
    }
    run_task(stubbed, 0, [{"event": "key", **LISTED}])
    read_log(stubbed, [{"event": "key", **LISTED}], nextForwardToken="f/1")
    read_log(stubbed, ["a library's warning", {"event": "key", **revoked}, {"event": "keys", "count": 2}], nextForwardToken="f/2")
    read_log(stubbed, [], nextForwardToken="f/2")
    operator.keys.show_list()
    shown = operator.written.getvalue()
    assert [line.split("│")[1:-1] for line in shown.splitlines() if "key_" in line] == [
        [
            f" {KEY_ID} ",
            " 3        ",
            " secret      ",
            " live ",
            " cafe    ",
            " 2026-01-02 03:04 ",
            "          ",
            "                  ",
        ],
        [
            f" {revoked['id']} ",
            " 3        ",
            " publishable ",
            " test ",
            " cafe    ",
            " 2026-01-02 03:04 ",
            " 250      ",
            " 2026-02-03 04:05 ",
        ],
    ]
    assert [asked.get("nextToken") for asked in stubbed.asked("GetLogEvents")] == [None, None, "f/1", "f/2"]
    (asked,) = stubbed.asked("RunTask")
    assert asked["overrides"]["containerOverrides"][0]["command"] == ["python", "-m", "payments.storage", "list-keys"]


def test_a_list_that_is_not_whole_is_not_shown(stubbed: StubbedAws, operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_off, "_LOG_SECONDS_MAX", 0)
    have_environment(stubbed)
    run_task(stubbed, 0, [{"event": "key", **LISTED}])
    with pytest.raises(UsageError, match="list the keys again"):
        operator.keys.show_list()
    assert operator.written.getvalue() == ""


@pytest.mark.parametrize("status", ["UPDATE_COMPLETE", "UPDATE_IN_PROGRESS"])
def test_a_key_is_revoked_whatever_the_stack_is_doing_and_it_is_said_since_when(
    stubbed: StubbedAws, operator: Operator, status: str
) -> None:
    have_environment(stubbed, status)
    run_task(stubbed, 0, [{"event": "key revoked", "key_id": KEY_ID, "revoked_at": "2026-02-03T04:05:06.789Z"}])
    operator.keys.revoke(KEY_ID)
    task, order = override(stubbed)
    assert (task, msgspec.json.decode(order, type=RevokeKey)) == ("revoke-key", RevokeKey(KEY_ID))
    assert (
        operator.written.getvalue()
        == f"Key {KEY_ID} is revoked since 2026-02-03 04:05 UTC. Tasks refuse it 1 s after that at the latest.\n"
    )
    assert operator.waited == [REMEMBERED_SECONDS]


@pytest.mark.parametrize(("limit", "said"), [(250, "250 times a second"), (None, "as the deployment says")])
def test_how_fast_a_key_may_write_is_set_by_a_task(stubbed: StubbedAws, operator: Operator, limit: int | None, said: str) -> None:
    have_environment(stubbed)
    run_task(stubbed, 0, [{"event": "key limited", "key_id": KEY_ID, "writes_per_second": limit}])
    operator.keys.limit(KEY_ID, limit)
    assert operator.written.getvalue() == f"Key {KEY_ID} may write {said}.\n"
    task, order = override(stubbed)
    assert (task, msgspec.json.decode(order, type=LimitKey)) == ("limit-key", LimitKey(KEY_ID, limit))


def test_a_key_that_is_unknown(stubbed: StubbedAws, operator: Operator) -> None:
    have_environment(stubbed)
    run_task(stubbed, 1, [{"event": "error", "kind": "UnknownKeyError", "message": f"There is no key {KEY_ID}. See: tap keys list"}])
    with pytest.raises(UsageError, match=f"^There is no key {KEY_ID}. See: tap keys list$"):
        operator.keys.revoke(KEY_ID)
    assert operator.written.getvalue() == ""


@pytest.mark.parametrize("given", ["sk_live_" + "0" * 48, "key_short", KEY_ID + "\n", "", "\udcff"])
def test_what_is_no_id_goes_nowhere_since_it_may_be_the_key_itself(stubbed: StubbedAws, operator: Operator, given: str) -> None:
    with pytest.raises(UsageError) as failure:
        operator.keys.revoke(given)
    assert str(failure.value) == "That isn't a key's id, which begins with key_. See: tap keys list --environment dev"
    with pytest.raises(UsageError) as failure:
        operator.keys.limit(given, 5)
    assert str(failure.value) == "That isn't a key's id, which begins with key_. See: tap keys list --environment dev"
    assert stubbed.calls == []
