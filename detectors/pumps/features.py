"""The eight pump features of La Morgia, Mei, Sassi & Stefa (ICCCN 2020), second by second and in fixed memory.

Time is cut into chunks of 5, 15 and 25 s of the epoch; only chunks with aggressive buys exist. A feature is the
relative change that a chunk brings to a rolling mean or standard deviation over the last 700 or 900 chunks (10 for
prices). The paper computes them for finished chunks over whole recordings. Here the chunk that is still running is
measured after each second, against the finished ones, and the long windows are kept as ten blocks of sums: what leaves
a window is the mean of its oldest block, a share at a time, not the one oldest chunk.
"""

import numpy as np
import numpy.typing as npt

from tapewatch.kernels import inlined, kernel

F8 = npt.NDArray[np.float64]

NAMES = (
    "std_rush_order",
    "avg_rush_order",
    "std_trades",
    "std_volume",
    "avg_volume",
    "std_price",
    "avg_price",
    "avg_price_max",
)
"""The features in the order of `features`."""

COUNT = len(NAMES)
WINDOWS = (5, 15, 25)
"""Chunk lengths, s."""

CHUNKS = (700, 900, 900)
"""Chunks of the rolling window, for each chunk length."""

BLOCKS, PRICE_CHUNKS = 10, 10
LEAST_CHUNKS = 20
"""Finished chunks below which there are no features."""

CEILING = 100.0
"""No feature is larger: the first order of a kind makes an infinite change."""

# Of the second being filled: sums over aggressive buys, and the last one's millisecond with its number of buys.
RUSH, BUYS, VOLUME, PRICE_SUM, HIGH, LAST_MS, LAST_MS_BUYS = range(7)
_REFERENCE = 7
_HEAD = 8

# Of one chunk length, from its first field on: the running chunk and its sums, then what finished ones left.
_CHUNK, _RUSH, _BUYS, _VOLUME, _PRICE_SUM, _HIGH, _SEEN, _SLOT, _FILL = range(9)
_MOMENTS = 8
_TOTAL = 9
_BLOCK = _TOTAL + _MOMENTS
_MEANS = _BLOCK + (BLOCKS + 1) * _MOMENTS
_HIGHS = _MEANS + PRICE_CHUNKS
_STRIDE = _HIGHS + PRICE_CHUNKS

FIELDS = _HEAD + len(WINDOWS) * _STRIDE
"""float64 fields of one instrument."""

_LENGTHS = np.array(WINDOWS)
_SIZES = np.array(CHUNKS)


def create(instruments: int) -> F8:
    """Empty states, float64[instruments, FIELDS]: zeros, which take no memory until they are changed."""
    return np.zeros((instruments, FIELDS))


@inlined
def buy(p: F8, price: float, notional: float, millisecond: int) -> None:
    """Add one aggressive buy to the second being filled.

    price : of the trade; notional : price x quantity, in the quote currency; millisecond : the venue's time
    A rush order is a millisecond with two buys or more: one market order that several resting orders filled.
    """
    if p[LAST_MS] == millisecond:
        if p[LAST_MS_BUYS] == 1.0:
            p[RUSH] += 1.0
        p[LAST_MS_BUYS] += 1.0
    else:
        p[LAST_MS], p[LAST_MS_BUYS] = millisecond, 1.0
    p[BUYS] += 1.0
    p[VOLUME] += notional
    p[PRICE_SUM] += price
    p[HIGH] = max(p[HIGH], price)


@inlined
def _value(p: F8, at: int, quantity: int) -> float:
    """The running chunk's rush orders, buys, volume, or mean price over the reference price less one."""
    if quantity == 3:
        return float(p[at + _PRICE_SUM] / p[at + _BUYS] / p[_REFERENCE] - 1.0)
    return float(p[at + _RUSH + quantity])


@kernel
def _finish(p: F8, at: int, size: int) -> None:
    """Take the running chunk into the windows of finished ones."""
    length = size // BLOCKS
    seen, slot = int(p[at + _SEEN]), int(p[at + _SLOT])
    oldest = at + _BLOCK + (slot + 1) % (BLOCKS + 1) * _MOMENTS
    newest = at + _BLOCK + slot * _MOMENTS
    for quantity in range(4):
        value = _value(p, at, quantity)
        first = at + _TOTAL + 2 * quantity
        p[first] += value
        p[first + 1] += value * value
        p[newest + 2 * quantity] += value
        p[newest + 2 * quantity + 1] += value * value
    if seen >= size:
        for moment in range(_MOMENTS):
            p[at + _TOTAL + moment] -= p[oldest + moment] / length
    place = seen % PRICE_CHUNKS
    p[at + _MEANS + place] = p[at + _PRICE_SUM] / p[at + _BUYS]
    p[at + _HIGHS + place] = p[at + _HIGH]
    p[at + _SEEN] = seen + 1.0
    p[at + _FILL] += 1.0
    if p[at + _FILL] == length:
        # The oldest block has left; sums are made anew, so that rounding cannot pile up.
        p[at + _FILL], p[at + _SLOT] = 0.0, (slot + 1) % (BLOCKS + 1)
        for moment in range(_MOMENTS):
            p[oldest + moment] = 0.0
            total = 0.0
            for block in range(BLOCKS + 1):
                total += p[at + _BLOCK + block * _MOMENTS + moment]
            p[at + _TOTAL + moment] = total


