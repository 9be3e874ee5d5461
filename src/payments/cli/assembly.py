"""The synthesised CDK app: what an environment would be, before anything is deployed."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from payments.cli.data_directory import UsageError
from payments.runtime.topology import Architecture

_SYNTHESIS_SECONDS_MAX = 300
_SPOT = "FARGATE_SPOT"
_ROOT_TEMPLATE = "*.template.json"
_NESTED = "AWS::CloudFormation::Stack"

Template = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Assembly:
    """A directory with the templates of one environment."""

    directory: Path

    def templates(self) -> list[Template]:
        """Return the stack's template and its nested stacks'."""
        return [_read(path) for path in sorted(self.directory.glob(_ROOT_TEMPLATE))]

    def nested(self, stack: str) -> Iterator[tuple[str, Template]]:
        """Return the nested stacks of a stack: their logical ids and templates."""
        for logical_id, resource in _read(self.directory / f"{stack}.template.json")["Resources"].items():
            if resource["Type"] == _NESTED:
                yield logical_id, _read(self.directory / resource["Metadata"]["aws:asset:path"])


@dataclass(frozen=True, slots=True, kw_only=True)
class FargateTasks:
    """The tasks of one service, as the templates size them."""

    service: str
    architecture: Architecture
    vcpu: float
    gigabytes: float
    tasks_min: int
    tasks_max: int
    base: int
    """Tasks that never run on Spot."""
    spot_share: float
    """Of the tasks beyond the base, what runs on Spot."""

    def on_spot(self, count: int) -> float:
        """Return how many of `count` tasks run on Spot: ECS fills the base first, and shares out the rest by weight."""
        return max(0, count - self.base) * self.spot_share


def fargate_tasks(templates: Sequence[Template]) -> Iterator[FargateTasks]:
    """Return the sizes of each service in an environment's templates."""
    resources: list[dict[str, Any]] = [each for template in templates for each in template.get("Resources", {}).values()]

    def properties(resource_type: str) -> Iterator[dict[str, Any]]:
        return (each["Properties"] for each in resources if each["Type"] == resource_type)

    for service in properties("AWS::ECS::Service"):
        family: str = service["TaskDefinition"]
        name = family.split("-", 2)[2]
        task = next(each for each in properties("AWS::ECS::TaskDefinition") if each["Family"] == family)
        # The scaling target's id has the service's logical id, which has the service's name.
        target = next(
            each
            for each in properties("AWS::ApplicationAutoScaling::ScalableTarget")
            if name.replace("-", "") in json.dumps(each["ResourceId"]).replace("-", "")
        )
        strategy = {each["CapacityProvider"]: each for each in service["CapacityProviderStrategy"]}
        yield FargateTasks(
            service=name,
            architecture=_processors(task),
            vcpu=int(task["Cpu"]) / 1024,
            gigabytes=int(task["Memory"]) / 1024,
            tasks_min=int(target["MinCapacity"]),
            tasks_max=int(target["MaxCapacity"]),
            base=sum(int(each.get("Base", 0)) for each in strategy.values()),
            spot_share=int(strategy.get(_SPOT, {}).get("Weight", 0)) / sum(int(each["Weight"]) for each in strategy.values()),
        )


def architecture(templates: Iterable[Template]) -> Architecture:
    """Return the processors that an environment's templates ask for; x86-64 where they ask for none."""
    tasks = (
        each["Properties"]
        for template in templates
        for each in template.get("Resources", {}).values()
        if each["Type"] == "AWS::ECS::TaskDefinition"
    )
    return next(map(_processors, tasks), Architecture.X86_64)


def _processors(task: Mapping[str, Any]) -> Architecture:
    return Architecture.from_ecs(task.get("RuntimePlatform", {}).get("CpuArchitecture"))


def synthesise(directory: Path, context: Mapping[str, str], *, region: str | None = None) -> Assembly:
    """Synthesise into `directory`; raises `UsageError` where the infrastructure isn't at hand, or refuses."""
    app = Path("app.py")
    if not app.exists() or not Path("lib/tap_stack.py").exists():
        raise UsageError("The infrastructure isn't here: run this in Tap's checkout.")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "CDK_OUTDIR": str(directory),
        # With asset metadata a nested stack says which file its template is, as it does for CDK's own command line.
        "CDK_CONTEXT_JSON": json.dumps({"aws:cdk:enable-asset-metadata": True, **context, **({"region": region} if region else {})}),
    }
    try:
        done = subprocess.run(
            [sys.executable, str(app)], env=environment, capture_output=True, text=True, timeout=_SYNTHESIS_SECONDS_MAX, check=False
        )
    except subprocess.TimeoutExpired:
        raise UsageError(f"The infrastructure wasn't synthesised within {_SYNTHESIS_SECONDS_MAX / 60:.0f} minutes.") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise UsageError(lines[-1] if lines else "The infrastructure can't be synthesised.")
    return Assembly(directory)


def _read(path: Path) -> Template:
    template: Template = json.loads(path.read_text(encoding="utf-8"))
    return template
