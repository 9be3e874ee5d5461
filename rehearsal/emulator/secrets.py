"""Secrets: `Ref` gives the ARN, as on AWS, and a rotation schedule is a record. Nothing rotates by itself."""

from typing import Any

from rehearsal.emulator import cloudformation, upstream
from rehearsal.emulator.cloudformation import Created
from rehearsal.emulator.upstream import Record


def _manager() -> Any:
    return upstream.module("services.secretsmanager")


def install() -> None:
    """Mend the secret and add its schedule."""
    handler = cloudformation.handlers("AWS::SecretsManager::Secret")
    create, update, delete = handler["create"], handler["update"], handler["delete"]

    def created(logical_id: str, properties: Record, stack_name: str) -> Created:
        _, attributes = create(logical_id, properties, stack_name)
        return attributes["Arn"], attributes

    def updated(physical_id: str, old: Record, new: Record, stack_name: str, logical_id: str) -> Created:
        _, attributes = update(_name(physical_id), old, new, stack_name, logical_id)
        return attributes.get("Arn", physical_id), attributes

    cloudformation.register(
        "AWS::SecretsManager::Secret",
        create=created,
        update=updated,
        delete=lambda physical_id, properties: delete(_name(physical_id), properties),
    )
    cloudformation.register(
        "AWS::SecretsManager::RotationSchedule",
        create=_schedule,
        update=lambda _physical_id, _old, new, stack, logical_id: _schedule(logical_id, new, stack),
        delete=_unschedule,
    )


def _name(arn: str) -> str:
    return next((name for name, secret in _manager()._secrets.items() if secret["ARN"] == arn), arn)


def _schedule(_logical_id: str, properties: Record, _stack_name: str) -> Created:
    _, secret = _manager()._resolve(properties["SecretId"])
    if secret is None:
        raise cloudformation.ResourceFailed("Secrets Manager can't find the specified secret.")
    secret["RotationEnabled"], secret["RotationRules"] = True, properties.get("RotationRules", {})
    return secret["ARN"], {}


def _unschedule(_physical_id: str, properties: Record) -> None:
    _, secret = _manager()._resolve(properties["SecretId"])
    if secret is not None:
        secret["RotationEnabled"] = False
