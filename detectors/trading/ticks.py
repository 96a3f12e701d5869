"""Prices on the tick: a limit price is rounded to the side that never trades worse than asked for."""

import numpy as np
import numpy.typing as npt

from tapewatch.kernels import inlined, kernel

I8 = npt.NDArray[np.int64]


@inlined
def tick_at(table: I8, price: int) -> int:
    """Tick size at a price. table : int64[bands, 2], all in price steps"""
    band = 0
    while band + 1 < len(table) and table[band + 1, 0] <= price:
        band += 1
    return int(table[band, 1])


@kernel
def floor_price(table: I8, price: int) -> int:
    """The highest legal price that is not above `price`: a buyer's limit; 0 below the first tick."""
    tick = tick_at(table, price)
    return price // tick * tick


@kernel
def ceil_price(table: I8, price: int) -> int:
    """The lowest legal price that is not below `price`: a seller's limit."""
    tick = tick_at(table, price)
    # Rounding up may enter the next band, at whose edge every table has a price.
    return -(-price // tick) * tick


@kernel
def moved_price(table: I8, price: int, ticks: int) -> int:
    """A legal price moved by a number of ticks, band by band; never below the first tick."""
    for _ in range(abs(ticks)):
        if ticks > 0:
            price += tick_at(table, price)
        else:
            lower = price - tick_at(table, price - 1)
            price = lower if lower > 0 else price
    return price
