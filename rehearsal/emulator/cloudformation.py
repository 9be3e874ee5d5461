"""CloudFormation: a registry of our own resource types, and mends of nested stacks.

Mended: dynamic references (`{{resolve:secretsmanager:…}}`) in nested stacks; attributes of resources that an update leaves alone; a
nested stack's deletion obeys deletion policies and fails when a resource can't be deleted; a nested stack that fails to be created takes
with it what it had made. Templates with a transform are taken as they are: `AWS::SecretsManager-2024-09-16` expands to a Lambda function
that rotates a secret, which isn't emulated.
"""

import contextlib
import logging
from collections.abc import Callable
from typing import Any

from rehearsal.emulator import upstream
from rehearsal.emulator.upstream import Answer, Record

Created = tuple[str, Record]
"""Physical id (what `Ref` gives) and attributes."""
Create = Callable[[str, Record, str], Created]
"""Takes logical id, properties, stack's name."""
Update = Callable[[str, Record, Record, str, str], Created]
"""Takes physical id, old and new properties, stack's name, logical id."""
Delete = Callable[[str, Record], None]

EARLY_DELETIONS: dict[str, Callable[[str], None]] = {}
"""By type: what begins the deletion of a resource, by its physical id, that takes long. CloudFormation deletes at the same time what doesn't depend on each other."""

_NESTED = "AWS::CloudFormation::Stack"
_RETAINED = {"Retain", "RetainExceptOnCreate"}
_log = logging.getLogger("tap.cloudformation")


class ResourceFailed(Exception):
    """The resource can't be made, changed or deleted; the message becomes the stack event's reason."""


def provisioners() -> Any:
    """Return ministack's module of resource types."""
    return upstream.module("services.cloudformation.provisioners")


def handlers(resource_type: str) -> dict[str, Any]:
    """Return what ministack does with a resource type."""
    return provisioners()._RESOURCE_HANDLERS[resource_type]


def register(resource_type: str, *, create: Create, update: Update, delete: Delete) -> None:
    """Add a resource type, or put ours in place of ministack's."""
    old = provisioners()._RESOURCE_HANDLERS.get(resource_type, {})
    kept = {key: value for key, value in old.items() if key in {"snapshot", "import"}}
    provisioners()._RESOURCE_HANDLERS[resource_type] = {
        **kept,
        "create": create,
        # ministack calls it with or without the logical id; ours always want it.
        "update": lambda physical_id, old, new, stack, logical_id=None: update(physical_id, old, new, stack, logical_id or physical_id),
        "update_with_logical_id": True,
        "delete": delete,
    }


def physical_name(stack_name: str, logical_id: str, *, length_max: int = 255) -> str:
    """Return the name that CloudFormation makes up for a resource without one."""
    return str(provisioners()._physical_name(stack_name, logical_id, max_len=length_max))


def done(answer: Answer) -> Record:
    """Return what an API answered that was asked to make a resource; its refusal is the resource's failure."""
    try:
        return upstream.body_of(answer)
    except upstream.Refused as problem:
        raise ResourceFailed(str(problem)) from problem


def same_but_for_tags(old: Record, new: Record) -> bool:
    """Whether two versions of a resource's properties differ in their tags at most."""
    return {**old, "Tags": None} == {**new, "Tags": None}


def _stacks() -> Any:
    return upstream.module("services.cloudformation")._stacks


def install() -> None:
    """Mend ministack's CloudFormation."""
    engine = upstream.module("services.cloudformation.engine")
    stacks = upstream.module("services.cloudformation.stacks")
    owner = provisioners()

    def resolved(resource_type: str, properties: Record) -> Record:
        # A nested stack's parameters are passed on as they are; the reference is resolved where it is used.
        return properties if resource_type == _NESTED else engine._resolve_dynamic_references(properties)[0]

    def provision(resource_type: str, logical_id: str, properties: Record, stack_name: str) -> Created:
        return original_provision(resource_type, logical_id, resolved(resource_type, properties), stack_name)

    def update(
        resource_type: str,
        physical_id: str,
        old: Record,
        new: Record,
        stack_name: str,
        logical_id: str | None = None,
        attributes: Record | None = None,
    ) -> Created:
        if attributes is None:
            known = _stacks().get(stack_name, {}).get("_resources", {}).get(logical_id, {})
            attributes = known.get("Attributes")
        if old == new:
            return physical_id, attributes or {}
        return original_update(
            resource_type,
            physical_id,
            resolved(resource_type, old),
            resolved(resource_type, new),
            stack_name,
            logical_id,
            attributes,
        )

    original_provision = upstream.replace(owner, "_provision_resource", provision)
    original_update = upstream.replace(owner, "_update_resource", update)
    upstream.replace(stacks, "_provision_resource", provision)
    upstream.replace(stacks, "_update_resource", update)
    nested = handlers(_NESTED)
    nested["create"] = _creating_whole(nested["create"])
    nested["delete"] = delete_nested


