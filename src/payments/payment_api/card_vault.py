"""Takes card numbers in, seals them, and keeps of them what may be shown."""

import datetime
from functools import lru_cache
from typing import Annotated, Protocol

from msgspec import Meta, Struct
from msgspec.structs import replace

from payments.acquirers.sealed_card import CardSealer
from payments.acquirers.test_cards import BY_ALIAS, BY_NUMBER, EXP_MONTH, EXP_YEARS_AHEAD
from payments.domain.card import Card, Pan, check_cvc, check_expiry
from payments.domain.confirmation_token import ConfirmationToken
from payments.domain.errors import InvalidRequest, ResourceMissing
from payments.domain.payment_method import PaymentMethod
from payments.domain.people import Address, BillingDetails
from payments.domain.token import TOKEN_SECONDS_MAX, Token
from payments.runtime.clock import Clock
from payments.runtime.ids import new_id

_NO_DETAILS, _NO_ADDRESS = BillingDetails(), Address()
_TEST_CARDS_REMEMBERED_MAX = 10_000
_ALIAS_PREFIXES = ("pm_card_", "tok_")


class CardParam(Struct, frozen=True, forbid_unknown_fields=True):
    """A card as a parameter: its number with expiry, or a token that stands for it."""

    number: Annotated[str, Meta(max_length=40)] = ""
    exp_month: int | None = None
    exp_year: int | None = None
    cvc: Annotated[str, Meta(max_length=10)] = ""
    token: Annotated[str, Meta(max_length=100)] = ""

    def __repr__(self) -> str:
        return "CardParam(…)"


class Vaulted(Struct, frozen=True):
    """A payment method just made, with its secrets sealed; or that of a token, one version on, whose number is stored already."""

    method: PaymentMethod
    sealed_number: str = ""
    sealed_cvc: str | None = None
    """It travels with the request, and is never stored."""

    @property
    def is_stored(self) -> bool:
        """Whether it is to be changed rather than created."""
        return self.method.version > 1


class Owner(Protocol):
    """Whose card it is: what an API key stands for, or what a page of ours is about."""

    @property
    def merchant_id(self) -> int:
        """The merchant."""
        ...

    @property
    def livemode(self) -> bool:
        """The mode."""
        ...


