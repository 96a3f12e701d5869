"""Sums, averages, volumes, high and low lines of a coin over windows from a minute to a month, in constant memory.

A coin's minutes go into four rings of buckets, each coarser and longer than the one before: a window reads the finest
ring that reaches back far enough. What is added up takes of the oldest bucket the share that lies in the window; high
and low line take it whole.
"""

import numpy as np
import numpy.typing as npt

from tapewatch.kernels import inlined, kernel

F8 = npt.NDArray[np.float64]

# Of a bucket: its number since the epoch, then what is added up, then its highest, its lowest and its last price.
BUCKET, MINUTES, CLOSE, VOLUME, TURNOVER, TRADES, BUYS, SELLS, SQUARED, ENTRIES, WINS, HIGH, LOW, LAST = range(14)
FIELDS = 14
_ADDED = WINS + 1

TIERS = ((1, 61), (5, 289), (60, 169), (360, 121))
"""Minutes of a bucket, and how many buckets a ring holds: one more than its longest window needs."""
WINDOWS = (1, 3, 5, 10, 30, 60, 360, 720, 1440, 10_080, 43_200)
"""Minutes: 1, 3, 5, 10, 30 minutes, 1, 6, 12 hours, a day, a week, 30 days."""
NAMES = ("1m", "3m", "5m", "10m", "30m", "1h", "6h", "12h", "1d", "7d", "30d")
TIER_OF = (0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 3)
ROOM = sum(count for _, count in TIERS)
"""Buckets of a coin."""
BYTES = ROOM * FIELDS * 8
"""Of a coin's rings."""

_LENGTH = tuple(length for length, _ in TIERS)
_COUNT = tuple(count for _, count in TIERS)
_START = tuple(sum(_COUNT[:tier]) for tier in range(len(TIERS)))

# Of a summary: what a window says. AVERAGE, HIGH_LINE, LOW_LINE are prices; RETURN the log return over the window;
# VOLATILITY the root mean square of one-minute log returns; POSITION where the last price lies between the lines, 0..1.
AVERAGE, HIGH_LINE, LOW_LINE, RETURN, VOLATILITY, POSITION = range(6)
S_VOLUME, S_TURNOVER, S_TRADES, S_BUYS, S_SELLS, S_ENTRIES, S_WINS, S_MINUTES = range(6, 14)
SUMMARY = 14


@inlined
def _empty(bucket: F8, number: float) -> None:
    """Begin a bucket anew."""
    bucket[:] = 0.0
    bucket[BUCKET] = number
    bucket[HIGH], bucket[LOW], bucket[LAST] = -np.inf, np.inf, np.nan


@kernel
def add(rings: F8, minute: int, bar: F8, change: float, entries: float, wins: float) -> None:
    """Add a coin's minute to all rings.

    rings : float64[ROOM, FIELDS], NaN at birth; minute : since the epoch, later than any before
    bar : float64[7] high, low, close, volume, trades, buys, sells; change : log return since the minute before, 0 where
    there is none; entries, wins : outcomes that became known in this minute
    """
    for tier in range(len(_LENGTH)):
        number = float(minute // _LENGTH[tier])
        bucket = rings[_START[tier] + int(number) % _COUNT[tier]]
        if bucket[BUCKET] != number:
            _empty(bucket, number)
        bucket[MINUTES] += 1.0
        bucket[CLOSE] += bar[2]
        bucket[VOLUME] += bar[3]
        bucket[TURNOVER] += bar[2] * bar[3]
        bucket[TRADES] += bar[4]
        bucket[BUYS] += bar[5]
        bucket[SELLS] += bar[6]
        bucket[SQUARED] += change * change
        bucket[ENTRIES] += entries
        bucket[WINS] += wins
        bucket[HIGH] = max(bucket[HIGH], bar[0])
        bucket[LOW] = min(bucket[LOW], bar[1])
        bucket[LAST] = bar[2]


@kernel
def summary(rings: F8, minute: int, window: int, out: F8, sums: F8) -> None:
    """What one window says at the close of a minute that was added last.

    window : place in WINDOWS; out : float64[SUMMARY]; sums : float64[FIELDS], scratch
    Of a coin younger than the window it is what is known so far: S_MINUTES tells how many minutes that is.
    """
    tier, wide = TIER_OF[window], WINDOWS[window]
    length, count, start = _LENGTH[tier], _COUNT[tier], _START[tier]
    first, newest = (minute - wide + 1) // length, minute // length
    # Of the oldest bucket, and of the price at its beginning, by how far the window reaches into it.
    inside = 1.0 - float(minute - wide + 1 - first * length) / length
    sums[:] = 0.0
    high, low = -np.inf, np.inf
    before, since = np.nan, np.nan
    bucket = rings[start + (first - 1) % count]
    if bucket[BUCKET] == first - 1:
        before = bucket[LAST]
    for number in range(first, newest + 1):
        bucket = rings[start + number % count]
        if bucket[BUCKET] != number:
            continue
        share = inside if number == first else 1.0
        for field in range(MINUTES, _ADDED):
            sums[field] += share * bucket[field]
        high, low = max(high, bucket[HIGH]), min(low, bucket[LOW])
        if since != since:
            since = bucket[LAST]
    last = rings[start + newest % count][LAST]
    out[AVERAGE] = sums[CLOSE] / sums[MINUTES]
    out[HIGH_LINE], out[LOW_LINE] = high, low
    out[RETURN] = np.log(last) - _log_price(before, since, inside)
    out[VOLATILITY] = np.sqrt(sums[SQUARED] / sums[MINUTES])
    out[POSITION] = (last - low) / (high - low) if high > low else 0.5
    for place in range(S_VOLUME, S_MINUTES):
        out[place] = sums[VOLUME + _SUMMED[place - S_VOLUME]]
    out[S_MINUTES] = sums[MINUTES]


_SUMMED = (0, 1, 2, 3, 4, 6, 7)
"""Fields of a bucket behind VOLUME, in the order of a summary's: SQUARED is none of them."""


@inlined
def _log_price(before: float, since: float, inside: float) -> float:
    """Log price where a window begins: between the last prices of two buckets; the first known where one is missing."""
    if before != before:
        return float(np.log(since))
    return float(inside * np.log(before) + (1.0 - inside) * np.log(since))