def _creating_whole(create: Create) -> Create:
    """Let a nested stack that fails take with it what it had made: its parent never learns its id, and so couldn't."""

    def create_or_clean(logical_id: str, properties: Record, stack_name: str) -> Created:
        before = set(_stacks())
        try:
            return create(logical_id, properties, stack_name)
        except Exception as problem:
            for name in set(_stacks()) - before:
                _log.warning("%s failed: %s", name, problem)
                with contextlib.suppress(ResourceFailed):
                    delete_nested(name, {})
            raise ResourceFailed(f"Embedded stack {logical_id} was not successfully created: {problem}") from problem

    return create_or_clean


def delete_nested(physical_id: str, _properties: Record) -> None:
    """Delete a nested stack's resources, dependents first, as their deletion policies say."""
    name = provisioners()._nested_stack_lookup_name(physical_id)
    stack = _stacks().get(name)
    if stack is None or stack["StackStatus"] == "DELETE_COMPLETE":
        return
    engine = upstream.module("services.cloudformation.engine")
    events = upstream.module("services.cloudformation.stacks")
    template: Record = stack.get("_template") or {}
    definitions: Record = template.get("Resources", {})
    resources: Record = stack.get("_resources", {})
    stack["StackStatus"] = "DELETE_IN_PROGRESS"
    events._add_event(stack["StackId"], name, name, _NESTED, "DELETE_IN_PROGRESS", physical_id=stack["StackId"])
    order = [each for each in engine._topological_sort(definitions, stack.get("_conditions", {})) if each in resources]
    order += [each for each in resources if each not in order]
    for each in order:
        if (begin := EARLY_DELETIONS.get(resources[each]["ResourceType"])) and not _is_kept(definitions.get(each, {})):
            begin(resources[each]["PhysicalResourceId"])
    failed = {each: reason for each in reversed(order) if (reason := _delete_one(stack, name, each, definitions.get(each, {})))}
    stack["StackStatus"] = "DELETE_FAILED" if failed else "DELETE_COMPLETE"
    stack["StackStatusReason"] = "; ".join(f"{each}: {reason}" for each, reason in failed.items())
    events._add_event(stack["StackId"], name, name, _NESTED, stack["StackStatus"], stack["StackStatusReason"], physical_id=stack["StackId"])
    if failed:
        raise ResourceFailed(f"The following resource(s) failed to delete: [{', '.join(failed)}]. {stack['StackStatusReason']}")


def _policy(definition: Record) -> str:
    default = upstream.module("services.cloudformation.stacks")._default_resource_policy(definition, "DeletionPolicy")
    return str(definition.get("DeletionPolicy", default))


def _is_kept(definition: Record) -> bool:
    return _policy(definition) in _RETAINED


def _delete_one(stack: Record, name: str, logical_id: str, definition: Record) -> str | None:
    """Delete one resource of a nested stack; returns why it couldn't be."""
    events = upstream.module("services.cloudformation.stacks")
    resource: Record = stack["_resources"][logical_id]
    kind, physical_id = resource["ResourceType"], resource["PhysicalResourceId"]

    def tell(status: str, reason: str = "") -> None:
        events._add_event(stack["StackId"], name, logical_id, kind, status, reason, physical_id)

    policy = _policy(definition)
    if _is_kept(definition):
        tell("DELETE_SKIPPED")
        del stack["_resources"][logical_id]
        return None
    tell("DELETE_IN_PROGRESS")
    try:
        if policy == "Snapshot":
            provisioners()._snapshot_resource(kind, physical_id, resource["Properties"])
        provisioners()._delete_resource(kind, physical_id, resource["Properties"], name, logical_id)
    except Exception as problem:  # noqa: BLE001 - whatever it is, it becomes the event's reason and the stack's status
        _log.warning("%s of %s can't be deleted: %s", logical_id, name, problem)
        tell("DELETE_FAILED", str(problem))
        return str(problem)
    tell("DELETE_COMPLETE")
    del stack["_resources"][logical_id]
    return None