@inlined
def observe(p: F8, second: int) -> None:
    """Close a second in which something was bought; seconds without need no call.

    p : float64[FIELDS], the instrument's state, changed in place; second : since the epoch, never going back
    """
    if p[_REFERENCE] == 0.0:
        p[_REFERENCE] = p[PRICE_SUM] / p[BUYS]
    for w in range(_LENGTHS.size):
        at = _HEAD + w * _STRIDE
        chunk = second // _LENGTHS[w]
        if p[at + _CHUNK] != chunk:
            if p[at + _BUYS] > 0.0:
                _finish(p, at, _SIZES[w])
            p[at + _CHUNK] = chunk
            p[at + _RUSH] = p[at + _BUYS] = p[at + _VOLUME] = p[at + _PRICE_SUM] = p[at + _HIGH] = 0.0
        p[at + _RUSH] += p[RUSH]
        p[at + _BUYS] += p[BUYS]
        p[at + _VOLUME] += p[VOLUME]
        p[at + _PRICE_SUM] += p[PRICE_SUM]
        p[at + _HIGH] = max(p[at + _HIGH], p[HIGH])
    p[RUSH] = p[BUYS] = p[VOLUME] = p[PRICE_SUM] = p[HIGH] = 0.0


@inlined
def volume_ratio(p: F8, window: int) -> float:
    """Volume of the running chunk over the mean of the finished ones; 0 before there are enough of them.

    window : place in WINDOWS
    """
    at = _HEAD + window * _STRIDE
    if p[at + _SEEN] < LEAST_CHUNKS:
        return 0.0
    count = min(p[at + _SEEN], _SIZES[window])
    return float(p[at + _VOLUME] * count / p[at + _TOTAL + 4])


@inlined
def rise(p: F8, window: int) -> float:
    """Highest price of the running chunk over the mean price of the chunk ten before it, less one; 0 before there is
    one.
    """
    at = _HEAD + window * _STRIDE
    if p[at + _SEEN] < LEAST_CHUNKS:
        return 0.0
    return float(p[at + _HIGH] / p[at + _MEANS + int(p[at + _SEEN]) % PRICE_CHUNKS] - 1.0)


@inlined
def _change(before: float, after: float) -> float:
    """Relative change, at most CEILING."""
    if after <= before * (1.0 + CEILING):
        return float(after / before - 1.0) if before > 0.0 else 0.0
    return CEILING


@inlined
def _deviation(total: float, squares: float, count: float) -> float:
    """Sample standard deviation from sums."""
    return float(np.sqrt(max(squares - total * total / count, 0.0) / (count - 1.0)))


@inlined
def features(p: F8, window: int, out: F8) -> bool:
    """The features of the running chunk as far as it has come.

    window : place in WINDOWS; out : float64[8], named by NAMES
    Returns False, and nothing in `out`, before 20 chunks are finished. Until a window is full, the chunk enters one of
    full length with the mean and deviation seen so far.
    """
    at = _HEAD + window * _STRIDE
    seen = int(p[at + _SEEN])
    if seen < LEAST_CHUNKS or p[at + _BUYS] == 0.0:
        return False
    size = _SIZES[window]
    oldest = at + _BLOCK + (int(p[at + _SLOT]) + 1) % (BLOCKS + 1) * _MOMENTS
    for quantity in range(4):
        first = at + _TOTAL + 2 * quantity
        total, squares = p[first], p[first + 1]
        if seen >= size:
            leaving, leaving_square = (
                p[oldest + 2 * quantity] * BLOCKS / size,
                p[oldest + 2 * quantity + 1] * BLOCKS / size,
            )
        else:
            leaving, leaving_square = total / seen, squares / seen
            total, squares = leaving * size, leaving_square * size
        value = _value(p, at, quantity)
        after, after_squares = total + value - leaving, squares + value * value - leaving_square
        spread = _change(_deviation(total, squares, size), _deviation(after, after_squares, size))
        if quantity == 0:
            out[0], out[1] = spread, _change(total, after)
        elif quantity == 1:
            out[2] = spread
        elif quantity == 2:
            out[3], out[4] = spread, _change(total, after)
        else:
            out[5] = spread
    place = seen % PRICE_CHUNKS
    means = highs = 0.0
    for back in range(PRICE_CHUNKS):
        means += p[at + _MEANS + back]
        highs += p[at + _HIGHS + back]
    out[6] = (p[at + _PRICE_SUM] / p[at + _BUYS] - p[at + _MEANS + place]) / means
    out[7] = (p[at + _HIGH] - p[at + _HIGHS + place]) / highs
    return True
