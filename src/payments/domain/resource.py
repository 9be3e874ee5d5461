"""What every object of the API has: whose it is, when it was made, and how often it has changed."""

from typing import Any, ClassVar, TypeVar

from msgspec import Struct
from msgspec.structs import replace


class Resource(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One object of the API."""

    OBJECT: ClassVar[str]
    """What its field `object` says."""
    TOLD_AS: ClassVar[str] = ""
    """What its events' types begin with, where that is something else."""
    id: str
    merchant_id: int
    livemode: bool
    created: int
    """Unix seconds."""
    version: int = 1
    """Grows with each change, so that changes can be compared and told in order."""


R = TypeVar("R", bound=Resource)


def next_version(subject: R, **changes: Any) -> R:
    """Return `subject` with changes, one version on."""
    return replace(subject, version=subject.version + 1, **changes)
