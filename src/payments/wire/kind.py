"""What is declared of each kind of object that the API has."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic

from payments.domain.resource import R
from payments.storage.nouns import Noun
from payments.wire.render_people import Rendered


@dataclass(frozen=True, slots=True)
class Expandable:
    """What a field expands to."""

    kinds: tuple[str, ...] = ()
    """What its id may name, or its list holds; none when Tap has no such objects."""
    listed: bool = False
    """It is a list, which is only there when it was asked for."""
    column: str = ""
    """What of the listed objects names the one that lists them."""
    path: str = ""
    """Of the list, up to the id of the one that it is of; where that isn't below its own path."""
    unasked_before: str = ""
    """Versions before this one show it without being asked."""
    gone: bool = False
    """And later ones haven't got it at all."""
    own: Callable[[Any], Rendered | list[Rendered] | None] | None = None
    """It is part of the object itself, shown only when it was asked for."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What an operation answers with when it succeeds."""

    name: str
    """What its objects say that they are; `deleted_NAME` for what is left of one."""
    listed: bool = False
    """A page of them."""
    streamed: bool = False
    """One after the other, as they come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[R]):
    """One kind of object."""

    noun: Noun[R]
    path: str
    """Of its list."""
    render: Callable[[R], Rendered]
    render_at: Callable[[R, float], Rendered] | None = None
    """Where it looks otherwise as time goes by; unix seconds."""
    title: str = ""
    """As in "No such PaymentMethod", where that isn't its name."""
    shows_deleted: bool = False
    """Whether what is left of a deleted one can be retrieved."""
    param: str = "id"
    """What an error calls the id in a path."""
    expandable: Mapping[str, Expandable] = field(default_factory=dict[str, Expandable])

    @property
    def name(self) -> str:
        """What its objects say that they are."""
        return self.noun.struct.OBJECT

    @property
    def named(self) -> str:
        """What a client reads of it."""
        return self.title or self.name

    def expandable_in(self, api_version: str) -> dict[str, Expandable]:
        """Return what a version has of the expandable fields."""
        return {name: each for name, each in self.expandable.items() if not each.gone or api_version < each.unasked_before}

    def may_name(self, object_id: str) -> bool:
        """Tell whether an id may be one of this kind's: where merchants choose them, any may."""
        return self.noun.place != "id" or object_id.startswith(f"{self.noun.prefix}_")
