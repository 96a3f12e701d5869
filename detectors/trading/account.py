"""Exact accounting of fills: cash, position, its cost, fees, taxes and realised result, all in whole steps.

After every fill, CASH == what was paid in - COST + REALISED - FEES - TAXES, to the last step.
"""

import numpy as np
import numpy.typing as npt

from detectors.trading import state
from detectors.trading.units import FEE_UNIT, LEAST_FEE, MAKER_PPM, TAKER_PPM, TAX_PPM
from tapewatch.kernels import inlined, kernel

I8 = npt.NDArray[np.int64]

MILLION = 1_000_000


@inlined
def portion(amount: int, share: int, whole: int) -> int:
    """The part share / whole of an amount, rounded down, for 0 <= share <= whole, without leaving 64 bits.

    Above 2**31, share and whole lose their last binary digits: the result may then be off by less than a billionth of
    the amount's size.
    """
    if share == whole:
        return amount
    while whole >= 2**31:
        share >>= 1
        whole >>= 1
    return amount // whole * share + amount % whole * share // whole


@inlined
def _charge(p: I8, at: int, value: int, ppm: int, unit: int, least: int) -> int:
    """Add a rate on a value to an order's charges, and say how much more is due now.

    at : place of the three numbers (due, rest in millionths, paid). The order's charges are rounded up once as a whole,
    so that fills in parts cost what one fill does.
    """
    if ppm == 0:
        return 0
    rest = value % MILLION * ppm + p[at + 1]
    p[at] += value // MILLION * ppm + rest // MILLION
    p[at + 1] = rest % MILLION
    total = p[at] + (1 if p[at + 1] > 0 else 0)
    total = max(least, -(-total // unit) * unit)
    more = total - p[at + 2]
    p[at + 2] = total
    return int(more)


@inlined
def _move(p: I8, price: int, signed: int) -> None:
    """Change the position; what closes is realised at its share of the cost."""
    held = p[state.POSITION]
    closing = min(abs(held), abs(signed)) if (held > 0) != (signed > 0) else 0
    if closing > 0:
        released = portion(p[state.COST], closing, abs(held))
        closed = closing if signed > 0 else -closing
        p[state.REALISED] -= price * closed + released
        p[state.COST] -= released
        p[state.POSITION] += closed
        signed -= closed
    if signed != 0:
        if p[state.POSITION] == 0:
            p[state.OPENED] = p[state.CLOCK]
        p[state.POSITION] += signed
        p[state.COST] += price * signed


@kernel
def settle_fill(p: I8, at: int, terms: I8, side: int, price: int, qty: int, maker: int) -> tuple[int, int]:
    """Book a fill of the order in the slot at `at`; gives its fee and its tax in money steps.

    p : int64[WIDTH]; terms : int64[TERMS]; side : BUY or SELL; maker : 1 where the order rested, else 0
    """
    value = price * qty
    rate = terms[MAKER_PPM] if maker else terms[TAKER_PPM]
    fee = _charge(p, at + state.FEE_DUE, value, rate, terms[FEE_UNIT], terms[LEAST_FEE])
    tax = _charge(p, at + state.TAX_DUE, value, terms[TAX_PPM], terms[FEE_UNIT], 0) if side == state.SELL else 0
    _move(p, price, qty if side == state.BUY else -qty)
    p[state.CASH] += (value if side == state.SELL else -value) - fee - tax
    p[state.FEES] += fee
    p[state.TAXES] += tax
    p[state.BOUGHT if side == state.BUY else state.SOLD] += value
    p[at + state.FILLED] += qty
    return fee, tax


@kernel
def mark(p: I8) -> int:
    """The price at which the position can be closed: the bid for what is held, the ask for what is owed; the last known
    one where a side is empty, 0 before the first.
    """
    first, second = (
        (p[state.MARK_BID], p[state.MARK_ASK]) if p[state.POSITION] >= 0 else (p[state.MARK_ASK], p[state.MARK_BID])
    )
    return int(first if first > 0 else second)


@kernel
def equity(p: I8) -> int:
    """Cash and position at its mark, money steps."""
    return int(p[state.CASH] + p[state.POSITION] * mark(p))


@kernel
def unrealised(p: I8) -> int:
    """Result of the open position at its mark, before the cost of closing it, money steps."""
    return int(p[state.POSITION] * mark(p) - p[state.COST])
