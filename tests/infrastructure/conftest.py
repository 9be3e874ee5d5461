"""Each environment, synthesised once for all tests."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lib.environments import ENVIRONMENTS
from tests.support.assemblies import assembly
from tests.support.shared import made_once
from tests.support.warm_app import JSII_CACHE, cdk_variables

os.environ.setdefault(JSII_CACHE, cdk_variables()[JSII_CACHE])  # for who imports the CDK in the tests' own process
ROOT = Path(__file__).parents[2]
OWN = "own"
"""A user's own app, `own_app.py`, which is held against all that ours is held against; its environment is called "test"."""


@dataclass(frozen=True)
class Synthesised:
    """The templates of one environment, by nested stack; `root` is TapStack's own."""

    environment: str
    directory: Path
    templates: dict[str, dict[str, Any]]

    def resources(self, stack: str, resource_type: str | None = None) -> dict[str, dict[str, Any]]:
        found = self.templates[stack]["Resources"]
        return {name: each for name, each in found.items() if resource_type in (None, each["Type"])}

    def all(self, resource_type: str) -> dict[str, dict[str, Any]]:
        return {f"{stack}.{name}": each for stack in self.templates for name, each in self.resources(stack, resource_type).items()}

    def only(self, stack: str, resource_type: str) -> dict[str, Any]:
        (found,) = self.resources(stack, resource_type).values()
        return found["Properties"]


def run_app(directory: Path, home: Path, **context: str) -> subprocess.CompletedProcess[str]:
    environment = {**cdk_variables(), "HOME": str(home), "CDK_OUTDIR": str(directory), "CDK_CONTEXT_JSON": json.dumps(context)}
    del environment[JSII_CACHE]  # which app.py says by itself
    return subprocess.run([sys.executable, "app.py"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def read(environment: str, directory: Path, *, stack: str | None = None) -> Synthesised:
    """Read the templates of an environment; `stack` is TapStack's name, if it has one of its own."""
    stack = stack or f"TapStack{environment}"
    templates: dict[str, dict[str, Any]] = {}
    for path in directory.glob("*.template.json"):
        name = path.name.removeprefix(stack).split(".")[0]
        templates[name.partition(f"Stack{environment}")[0] if name else "root"] = json.loads(path.read_text())
    return Synthesised(environment, directory, templates)


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Synthesised]:
    """Each environment by its name."""
    ours = {environment: read(environment, assembly(tmp_path_factory, environment)) for environment in ENVIRONMENTS}
    return ours | {OWN: read("test", made_once(tmp_path_factory, OWN, _synthesise_own), stack="TapStack")}


@pytest.fixture(scope="session")
def asked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the user's own app was told of `TapStack`."""
    return json.loads((made_once(tmp_path_factory, OWN, _synthesise_own) / "asked.json").read_text())


def _synthesise_own(directory: Path) -> None:
    flags = json.loads((ROOT / "cdk.json").read_text())["context"]
    variables = {**cdk_variables(), "OWN_OUTDIR": str(directory), "OWN_CONTEXT": json.dumps(flags)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.infrastructure.own_app"], cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (directory / "asked.json").write_text(done.stdout)


@pytest.fixture(scope="session", params=[*ENVIRONMENTS, OWN])
def synthesised(environments: dict[str, Synthesised], request: pytest.FixtureRequest) -> Synthesised:
    return environments[request.param]


@pytest.fixture(scope="session")
def prod(environments: dict[str, Synthesised]) -> Synthesised:
    return environments["prod"]


@pytest.fixture(scope="session")
def with_options(tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    """Environment dev with everything said that may be."""
    return read("dev", assembly(tmp_path_factory, "options"))


def goes_out(synthesised: Synthesised) -> set[tuple[str, str, int]]:
    """From which group to where, on which port."""

    def group(reference: dict[str, Any]) -> str:
        return reference["Fn::GetAtt"][0].partition("SecurityGroup")[0]

    rules = [each["Properties"] for each in synthesised.all("AWS::EC2::SecurityGroupEgress").values()]
    assert all(rule["FromPort"] == rule["ToPort"] for rule in rules)
    return {(group(rule["GroupId"]), rule.get("CidrIp") or group(rule["DestinationSecurityGroupId"]), rule["FromPort"]) for rule in rules}
