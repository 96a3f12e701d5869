"""Exact units: prices, quantities and money of an instrument as whole numbers of its smallest steps (int64)."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from detectors.trading.venues import Bands, VenueRules

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

MAKER_PPM, TAKER_PPM, TAX_PPM, FEE_UNIT, LEAST_FEE, LOT, LEAST_VALUE, SHORTING = range(8)
TERMS = 8
"""Columns of a lane's terms; fee unit, least fee and least value in money steps, the lot in quantity steps."""
BANDS = 16
"""Rows of a tick table in kernels; unused ones begin where no price is."""
BEYOND = 2**62


def decimals(text: str) -> int:
    """Digits after the point of a decimal text."""
    exponent = Decimal(text).normalize().as_tuple().exponent
    return max(0, -int(exponent))


@dataclass(frozen=True, slots=True)
class Units:
    """Digits after the point of prices and of quantities.

    A money step is a price step times a quantity step, so that price times quantity is exact. An int64 holds values up
    to 9.2e18 money steps.
    """

    price_decimals: int
    qty_decimals: int

    @property
    def money_decimals(self) -> int:
        """Digits after the point of money."""
        return self.price_decimals + self.qty_decimals

    def prices(self, values: F8) -> I8:
        """Prices as steps, int64; NaN (an absent level) as 0. ValueError where one is no whole number of steps."""
        return _steps(values, self.price_decimals)

    def quantities(self, values: F8) -> I8:
        """Quantities as steps, rounded down: what is visible beyond a step cannot be traded."""
        return steps_down(values, 10.0**self.qty_decimals)

    def price(self, steps: int) -> float:
        """The float64 nearest to a price."""
        return float(Decimal(int(steps)).scaleb(-self.price_decimals))

    def quantity(self, steps: int) -> float:
        """The float64 nearest to a quantity."""
        return float(Decimal(int(steps)).scaleb(-self.qty_decimals))

    def money(self, steps: int) -> float:
        """The float64 nearest to an amount of money."""
        return float(Decimal(int(steps)).scaleb(-self.money_decimals))

    def money_steps(self, amount: str | float) -> int:
        """Whole money steps in an amount, rounded down."""
        return int(Decimal(str(amount)).scaleb(self.money_decimals))


def steps_near(values: F8, scale: F8 | float) -> I8:
    """The nearest whole steps, NaN as 0. scale : steps in 1, one for all or one a row"""
    found: I8 = np.rint(np.nan_to_num(np.asarray(values, dtype=np.float64)) * scale).astype(np.int64)
    return found


def steps_down(values: F8, scale: F8 | float) -> I8:
    """Whole steps rounded down, but for what is a whole number in decimals, NaN as 0. scale : as for `steps_near`"""
    scaled = np.nan_to_num(np.asarray(values, dtype=np.float64)) * scale
    nearest = np.rint(scaled)
    whole = np.abs(scaled - nearest) <= 1e-9 * np.maximum(1.0, np.abs(scaled))
    found: I8 = np.where(whole, nearest, np.floor(scaled)).astype(np.int64)
    return found


def _steps(values: F8, digits: int) -> I8:
    scaled = np.nan_to_num(np.asarray(values, dtype=np.float64)) * 10.0**digits
    nearest = np.rint(scaled)
    if np.any(np.abs(scaled - nearest) > 1e-6 * np.maximum(1.0, np.abs(scaled) * 1e-6)):
        worst = float(np.asarray(values).ravel()[int(np.argmax(np.abs(scaled - nearest)))])
        raise ValueError(f"{worst!r} is no whole number of steps of 1e-{digits}")
    found: I8 = nearest.astype(np.int64)
    return found


def units_of(rules: VenueRules, around: float) -> Units:
    """Units for an instrument that trades around a price.

    Prices down to a hundredth of it are exact; below, a tick table such as Upbit's would need more digits than an int64
    has room for.
    """
    reached = [tick for tick, upper in _with_upper(rules.bands) if upper > Decimal(str(around)) / 100]
    return Units(max(decimals(tick) for tick in reached), decimals(rules.lot))


def _with_upper(bands: Bands) -> list[tuple[str, Decimal]]:
    """Each band's tick and the price at which it ends."""
    ends = [Decimal(price) for price, _ in bands[1:]] + [Decimal("Infinity")]
    return [(tick, end) for (_, tick), end in zip(bands, ends, strict=True)]


def tick_table(rules: VenueRules, units: Units) -> I8:
    """int64[BANDS, 2]: from which price on, tick size; in price steps. Bands finer than a price step are left out."""
    scale = Decimal(10) ** units.price_decimals
    kept = [(Decimal(price), Decimal(tick)) for price, tick in rules.bands if decimals(tick) <= units.price_decimals]
    table = np.full((BANDS, 2), BEYOND, dtype=np.int64)
    for place, (price, tick) in enumerate(kept):
        table[place] = (0 if place == 0 else int(price * scale), int(tick * scale))
    return table


def terms(rules: VenueRules, units: Units) -> I8:
    """int64[TERMS] of one instrument, for the kernels."""
    return np.array(
        [
            rules.maker_ppm,
            rules.taker_ppm,
            rules.sell_tax_ppm,
            units.money_steps(rules.fee_unit) if rules.fee_unit else 1,
            units.money_steps(rules.least_fee),
            int(Decimal(rules.lot).scaleb(units.qty_decimals)),
            units.money_steps(rules.least_value),
            int(rules.shorting),
        ],
        dtype=np.int64,
    )


def stacked(each: Sequence[tuple[VenueRules, Units]]) -> tuple[I8, I8]:
    """Tick tables int64[lanes, BANDS, 2] and terms int64[lanes, TERMS] of several instruments."""
    return (
        np.stack([tick_table(rules, units) for rules, units in each]),
        np.stack([terms(rules, units) for rules, units in each]),
    )