class CardVault:
    """Makes payment methods."""

    def __init__(self, sealer: CardSealer, clock: Clock) -> None:
        self._sealer = sealer
        self._clock = clock
        self._test_cards: dict[tuple[int, str, int], tuple[Pan, Card]] = {}

    def vault(self, owner: Owner, card: CardParam, details: BillingDetails | None = None) -> Vaulted:
        """Make a payment method of a card's number; raises `CardError`, `InvalidRequest`."""
        for name, value in (("number", card.number), ("exp_month", card.exp_month), ("exp_year", card.exp_year)):
            if value in (None, ""):
                raise InvalidRequest(f"Missing required param: card[{name}].", code="parameter_missing", param=f"card[{name}]")
        pan = Pan(card.number)
        month = card.exp_month or 0
        year = self.check_expiry(month, card.exp_year or 0)
        if card.cvc:
            check_cvc(card.cvc, pan.brand)
        shown = self._describe(owner.merchant_id, owner.livemode, pan, month, year)
        return self._seal(owner, pan, shown, card.cvc or None, details)

    def check_expiry(self, month: int, year: int) -> int:
        """Return the year with four digits; raises `CardError` unless the card is valid this month."""
        year = _four_digits(year)
        now_year, now_month = _year_and_month(self._clock.now())
        check_expiry(month, year, now_year=now_year, now_month=now_month)
        return year

    def check_token(self, token: Token, *, param: str) -> None:
        """Raise `InvalidRequest` for a token whose time is over."""
        if self._clock.now() > token.created + TOKEN_SECONDS_MAX:
            raise InvalidRequest(
                f"The token {token.id} has expired: it could be used for {TOKEN_SECONDS_MAX // 60} minutes. Make a new one.",
                code="resource_missing",
                param=param,
            )

    def check_confirmation_token(self, token: ConfirmationToken) -> None:
        """Raise `InvalidRequest` for one whose time is over."""
        if self._clock.now() > token.expires_at:
            raise InvalidRequest(
                f"The ConfirmationToken {token.id} has expired. Make a new one.", code="resource_missing", param="confirmation_token"
            )

    def from_alias(self, owner: Owner, alias: str, details: BillingDetails | None = None, *, param: str = "payment_method") -> Vaulted:
        """Make a payment method of a test card's name, such as `pm_card_visa`; raises `ResourceMissing`, in live mode always."""
        card = BY_ALIAS.get(alias)
        if card is None or owner.livemode:
            raise ResourceMissing("token" if alias.startswith("tok_") else "PaymentMethod", alias[:100], param=param)
        year = _year_and_month(self._clock.now())[0] + EXP_YEARS_AHEAD
        known = self._test_cards.get((owner.merchant_id, card.number, year))
        if known is None:
            pan = Pan(card.number)
            known = pan, self._describe(owner.merchant_id, owner.livemode, pan, EXP_MONTH, year)
            if len(self._test_cards) >= _TEST_CARDS_REMEMBERED_MAX:
                self._test_cards.clear()
            self._test_cards[owner.merchant_id, card.number, year] = known
        return self._seal(owner, *known, None, details, by_name=True)

    def _seal(
        self, owner: Owner, pan: Pan, card: Card, cvc: str | None, details: BillingDetails | None, *, by_name: bool = False
    ) -> Vaulted:
        method_id = new_id("pm")
        merchant_id, livemode = owner.merchant_id, owner.livemode
        details = details or _NO_DETAILS
        address = details.address or _NO_ADDRESS
        known = None if livemode else BY_NUMBER.get(pan.reveal())
        if known is not None:
            # In test mode the simulator's verdicts on CVC and address are known at once, as Stripe's are.
            card = replace(
                card,
                cvc_check=known.verdict("cvc_check", given=cvc is not None, by_name=by_name),
                address_line1_check=known.verdict("address_line1_check", given=bool(address.line1), by_name=by_name),
                address_postal_code_check=known.verdict("address_postal_code_check", given=bool(address.postal_code), by_name=by_name),
            )
        method = PaymentMethod(
            id=method_id,
            merchant_id=merchant_id,
            livemode=livemode,
            created=int(self._clock.now()),
            card=card,
            billing_details=details,
            iin=pan.iin,
        )
        return Vaulted(
            method,
            self._sealer.seal_number(merchant_id, livemode, method_id, pan),
            None if cvc is None else self._sealer.seal_cvc(merchant_id, livemode, method_id, cvc),
        )

    def _describe(self, merchant_id: int, livemode: bool, pan: Pan, month: int, year: int) -> Card:
        known = BY_NUMBER.get(pan.reveal())
        return Card(
            brand=pan.brand,
            last4=pan.last4,
            exp_month=month,
            exp_year=year,
            fingerprint=self._sealer.fingerprint(merchant_id, livemode, pan),
            funding="credit" if known is None else known.funding,
            country="US" if known is None else known.country,
        )


def is_test_card(token: str) -> bool:
    """Tell whether a token stands for a test card, as `tok_visa` does."""
    return token in BY_ALIAS


def is_alias(payment_method: str) -> bool:
    """Tell whether a payment method is a test card's name rather than an id."""
    return payment_method.startswith(_ALIAS_PREFIXES)


def _four_digits(year: int) -> int:
    """People write 27 for 2027."""
    return year + 2000 if 0 <= year < 100 else year


@lru_cache(maxsize=2)
def _month_of(day: int) -> tuple[int, int]:
    date = datetime.date(1970, 1, 1) + datetime.timedelta(days=day)
    return date.year, date.month


def _year_and_month(now: float) -> tuple[int, int]:
    return _month_of(int(now // 86_400))
