"""What can be expanded is what Stripe's schema says (`x-expandableFields`), whether Tap has such objects or not: what is null stays null."""

from payments.wire.kind import Expandable

_NEVER = Expandable()
EMPTY = Expandable(listed=True)
"""A list of what Tap has none of."""
TURNED_INTO_DEBITS = ("bancontact", "ideal", "sofort")
"""Payment methods that leave a direct debit behind: Tap has none of them, Stripe's schema has."""


def id_of(*kinds: str) -> Expandable:
    """A field that holds the id of an object of one of these kinds."""
    return Expandable(kinds)


def never(*fields: str) -> dict[str, Expandable]:
    """Fields that are always null or absent here."""
    return dict.fromkeys(fields, _NEVER)
