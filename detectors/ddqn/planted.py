"""Markets to learn in, one with a pattern that pays and one without any, and the best one can earn in them."""

import numpy as np
import numpy.typing as npt

from detectors.ddqn.sessions import Session
from detectors.trading import state
from detectors.trading.account import settle_fill
from detectors.trading.queue import place_of
from detectors.trading.tape import QUOTE, empty_tape
from detectors.trading.units import Units, terms
from detectors.trading.venues import VenueRules

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

SECOND = 1_000_000_000
QUOTED_AT = (100_000_000, 500_000_000)
"""When within a second the market is quoted; the price of the second is there from the later one on."""
UNITS = Units(2, 0)
UNIT = 10
DEPTH = 1000
"""Quantity at the touch: a unit never walks the book."""
NOISE = 4
"""Features that say nothing."""


def venue(fee_ppm: int) -> VenueRules:
    """A venue with ticks of 0.01 and short sales. fee_ppm : fee a side, millionths"""
    return VenueRules("SIMX", "USD", (("0", "0.01"),), "1", fee_ppm, fee_ppm, shorting=True)


def planted(seed: int, seconds: int = 1200, fee_ppm: int = 100) -> Session:
    """A price that swings to and fro by 40 ticks around 100.00, in 40 to 60 seconds a swing, drawn by the seed.

    Features are sine and cosine of where in the swing the second closes, and noise: who reads the first two knows when
    to turn.
    """
    rng = np.random.default_rng(seed)
    swing = int(rng.integers(40, 61))
    phase = (np.arange(seconds) + int(rng.integers(0, 2 * swing))) % (2 * swing) / swing
    middle = 10_000 + np.rint(40.0 * np.abs(1.0 - phase) - 20.0).astype(np.int64)
    told = np.stack([np.sin(np.pi * phase), np.cos(np.pi * phase)], axis=1)
    return _session(f"PLANTED{seed}.SIMX", middle, told, rng, fee_ppm)


def patternless(seed: int, seconds: int = 1200, fee_ppm: int = 1000) -> Session:
    """A price that moves a tick up or down in each second by chance alone, with features like those of `planted`."""
    rng = np.random.default_rng(seed)
    middle = 10_000 + np.cumsum(rng.choice(np.array([-1, 1]), seconds))
    angle = 2.0 * np.pi * rng.random(seconds)
    return _session(f"RANDOM{seed}.SIMX", middle, np.stack([np.sin(angle), np.cos(angle)], axis=1), rng, fee_ppm)


def _session(name: str, middle: I8, told: F8, rng: np.random.Generator, fee_ppm: int) -> Session:
    """Quotes a tick apart, twice a second, the first of a second still at the price of the one before."""
    seconds = np.arange(len(middle), dtype=np.int64)
    before = np.concatenate([middle[:1], middle[:-1]])
    ts = np.stack([seconds * SECOND + at for at in QUOTED_AT], axis=1).ravel()
    bid = np.stack([before, middle], axis=1).ravel()
    values = np.stack([bid, np.full_like(bid, DEPTH), bid + 1, np.full_like(bid, DEPTH)], axis=1)
    tape = empty_tape()._replace(ts=ts, kind=np.full(len(ts), QUOTE, np.int8), values=values)
    noise = rng.standard_normal((len(middle), NOISE))
    features = np.concatenate([told, noise], axis=1).astype(np.float32)
    return Session(name, (seconds + 1) * SECOND, features, tape, venue(fee_ppm), UNITS, UNIT)


def best_result(session: Session, latency_ns: int, shorting: bool = True) -> int:
    """The most that market orders of one unit at a time could have earned from the opening to the close, money steps.

    For quoted tapes whose touch always holds a unit. Found backwards over rows and positions with all prices known: no
    policy earns more under the same rules.
    """
    quotes = session.tape.values
    arrival = np.searchsorted(session.tape.ts, session.ts + latency_ns)
    terms_of = terms(session.rules, session.units)
    end = quotes[-1]
    worth = {
        held: -_paid(terms_of, -held, session.unit, int(end[0 if held > 0 else 2])) if held else 0
        for held in (-1, 0, 1)
    }
    for row in range(len(session.ts) - 2, -1, -1):
        at = min(int(arrival[row]), len(quotes) - 1)
        bid, ask = int(quotes[at, 0]), int(quotes[at, 2])
        bought, sold = _paid(terms_of, 1, session.unit, ask), _paid(terms_of, -1, session.unit, bid)
        worth = {
            held: max(
                worth[held],
                worth[held + 1] - bought if held < 1 else worth[held],
                worth[held - 1] - sold if held > (-1 if shorting else 0) else worth[held],
            )
            for held in worth
        }
    return worth[0]


def _paid(terms_of: I8, direction: int, qty: int, price: int) -> int:
    """Money steps that a taker pays for buying a unit (direction 1) or, negative, gets for selling one (-1)."""
    p = np.zeros(state.WIDTH, dtype=np.int64)
    side = state.BUY if direction > 0 else state.SELL
    settle_fill(p, place_of(0), terms_of, side, price, qty, 0)
    return int(-p[state.CASH])
