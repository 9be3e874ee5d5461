"""Which acquirer gets a payment: the rules of `acquirers.toml`, in their order, and without a rule the first acquirer that takes it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from msgspec import Meta, Struct

from payments.acquirers.declines import DECLINE_CODES
from payments.domain.acquirers import SANDBOX
from payments.domain.errors import NoAcquirer
from payments.domain.money import CURRENCIES

RETRIED_DECLINES = frozenset({"issuer_not_available", "processing_error", "reenter_transaction", "try_again_later"})
"""The declines after which another acquirer may be asked: those that say nothing about the card or its holder. The schemes forbid to try again after most of
the others. Source: Visa, "Decline Code Management" (categories 1 to 3); Mastercard, "Transaction Processing Excellence"."""
_BUCKETS = 10_000
_BIN_DIGITS = (2, 8)

Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,30}\Z")]
Currency = Annotated[str, Meta(pattern=r"^[a-z]{3}\Z")]
BinRange = Annotated[str, Meta(pattern=r"^[0-9]{2,8}(-[0-9]{2,8})?\Z")]
"""The first digits of card numbers, `424242`, or a range of them, `424200-424299`."""
Brand = Literal["amex", "diners", "discover", "jcb", "mastercard", "unionpay", "visa", "unknown"]
Country = Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z")]
MinorUnits = Annotated[int, Meta(ge=0)]
Percent = Annotated[float, Meta(gt=0, le=100)]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a payment is routed by. None: it isn't known, or there is none, as when a card is verified without a payment."""

    livemode: bool
    account: str | None = None
    currency: str | None = None
    amount: int | None = None
    """Minor units."""
    brand: str | None = None
    iin: str = ""
    """The first six or eight digits of the card's number."""
    country: str | None = None
    """Of the card's issuer; None: what `[card_countries]` says of its first digits,"""
    stored_country: str | None = None
    """or else what it was stored with, which is true in the sandbox only."""
    payment: str | None = None
    """What a share of payments is told by: the intent's id, so that whoever asks again for the same payment is told the same."""


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule: payments for which all that it names is so go to its acquirers."""

    name: Name
    acquirers: Annotated[list[Name], Meta(min_length=1, max_length=8)]
    """The first of them; the others while those before them can't be reached."""
    accounts: list[Annotated[str, Meta(pattern=r"^acct_[A-Za-z0-9]{1,60}\Z")]] = []
    currencies: list[Currency] = []
    brands: list[Brand] = []
    bins: list[BinRange] = []
    countries: list[Country] = []
    amount_min: MinorUnits | None = None
    """At least, and"""
    amount_max: MinorUnits | None = None
    """at most so many minor units, of one of `currencies`."""
    percent: Percent = 100.0
    """Of the payments for which all else is so."""
    retry_declines: list[str] = []
    """After which declines the next acquirer is asked, too."""

    def fault(self, routes: Mapping[str, Route]) -> str | None:
        """Return what is wrong with it, None when nothing is; `routes`: the acquirers by name."""
        unknown = [each for each in self.acquirers if each not in routes]
        if unknown:
            return f"there is no acquirer {unknown[0]}"
        if len(set(self.acquirers)) < len(self.acquirers):
            return "an acquirer stands twice in acquirers"
        if len({routes[each].livemode for each in self.acquirers}) > 1:
            return "its acquirers are of both modes"
        if unknown := [each for each in self.currencies if each not in CURRENCIES]:
            return f"there is no currency {unknown[0]}"
        if (self.amount_min, self.amount_max) != (None, None) and not self.currencies:
            return "an amount says nothing without currencies"
        if self.amount_min is not None and self.amount_max is not None and self.amount_min > self.amount_max:
            return "amount_min is more than amount_max"
        if self.retry_declines and len(self.acquirers) == 1:
            return "retry_declines takes a second acquirer"
        if wrong := [each for each in self.retry_declines if each not in RETRIED_DECLINES]:
            known = "is not to be retried" if wrong[0] in DECLINE_CODES else "is no decline code"
            return f"retry_declines: {wrong[0]} {known}; those that are: {', '.join(sorted(RETRIED_DECLINES))}"
        return next((f"bins: {each} is no range" for each in self.bins if not _is_range(each)), None)

    def unlike(self, facts: Facts, country: str | None) -> str | None:
        """Return the first thing that isn't so for a payment, None when all is; its share of payments isn't asked here. `country`: of the card's issuer."""
        if self.accounts and facts.account not in self.accounts:
            return f"the account isn't {_one_of(self.accounts)}"
        if self.currencies and facts.currency not in self.currencies:
            return f"the currency isn't {_one_of(self.currencies)}"
        if self.amount_min is not None and (facts.amount is None or facts.amount < self.amount_min):
            return f"the amount isn't at least {self.amount_min}"
        if self.amount_max is not None and (facts.amount is None or facts.amount > self.amount_max):
            return f"the amount isn't at most {self.amount_max}"
        if self.brands and facts.brand not in self.brands:
            return f"the brand isn't {_one_of(self.brands)}"
        if self.bins and not any(is_within(facts.iin, each) for each in self.bins):
            return f"the BIN isn't in {_one_of(self.bins)}" if facts.iin else "the card's BIN isn't known"
        if self.countries and country not in self.countries:
            return f"the card's country isn't {_one_of(self.countries)}" if country else "the card's country isn't known"
        return None

    def takes_share(self, payment: str) -> bool:
        """Tell whether a payment is in the rule's share: the same whenever it is asked."""
        digest = hashlib.blake2b(f"{self.name} {payment}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) % _BUCKETS < self.percent * _BUCKETS / 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Where a payment goes."""

    route: Route
    fallbacks: tuple[str, ...] = ()
    """To whom it goes while those before can't be reached."""
    rule: str | None = None
    """None: no rule says so; it is the first acquirer that takes it."""
    retry_declines: tuple[str, ...] = ()

    @property
    def acquirer(self) -> str:
        """Who gets it."""
        return self.route.acquirer


@dataclass(frozen=True, slots=True, kw_only=True)
class Considered:
    """What was found of one rule, or of what holds without one."""

    rule: str | None
    reason: str | None = None
    """Why it doesn't apply."""
    decision: Decision | None = None
    share: float | None = None
    """Percent, where it isn't known which payment it is: for so many of them it decides, and the next that applies for the others."""


_SANDBOX_ONLY = Route(acquirer=SANDBOX, livemode=False)


@dataclass(frozen=True, slots=True)
class CardCountries:
    """The countries of issuers by the first digits of their cards, as far as they are configured."""

    ranges: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])

    def of(self, iin: str) -> str | None:
        """Return a country, None when none is known."""
        return next((country for country, ranges in self.ranges.items() if any(is_within(iin, each) for each in ranges)), None)

    def fault(self) -> str | None:
        """Return what is wrong, None when nothing is."""
        return next(
            (f"{country}: {each} is no range" for country, ranges in self.ranges.items() for each in ranges if not _is_range(each)), None
        )


