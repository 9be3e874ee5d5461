"""What a merchant pays per capture."""

from msgspec import Struct


class FeeSchedule(Struct, frozen=True):
    """A share of the captured amount and a fixed part, in minor units of the currency captured."""

    basis_points: int = 290
    fixed_minor_units: int = 30

    def fee(self, amount: int) -> int:
        """Return the fee on `amount` minor units: the share rounded half up, plus the fixed part."""
        return (amount * self.basis_points + 5_000) // 10_000 + self.fixed_minor_units
