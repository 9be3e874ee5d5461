"""What a merchant pays per capture and per dispute, and when they have the rest."""

from msgspec import Struct

from payments.domain.money import CURRENCIES

_BASIS_POINTS = 10_000
"""In one: a basis point is a hundredth of a percent."""
_SMALLEST_CHARGE_USD_CENTS = 50


class FeeSchedule(Struct, frozen=True):
    """A share of the captured amount and a fixed part, in minor units of the currency captured."""

    basis_points: int = 290
    fixed_minor_units: int = 30
    dispute_usd_cents: int = 1500
    """Per dispute, in cents of a US dollar or about as much of another currency. It isn't returned when the dispute is won."""
    delay_days: int = 2
    """After how many days the net amount of a capture becomes available."""

    def fee(self, amount: int, currency: str) -> int:
        """Return the fee on `amount` minor units: share and fixed part together, rounded half up to what can be paid in the currency.

        What is left of an amount that could be captured can then be paid as well.
        """
        step = CURRENCIES[currency].step
        exact = amount * self.basis_points + self.fixed_minor_units * _BASIS_POINTS
        return (exact + step * _BASIS_POINTS // 2) // (step * _BASIS_POINTS) * step

    def dispute_fee(self, currency: str) -> int:
        """Return the fee of a dispute in minor units: in each currency the smallest charge stands for half a US dollar."""
        known = CURRENCIES[currency]
        exact = self.dispute_usd_cents * known.charge_minor_units_min
        unit = _SMALLEST_CHARGE_USD_CENTS * known.step
        return (exact + unit // 2) // unit * known.step
