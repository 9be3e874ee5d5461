"""How a stack comes by what its props don't name: their constructs know who made them, and services go by more than one name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import IConstruct

from lib.environments import ConfigurationError
from payments.runtime.topology import SERVICES, Service

Key = kms.IKey | kms.Key
Secret = secretsmanager.ISecret | secretsmanager.Secret
"""Type checkers don't see that the classes have what the interfaces ask for, since some parameters have other names."""

_Kind = TypeVar("_Kind")
_Value = TypeVar("_Value")


def enclosing(kind: type[_Kind], construct: IConstruct) -> _Kind | None:
    """Return the innermost construct of a kind that `construct` is in, such as the stack that made it."""
    return next((each for each in reversed(construct.node.scopes) if isinstance(each, kind)), None)


def made_by(kind: type[_Kind], construct: IConstruct) -> _Kind:
    """Return the stack that made `construct`; raises `ConfigurationError` where it was made otherwise."""
    if (found := enclosing(kind, construct)) is None:
        raise ConfigurationError(f"{construct.node.path} must be what an {kind.__name__} made.")
    return found


def first_made_by(kind: type[_Kind], *constructs: IConstruct) -> _Kind | None:
    """Return the stack that made one of `constructs`; None where all were made otherwise."""
    return next((found for each in constructs if (found := enclosing(kind, each)) is not None), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicesProps:
    """What a stack that comes after the services depends on."""

    environment_suffix: str
    payment_api_service: ecs.FargateService
    transaction_processor_service: ecs.FargateService
    notification_service: ecs.FargateService

    @property
    def services(self) -> dict[Service, ecs.FargateService]:
        """The services."""
        return {
            Service.NOTIFICATION_SERVICE: self.notification_service,
            Service.TRANSACTION_PROCESSOR: self.transaction_processor_service,
            Service.PAYMENT_API: self.payment_api_service,
        }


def by_service(given: Mapping[str, _Value]) -> dict[Service, _Value]:
    """Return what is given for each service by its name, in Python's or in AWS's way, or by its first word. Raises `ConfigurationError`."""
    found = {_service(name): value for name, value in given.items()}
    if missing := SERVICES.keys() - found.keys():
        raise ConfigurationError(f"{', '.join(sorted(missing))} is missing beside {', '.join(given) or 'nothing'}.")
    return found


def _service(name: str) -> Service:
    words = name.replace("_", "-")
    for service in Service:
        if words == service or words == service.partition("-")[0]:
            return service
    raise ConfigurationError(f"There is no service '{name}': {', '.join(SERVICES)} are the services.")
