"""The instruments of the synthetic market: reference data, price grids, and how busy and how liquid each one is."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from producers.synthetic.config import SyntheticConfig
from tapewatch.instruments import Instrument, Session, Tick

VENUE = "SIMX"


@dataclass(frozen=True, slots=True)
class TickClass:
    """A tick table: bands of (from price, tick size, decimals of the tick), top price, range of opening prices, lot."""

    bands: tuple[tuple[float, float, int], ...]
    top: float
    opening: tuple[float, float]
    lot: int

    def ticks(self) -> tuple[Tick, ...]:
        """The table as reference data has it."""
        return tuple(Tick(price=price, size=size) for price, size, _ in self.bands)

    def grid(self) -> npt.NDArray[np.float64]:
        """Every legal price above 0, ascending; each is the float64 nearest to its decimal text."""
        edges = [price for price, _, _ in self.bands[1:]] + [self.top]
        parts = []
        for (low, size, decimals), high in zip(self.bands, edges, strict=True):
            unit = 10**decimals
            step = round(size * unit)
            # Integer numerators over a power of ten are rounded once, so the quotient is the float of the decimal text.
            parts.append(np.arange(max(step, round(low * unit)), round(high * unit), step, dtype=np.int64) / unit)
        return np.concatenate(parts)


TICK_CLASSES = (
    TickClass(((0.0, 0.0001, 4), (1.0, 0.01, 2), (2000.0, 0.1, 1)), 20_000.0, (8.0, 300.0), 100),
    TickClass(
        ((0.0, 0.01, 2), (10.0, 0.05, 2), (50.0, 0.1, 1), (100.0, 0.5, 1), (500.0, 1.0, 0), (1000.0, 5.0, 0)),
        20_000.0,
        (15.0, 900.0),
        1000,
    ),
    TickClass(((0.0, 0.001, 3), (50.0, 0.01, 2)), 2_000.0, (1.5, 60.0), 10),
)
_CLASS_SHARES = (0.5, 0.3, 0.2)


@dataclass(frozen=True, slots=True)
class Universe:
    """What is fixed about the instruments; arrays have one element an instrument.

    grid : all tick classes' legal prices one after another; an instrument's lie in grid[grid_low:grid_high]
    price : opening log price; activity : share of all order events, sums to 1
    spread_bp, gap_bp : usual spread and distance between levels, basis points
    order_lots : mean size of a genuine limit order, lots; lot : units a lot
    market_beta, sector_beta, own_beta : daily log volatility due to the market, the sector and the instrument itself
    """

    instruments: tuple[Instrument, ...]
    ids: tuple[str, ...]
    grid: npt.NDArray[np.float64]
    arrays: dict[str, npt.NDArray[Any]]


def _instrument(k: int, table: TickClass, sector: int) -> Instrument:
    return Instrument(
        id=f"S{k + 1:04d}.{VENUE}",
        name=f"Synthetic {k + 1:04d} (sector {sector + 1})",
        currency="USD",
        kind="share",
        ticks=table.ticks(),
        lot=float(table.lot),
        session=Session(),
    )


def build_universe(config: SyntheticConfig, rng: np.random.Generator) -> Universe:
    """Draw the instruments and what is fixed about each."""
    n = config.instruments
    kind = rng.choice(len(TICK_CLASSES), n, p=_CLASS_SHARES)
    sector = rng.integers(0, config.sectors, n)
    grids = [table.grid() for table in TICK_CLASSES]
    starts = np.concatenate(([0], np.cumsum([len(grid) for grid in grids])))
    low = np.array([np.log(TICK_CLASSES[k].opening[0]) for k in kind])
    high = np.array([np.log(TICK_CLASSES[k].opening[1]) for k in kind])
    activity = np.exp(0.7 * np.clip(rng.standard_normal(n), -2.0, 2.0))
    spread = 8.0 * (activity / activity.mean()) ** -0.3 * np.exp(0.3 * rng.standard_normal(n))
    volatility = config.daily_volatility * np.exp(0.3 * rng.standard_normal(n))
    own = 1.0 - config.correlation - config.sector_correlation
    instruments = tuple(_instrument(k, TICK_CLASSES[kind[k]], int(sector[k])) for k in range(n))
    arrays = {
        "sector": sector,
        "grid_low": starts[kind],
        "grid_high": starts[kind + 1],
        "price": rng.uniform(low, high),
        "activity": activity / activity.sum(),
        "spread_bp": spread,
        "gap_bp": 0.5 * spread,
        "order_lots": 4.0 + 8.0 * np.exp(0.6 * rng.standard_normal(n)),
        "lot": np.array([TICK_CLASSES[k].lot for k in kind]),
        "market_beta": volatility * np.sqrt(config.correlation),
        "sector_beta": volatility * np.sqrt(config.sector_correlation),
        "own_beta": volatility * np.sqrt(own),
    }
    return Universe(instruments, tuple(one.id for one in instruments), np.concatenate(grids), arrays)
