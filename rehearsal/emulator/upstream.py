"""ministack's modules, reached by name: only the emulator's own environment has them, and they have no types.

This is the one place that imports ministack, so that the rest is type-checked where ministack isn't installed.
"""

import importlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from rehearsal.emulator.settings import SETTINGS

Record = dict[str, Any]
"""A resource as ministack keeps it, or a request or an answer of AWS's JSON."""
Answer = tuple[int, dict[str, str], bytes]
"""Status, headers and body, as ministack's handlers return them."""


def module(name: str) -> Any:
    """Return ministack's module `name`, such as `services.ecs`."""
    return importlib.import_module(f"ministack.{name}")


@cache
def has_engine() -> bool:
    """Whether containers can be started; otherwise tasks and databases are records."""
    return module("services.ecs")._get_docker() is not None


def docker_containers() -> Any:
    """Return the class by which ministack's Docker client runs containers."""
    return importlib.import_module("docker.models.containers").ContainerCollection


def replace(owner: Any, name: str, new: Callable[..., Any]) -> Callable[..., Any]:
    """Put `new` in place of a function, in its module and in the module's table of API operations, and return the old one.

    An unknown name is a change of ministack's that nobody has looked at: it raises `AttributeError`.
    """
    old = getattr(owner, name)
    setattr(owner, name, new)
    operations = getattr(owner, "_ACTION_MAP", {})
    for operation in [key for key, handler in operations.items() if handler is old]:
        operations[operation] = new
    return old


def install() -> None:
    """Let the router know AWS's services by name alone: to learn what else each is called it reads all of their models, and answers nobody meanwhile."""
    names = frozenset(importlib.import_module("botocore.session").get_session().get_available_services())
    replace(module("core.router"), "_is_aws_service_name", names.__contains__)


def account() -> str:
    """Return the account of the request that is being served."""
    return str(module("core.responses").get_account_id())


def region() -> str:
    """Return the region of the request that is being served."""
    return str(module("core.responses").get_region())


def scope(account_id: str, region_name: str) -> AbstractContextManager[None]:
    """Serve an account and a region in a thread that no request started."""
    return module("core.responses").request_scope(account_id, region_name)


def body_of(answer: Answer) -> Record:
    """Return what a handler answered; raises `Refused` for an error."""
    status, _, body = answer
    told = json.loads(body)
    if status >= 400:
        raise Refused(told.get("message") or told.get("Message") or str(told))
    return told


class Refused(Exception):
    """The emulated API refused; the message is what it said."""


def json_answer(body: Record) -> Answer:
    """Answer in AWS's JSON."""
    return module("core.responses").json_response(body)


def json_error(code: str, message: str) -> Answer:
    """Refuse in AWS's JSON."""
    return module("core.responses").error_response_json(code, message, 400)


def client(service: str) -> Any:
    """Return a boto3 client of this very emulator, for the request's account and region."""
    boto3 = importlib.import_module("boto3")
    config = importlib.import_module("botocore.config").Config(read_timeout=900, retries={"total_max_attempts": 1})
    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{SETTINGS.gateway_port}",
        region_name=region(),
        aws_access_key_id=account(),
        aws_secret_access_key="emulated",  # noqa: S106 - the emulator takes any
        config=config,
    )


def camel(value: Any) -> Any:
    """Turn CloudFormation's `PascalCase` keys into the APIs' `camelCase`."""
    if isinstance(value, dict):
        return {key[:1].lower() + key[1:]: camel(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [camel(inner) for inner in value]
    return value
