"""The synthetic market's settings: size, statistics of the flow, and how often what is injected.

The instruments of the synthetic market: what is listed, price grids, and how busy and how liquid each one is.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt

from tapewatch.contract.instruments import Instrument, Session, Tick

Count = Annotated[int, msgspec.Meta(ge=1)]
Rate = Annotated[float, msgspec.Meta(ge=0)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]

MANIPULATIONS = ("pump_and_dump", "spoofing", "layering", "quote_stuffing", "ramping")
LOOK_ALIKES = ("news_jump", "large_order", "mm_refresh", "auction", "halt")
SCENARIOS = MANIPULATIONS + LOOK_ALIKES


class PlannedEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One event that happens for certain, on an instrument drawn by the seed.

    scenario : one of `SCENARIOS`
    at_s : seconds after the end of the warm-up
    """

    scenario: str
    at_s: Rate


class Rota(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Events one after the other without end, on each instrument in turn, with each scenario in turn.

    scenarios : of `SCENARIOS`; every_s : between the beginnings of two events, the first so long after the warm-up, s
    """

    scenarios: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    every_s: Positive

    def __post_init__(self) -> None:
        """Refuse scenarios that there are not; ValueError says which."""
        unknown = set(self.scenarios) - set(SCENARIOS)
        if unknown:
            raise ValueError(f"the rota names unknown scenarios: {', '.join(sorted(unknown))}")

    def event(self, number: int, instruments: int) -> tuple[str, int]:
        """Scenario and instrument of an event. number : from 0; instruments : of the market

        After instruments x scenarios events each instrument has had each scenario once.
        """
        round_, instrument = divmod(number, instruments)
        return self.scenarios[(round_ + instrument) % len(self.scenarios)], instrument


class SyntheticConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything the market is a function of, beside its seed and start.

    instruments : number of instruments
    sectors : number of sectors; each has a factor of its own
    rows_per_second : rows of all types together, mean over a session without injections
    seconds : simulated length in s; 0 runs without end
    warmup_s : seconds from the start in which nothing is injected
    session_s : period of the intraday seasonality in s (6.5 h)
    seasonality : amplitude of the U shape: activity is 1 + seasonality at the open and 1 - seasonality / 2 at midday
    opening_auction_s : length of the opening call in s; instruments uncross one by one in its second half
    daily_volatility : standard deviation of a session's log return, median instrument
    correlation : share of a log return's variance that the market factor explains
    sector_correlation : share that the sector factor explains
    volatility_of_volatility : stationary standard deviation of log volatility (Ornstein-Uhlenbeck, half an hour)
    excitation : Hawkes branching ratio: order events that one order event causes, directly and indirectly counted once
    excitation_decay : decay rate of that excitation, 1/s
    latency_us : median of ts_recv - ts_event, microseconds (log-normal)
    strength_low, strength_high : part of each scenario's range that is drawn from, as fractions of the range
        (0 is the weakest manipulation a scenario page allows, 1 the strongest)
    pump_per_hour .. halt_per_hour : expected events per instrument-hour after the warm-up
    cooldown_s : quiet time on an instrument after an event that moves its price (pump, ramp, news jump, halt), in s
    gap_s : quiet time on an instrument after any other event, in s
    plan : events at fixed times, in addition to the random ones
    """

    instruments: Count = 200
    sectors: Count = 10
    rows_per_second: Positive = 4000.0
    seconds: Annotated[int, msgspec.Meta(ge=0)] = 0
    warmup_s: Rate = 900.0
    session_s: Positive = 23_400.0
    seasonality: Share = 0.4
    opening_auction_s: Annotated[int, msgspec.Meta(ge=1)] = 10
    daily_volatility: Positive = 0.02
    correlation: Share = 0.3
    sector_correlation: Share = 0.2
    volatility_of_volatility: Rate = 0.35
    excitation: Annotated[float, msgspec.Meta(ge=0, le=0.9)] = 0.5
    excitation_decay: Positive = 2.0
    latency_us: Positive = 800.0
    strength_low: Share = 0.0
    strength_high: Share = 1.0
    pump_per_hour: Rate = 0.03
    spoof_per_hour: Rate = 0.10
    layer_per_hour: Rate = 0.10
    stuff_per_hour: Rate = 0.05
    ramp_per_hour: Rate = 0.03
    news_per_hour: Rate = 0.03
    large_per_hour: Rate = 0.20
    refresh_per_hour: Rate = 0.20
    auction_per_hour: Rate = 0.02
    halt_per_hour: Rate = 0.02
    cooldown_s: Rate = 1200.0
    gap_s: Rate = 60.0
    plan: tuple[PlannedEvent, ...] = ()

    def __post_init__(self) -> None:
        """Refuse settings that no market can have; ValueError says which (msgspec turns it into a validation error)."""
        if self.correlation + self.sector_correlation > 1.0:
            raise ValueError("correlation + sector_correlation must be at most 1")
        if self.strength_low > self.strength_high:
            raise ValueError("strength_low must be at most strength_high")
        unknown = {planned.scenario for planned in self.plan} - set(SCENARIOS)
        if unknown:
            raise ValueError(f"plan names unknown scenarios: {', '.join(sorted(unknown))}")

    def rates(self) -> dict[str, float]:
        """Scenario -> expected events per instrument-hour."""
        return {
            "pump_and_dump": self.pump_per_hour,
            "spoofing": self.spoof_per_hour,
            "layering": self.layer_per_hour,
            "quote_stuffing": self.stuff_per_hour,
            "ramping": self.ramp_per_hour,
            "news_jump": self.news_per_hour,
            "large_order": self.large_per_hour,
            "mm_refresh": self.refresh_per_hour,
            "auction": self.auction_per_hour,
            "halt": self.halt_per_hour,
        }

    @classmethod
    def demo(cls) -> "SyntheticConfig":
        """The market of a short show: right after the warm-up every scenario happens, then all go on more often."""
        times = {
            "pump_and_dump": (2, 6, 11, 17, 24, 32),
            "news_jump": (4, 9, 15, 22, 30, 38),
            "spoofing": (3, 12, 21, 33),
            "layering": (5, 14, 26, 36),
            "quote_stuffing": (7, 19, 31),
            "ramping": (1, 10),
            "large_order": (2, 8, 18, 28),
            "mm_refresh": (6, 16, 27, 35),
            "auction": (13,),
            "halt": (20,),
        }
        plan = tuple(PlannedEvent(scenario, float(at)) for scenario, seconds in times.items() for at in seconds)
        return cls(
            plan=plan,
            pump_per_hour=0.2,
            spoof_per_hour=0.3,
            layer_per_hour=0.3,
            stuff_per_hour=0.15,
            ramp_per_hour=0.1,
            news_per_hour=0.2,
            large_per_hour=0.4,
            refresh_per_hour=0.4,
        )


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
