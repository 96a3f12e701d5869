"""The instruments of the synthetic market: what is listed, price grids, and how busy and how liquid each one is."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from producers.synthetic.config import SyntheticConfig
from tapewatch.contract.instruments import Instrument, Session, Tick

VENUE = "SIMX"


@dataclass(frozen=True, slots=True)
class TickClass:
    """A tick table: bands of (from price, tick size, decimals of the tick), top price, range of opening prices, lot.

    parts : a unit's lots where a lot is a fraction of it; quantities are quotients of whole numbers, so that each is
    the float64 nearest to its decimal text
    """

    bands: tuple[tuple[float, float, int], ...]
    top: float
    opening: tuple[float, float]
    lot: int
    parts: int = 1

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


@dataclass(frozen=True, slots=True)
class AssetClass:
    """A kind of market: its instruments' kind, currency and id, its tick tables and how many instruments have which.

    spread_bp : usual spread of an instrument of mean activity, basis points
    """

    kind: str
    currency: str
    symbol: str
    classes: tuple[TickClass, ...]
    shares: tuple[float, ...]
    spread_bp: float


SHARES = AssetClass("share", "USD", "S{:04d}", TICK_CLASSES, (0.5, 0.3, 0.2), 8.0)
CRYPTO = AssetClass(
    "spot",
    "USDT",
    "C{:04d}USDT",
    (
        TickClass(((0.0, 0.1, 1),), 200_000.0, (15_000.0, 90_000.0), 1, 10_000),
        TickClass(((0.0, 0.01, 2),), 10_000.0, (50.0, 3_000.0), 1, 100),
        TickClass(((0.0, 0.0001, 4),), 100.0, (0.3, 30.0), 1, 10),
    ),
    (0.1, 0.4, 0.5),
    2.0,
)
"""Coins against a stable coin: fine ticks, so that the touch steps by many of them; narrow spreads; parts of a coin."""


@dataclass(frozen=True, slots=True)
class Universe:
    """What is fixed about the instruments; arrays have one element an instrument.

    grid : all tick classes' legal prices one after another; an instrument's lie in grid[grid_low:grid_high]
    price : opening log price; activity : share of all order events, sums to 1
    spread_bp, gap_bp : usual spread and distance between levels, basis points
    order_lots : mean size of a genuine limit order, lots; lot, parts : a lot is lot / parts units
    market_beta, sector_beta, own_beta : daily log volatility due to the market, the sector and the instrument itself
    """

    instruments: tuple[Instrument, ...]
    ids: tuple[str, ...]
    grid: npt.NDArray[np.float64]
    arrays: dict[str, npt.NDArray[Any]]


def _instrument(listing: AssetClass, k: int, table: TickClass, sector: int) -> Instrument:
    return Instrument(
        id=f"{listing.symbol.format(k + 1)}.{VENUE}",
        name=f"Synthetic {k + 1:04d} (sector {sector + 1})",
        currency=listing.currency,
        kind=listing.kind,
        ticks=table.ticks(),
        lot=table.lot / table.parts,
        session=Session(),
    )


def build_universe(config: SyntheticConfig, rng: np.random.Generator, listing: AssetClass = SHARES) -> Universe:
    """Draw the instruments and what is fixed about each."""
    n, classes = config.instruments, listing.classes
    kind = rng.choice(len(classes), n, p=listing.shares)
    sector = rng.integers(0, config.sectors, n)
    grids = [table.grid() for table in classes]
    starts = np.concatenate(([0], np.cumsum([len(grid) for grid in grids])))
    low = np.array([np.log(classes[k].opening[0]) for k in kind])
    high = np.array([np.log(classes[k].opening[1]) for k in kind])
    activity = np.exp(0.7 * np.clip(rng.standard_normal(n), -2.0, 2.0))
    spread = listing.spread_bp * (activity / activity.mean()) ** -0.3 * np.exp(0.3 * rng.standard_normal(n))
    volatility = config.daily_volatility * np.exp(0.3 * rng.standard_normal(n))
    own = 1.0 - config.correlation - config.sector_correlation
    instruments = tuple(_instrument(listing, k, classes[kind[k]], int(sector[k])) for k in range(n))
    arrays = {
        "sector": sector,
        "grid_low": starts[kind],
        "grid_high": starts[kind + 1],
        "price": rng.uniform(low, high),
        "activity": activity / activity.sum(),
        "spread_bp": spread,
        "gap_bp": 0.5 * spread,
        "order_lots": 4.0 + 8.0 * np.exp(0.6 * rng.standard_normal(n)),
        "lot": np.array([classes[k].lot for k in kind]),
        "parts": np.array([classes[k].parts for k in kind]),
        "market_beta": volatility * np.sqrt(config.correlation),
        "sector_beta": volatility * np.sqrt(config.sector_correlation),
        "own_beta": volatility * np.sqrt(own),
    }
    return Universe(instruments, tuple(one.id for one in instruments), np.concatenate(grids), arrays)
