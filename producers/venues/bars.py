"""A bar as charts tell it, before it becomes a row."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bar:
    """opened : UTC nanoseconds; prices in the instrument's currency; volume in its units"""

    opened: int
    open: float
    high: float
    low: float
    close: float
    volume: float

    @property
    def sound(self) -> bool:
        """Whether low and high hold the other prices, and nothing is negative or not finite."""
        return 0.0 < self.low <= min(self.open, self.close) and max(self.open, self.close) <= self.high < float("inf")
