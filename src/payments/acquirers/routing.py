"""Which acquirer gets a payment."""

from collections.abc import Sequence
from dataclasses import dataclass

from payments.domain.acquirers import SANDBOX
from payments.domain.errors import NoAcquirer


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """An acquirer, and what it takes."""

    acquirer: str
    livemode: bool
    currencies: frozenset[str] = frozenset()
    """None: all of them."""

    def takes(self, livemode: bool, currency: str | None) -> bool:
        """Tell whether a payment may go there."""
        return self.livemode == livemode and (currency is None or not self.currencies or currency in self.currencies)

    @property
    def verifies_in(self) -> str:
        """The currency in which it is asked whether a card is good, which costs nothing."""
        return min(self.currencies, default="usd")


_SANDBOX_ONLY = Route(acquirer=SANDBOX, livemode=False)


class Routes:
    """The first acquirer that takes a payment gets it. Test payments go to the sandbox where no acquirer for them is configured."""

    def __init__(self, configured: Sequence[Route] = ()) -> None:
        self._routes = [*configured, *([] if any(not route.livemode for route in configured) else [_SANDBOX_ONLY])]

    def choose(self, livemode: bool, currency: str | None = None) -> Route:
        """Return where a payment goes; raises `NoAcquirer`. Without a currency: where a card is verified."""
        for route in self._routes:
            if route.takes(livemode, currency):
                return route
        knows_mode = any(route.livemode == livemode for route in self._routes)
        raise NoAcquirer(livemode, currency if knows_mode else None)
