"""`tap trigger`: makes an event happen, by the steps that `fixtures.toml` has for it."""

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from payments.cli.api_client import Api, ApiError
from payments.cli.data_directory import UsageError

_REFERENCE = re.compile(r"\$\{(\w+):([\w.]+)\}")
_CHANGE = re.compile(r"(?P<name>\w+):(?P<path>[\w.\[\]]+)(=(?P<value>.*))?", re.DOTALL)
_PAYMENT_REFUSED = 402


@dataclass(frozen=True, slots=True)
class Step:
    """A call."""

    key: str
    name: str
    """What overrides and references call what it makes."""
    method: str
    path: str
    params: dict[str, Any]
    refused: bool


@dataclass(frozen=True, slots=True)
class Changes:
    """What the caller has otherwise: each `payment_intent:amount=5000`, `customer:address.city=Berlin`."""

    override: Sequence[str] = ()
    add: Sequence[str] = ()
    remove: Sequence[str] = ()
    skip: Sequence[str] = ()
    """Names of steps."""


@dataclass(slots=True)
class _Made:
    """What steps made, by their names."""

    objects: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])

    def filled_in(self, value: Any) -> Any:
        """Return a value with what is referred to."""
        match value:
            case str():
                return _REFERENCE.sub(self._referred, value)
            case dict():
                return {name: self.filled_in(each) for name, each in value.items()}  # pyright: ignore[reportUnknownVariableType] - of TOML
            case list():
                return [self.filled_in(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
            case _:
                return value

    def _referred(self, reference: re.Match[str]) -> str:
        found: Any = self.objects.get(reference[1])
        for part in reference[2].split("."):
            found = found.get(part) if isinstance(found, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        if found is None:
            raise UsageError(f"{reference[0]} isn't there: a step that makes it was skipped, or left it out.")
        return str(found)  # pyright: ignore[reportUnknownArgumentType]


def event_types() -> list[str]:
    """Return the types that can be made."""
    return sorted(_table()["events"])


def run_trigger(api: Api, event_type: str, changes: Changes, tell: Callable[[str], None]) -> None:
    """Take the steps; raises `UsageError` for a type that there are no steps for, and when a step comes to something else."""
    steps = [step for step in steps_of(event_type) if step.name not in changes.skip]
    params = changed({step.name: step.params for step in steps}, changes)
    made = _Made()
    for step in steps:
        tell(f"Running fixture for: {step.name}")
        made.objects[step.name] = _take(api, step, made, params[step.name])
    tell("Trigger succeeded! `tap listen` shows the event.")


def steps_of(event_type: str) -> list[Step]:
    """Return the steps that lead to an event; raises `UsageError` when there are none."""
    table = _table()
    if event_type not in table["events"]:
        near = [each for each in event_types() if each.partition(".")[0] == event_type.partition(".")[0]]
        raise UsageError(f"{event_type} can't be triggered. {'These can: ' + ', '.join(near) if near else 'See: tap trigger --list'}")
    return [_step(key, table["steps"][key]) for key in table["events"][event_type]]


def changed(params: Mapping[str, Mapping[str, Any]], changes: Changes) -> dict[str, dict[str, Any]]:
    """Return the parameters of steps, by name, as the caller has them; raises `UsageError` for a step that there isn't."""
    result = {name: _copied(each) for name, each in params.items()}
    for change in (*changes.override, *changes.add):
        name, path, value = _read(change, result)
        if value is None:
            raise UsageError(f"{change} gives no value: write payment_intent:amount=5000.")
        _parent(result[name], path)[path[-1]] = value
    for change in changes.remove:
        name, path, _ = _read(change, result)
        _parent(result[name], path).pop(path[-1], None)
    return result


def _take(api: Api, step: Step, made: _Made, params: Mapping[str, Any]) -> dict[str, Any]:
    try:
        answer = api.call(step.method, made.filled_in(step.path), made.filled_in(dict(params)))
    except ApiError as refusal:
        if step.refused and refusal.status == _PAYMENT_REFUSED:
            error: dict[str, Any] = dict(refusal.error)
            return error.get(step.name, error)
        raise
    if step.refused:
        raise UsageError(f"{step.key}: the API took what it was to refuse. Nothing else was done.")
    return answer


def _read(change: str, steps: Mapping[str, Any]) -> tuple[str, list[str], str | None]:
    match = _CHANGE.fullmatch(change)
    if match is None:
        raise UsageError(f"{change} isn't understood: write payment_intent:amount=5000.")
    if match["name"] not in steps:
        raise UsageError(f"There is no step {match['name']} here: {', '.join(steps)}.")
    return match["name"], re.findall(r"[^.\[\]]+", match["path"]), match["value"]


def _parent(params: dict[str, Any], path: Sequence[str]) -> dict[str, Any]:
    """Return the hash that the last part of a path is in, which is made if need be."""
    for part in path[:-1]:
        inner: Any = params.get(part)
        if isinstance(inner, list):
            inner = {str(index): item for index, item in enumerate(inner)}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        params[part] = inner if isinstance(inner, dict) else {}
        params = params[part]
    return params


def _copied(value: Any) -> Any:
    match value:
        case Mapping():
            return {name: _copied(each) for name, each in value.items()}  # pyright: ignore[reportUnknownVariableType]
        case list():
            return [_copied(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value


def _step(key: str, told: Mapping[str, Any]) -> Step:
    return Step(
        key=key,
        name=told.get("name", key.replace(" ", "_")),
        method=told.get("method", "POST"),
        path=told["path"],
        params=told.get("params", {}),
        refused=told.get("refused", False),
    )


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(files("payments.cli").joinpath("fixtures.toml").read_text(encoding="utf-8"))
