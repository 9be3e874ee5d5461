"""Each environment, synthesised once for all tests."""

import fcntl
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lib.environments import ENVIRONMENTS

ROOT = Path(__file__).parents[2]


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


def run_app(directory: Path, **context: str) -> subprocess.CompletedProcess[str]:
    node = Path(sys.prefix) / "bin"
    environment = {
        **os.environ,
        "PATH": f"{node}{os.pathsep}{os.environ['PATH']}",
        "CDK_OUTDIR": str(directory),
        "CDK_CONTEXT_JSON": json.dumps(context),
    }
    return subprocess.run([sys.executable, "app.py"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def read(environment: str, directory: Path) -> Synthesised:
    templates: dict[str, dict[str, Any]] = {}
    for path in directory.glob("*.template.json"):
        name = path.name.removeprefix(f"TapStack{environment}").split(".")[0]
        templates[name[:-8] if name else "root"] = json.loads(path.read_text())
    return Synthesised(environment, directory, templates)


PUBLIC_URL = "https://payments.example.com"
_WITH_CERTIFICATE = {
    "certificateArn": "arn:aws:acm:eu-west-1:000000000000:certificate/00000000-0000-0000-0000-000000000000",
    "publicUrl": PUBLIC_URL,
}


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Synthesised]:
    """Each environment by its name; the workers of a run share them, since a synthesis keeps two processors busy for half a minute."""
    own = tmp_path_factory.getbasetemp()
    shared = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "assemblies"
    shared.mkdir(exist_ok=True)
    directories = {environment: shared / environment for environment in ENVIRONMENTS}
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "complete").exists():
            _synthesise_all(directories)
            (shared / "complete").touch()
    return {environment: read(environment, directory) for environment, directory in directories.items()}


def _synthesise_all(directories: dict[str, Path]) -> None:
    def synthesise(environment: str) -> None:
        done = run_app(directories[environment], environmentSuffix=environment, **(_WITH_CERTIFICATE if environment == "prod" else {}))
        assert done.returncode == 0, done.stderr

    with ThreadPoolExecutor(len(directories)) as pool:
        list(pool.map(synthesise, directories))


@pytest.fixture(scope="session", params=list(ENVIRONMENTS))
def synthesised(environments: dict[str, Synthesised], request: pytest.FixtureRequest) -> Synthesised:
    return environments[request.param]


@pytest.fixture(scope="session")
def prod(environments: dict[str, Synthesised]) -> Synthesised:
    return environments["prod"]