class Routes:
    """The first rule that applies decides; without one, the first acquirer that takes a payment gets it.

    Test payments go to the sandbox where no acquirer for them is configured.
    """

    def __init__(self, configured: Sequence[Route] = (), rules: Sequence[Rule] = (), countries: CardCountries | None = None) -> None:
        """`rules` have no fault."""
        self._routes = [*configured, *([] if any(not route.livemode for route in configured) else [_SANDBOX_ONLY])]
        self._by_name = {SANDBOX: _SANDBOX_ONLY, **{route.acquirer: route for route in configured}}
        self._rules = rules
        self._countries = countries or CardCountries()
        self.ask_for_account = any(rule.accounts for rule in rules)
        """Whether it matters whose a payment is."""

    def choose(self, facts: Facts) -> Decision:
        """Return where a payment goes; raises `NoAcquirer`. Without a currency: where a card is verified."""
        for rule in self._rules:
            decision = self._consider(rule, facts).decision
            if decision is not None:
                return decision
        return self._without_rule(facts)

    def explain(self, facts: Facts) -> list[Considered]:
        """Return what is found of each rule, in their order, until one decides; the last one decides. Raises `NoAcquirer`."""
        found: list[Considered] = []
        for rule in self._rules:
            found.append(self._consider(rule, facts))
            if found[-1].decision is not None and found[-1].share is None:
                return found
        return [*found, Considered(rule=None, decision=self._without_rule(facts))]

    def _consider(self, rule: Rule, facts: Facts) -> Considered:
        country = facts.country or self._countries.of(facts.iin) or facts.stored_country if rule.countries else None
        reason = rule.unlike(facts, country)
        if reason is not None:
            return Considered(rule=rule.name, reason=reason)
        taking = [name for name in rule.acquirers if self._by_name[name].takes(facts.livemode, facts.currency)]
        if not taking:
            mode = "live" if facts.livemode else "test"
            return Considered(rule=rule.name, reason=f"none of its acquirers takes {mode} payments{_in(facts.currency)}")
        shares = rule.percent < 100
        if shares and facts.payment is not None and not rule.takes_share(facts.payment):
            return Considered(rule=rule.name, reason=f"the payment isn't among its {rule.percent:g} %")
        decision = Decision(
            route=self._by_name[taking[0]],
            fallbacks=tuple(taking[1:]),
            rule=rule.name,
            retry_declines=tuple(rule.retry_declines),
        )
        return Considered(rule=rule.name, decision=decision, share=rule.percent if shares and facts.payment is None else None)

    def _without_rule(self, facts: Facts) -> Decision:
        for route in self._routes:
            if route.takes(facts.livemode, facts.currency):
                return Decision(route=route)
        knows_mode = any(route.livemode == facts.livemode for route in self._routes)
        raise NoAcquirer(facts.livemode, facts.currency if knows_mode else None)


def is_within(iin: str, bins: str) -> bool:
    """Tell whether a card whose first digits are `iin` is in a range of them; not, where fewer digits are known than the range has."""
    low, _, high = bins.partition("-")
    return len(iin) >= len(low) and low <= iin[: len(low)] <= (high or low)


def _is_range(bins: str) -> bool:
    low, _, high = bins.partition("-")
    least, most = _BIN_DIGITS
    return least <= len(low) <= most and len(high or low) == len(low) and low <= (high or low)


def _one_of(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown}, …"


def _in(currency: str | None) -> str:
    return "" if currency is None else f" in {currency}"
