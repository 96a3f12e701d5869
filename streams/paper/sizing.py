"""What an order asks for: quantity by equal risk within limits, price on the right tick."""

import math

import numpy as np
import numpy.typing as npt

from detectors.trading import state as s
from detectors.trading.account import mark
from detectors.trading.ticks import ceil_price, floor_price, moved_price
from detectors.trading.units import LOT
from streams.paper.lanes import InstrumentTable
from tapewatch.paper_settings import PaperSettings

I8 = npt.NDArray[np.int64]


def limit_price(lanes: InstrumentTable, lane: int, side: int, proposed: float | None, settings: PaperSettings) -> int:
    """Price steps of an order, MARKET for none.

    A proposed price is rounded to the tick on the side that never trades worse; otherwise the own side's best price,
    moved by the settings' offset.
    """
    p, table = lanes.state[lane], lanes.tables[lane]
    if proposed is not None and proposed > 0:
        steps = proposed * 10.0 ** lanes.units[lane].price_decimals
        whole = round(steps) if abs(steps - round(steps)) < 1e-6 * max(1.0, steps * 1e-6) else steps
        rounded = floor_price(table, math.floor(whole)) if side == s.BUY else ceil_price(table, math.ceil(whole))
        return int(rounded)
    if settings.order == "market":
        return s.MARKET
    best = floor_price(table, int(p[s.MARK_BID if side == s.BUY else s.MARK_ASK]))
    return int(moved_price(table, best, settings.offset if side == s.BUY else -settings.offset))


def order_qty(lanes: InstrumentTable, lane: int, side: int, size: float | None, settings: PaperSettings) -> int:
    """Quantity steps to ask for; 0 where limits leave no lot.

    What is held the other way is closed as a whole. Otherwise the order's value is chosen so that one standard
    deviation over the horizon costs the same share of capital in every instrument, times the signal's size hint, and
    the position stays within its limit. What the side's order still asks for is not counted: this one replaces it.
    """
    p, units, lot = lanes.state[lane], lanes.units[lane], int(lanes.terms[lane, LOT])
    held = int(p[s.POSITION]) if side == s.BUY else -int(p[s.POSITION])
    if held < 0:
        return -held
    price = units.price(max(int(p[s.MARK_BID]), int(p[s.MARK_ASK])))
    if price <= 0.0:
        return 0
    volatility = max(settings.least_volatility, math.sqrt(float(lanes.variance[lane])))
    value = settings.capital * settings.risk_share / (volatility * math.sqrt(settings.horizon_s))
    wanted = (value if size is None else value * size) / price
    largest = settings.capital * settings.position_share / price
    steps = 10**units.qty_decimals
    qty = min(math.floor(wanted * steps), math.floor(largest * steps) - held)
    return int(max(0, qty // lot * lot))


def affordable(lanes: InstrumentTable, lane: int, qty: int, price: int, cash: int) -> int:
    """The part of a buy that cash pays for, fees at twice the taker's rate held back; whole lots. cash : money steps"""
    p, lot = lanes.state[lane], int(lanes.terms[lane, LOT])
    reference = price or int(p[s.MARK_ASK])
    if reference <= 0:
        return 0
    rate = 1_000_000 + 2 * lanes.rules[lane].taker_ppm
    return max(0, min(qty, cash * 1_000_000 // (reference * rate)) // lot * lot)


def value_of(lanes: InstrumentTable, lane: int) -> int:
    """Value of a lane's position at its mark, money steps."""
    p = lanes.state[lane]
    return int(p[s.POSITION]) * int(mark(p))
