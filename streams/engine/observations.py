"""What scenarios see of an instrument and second (detectors/scenarios/observation.py), and the accumulators that only
they need.
"""

import numpy as np
import numpy.typing as npt

from detectors.scenarios import observation as x_
from streams.engine import rings as r
from streams.engine import state as s
from streams.engine.rings import slide
from streams.engine.state import State
from tapewatch.contract.checks import LEVELS
from tapewatch.contract.rows import OrderAction
from tapewatch.kernels import inlined, kernel

F8 = npt.NDArray[np.float64]
F4 = npt.NDArray[np.float32]
I8 = npt.NDArray[np.int64]

ENOUGH_TRADES = 50
"""Trades below which an instrument has no usual trade size."""

_WARM_S = 299
_HALF_HOUR = float(1.0 - 2.0 ** (-1.0 / 1800))
_FEATURES = len(x_.FEATURES)
_DAY_S = 86_400
_ADD, _DELETE, _EXECUTE = int(OrderAction.ADD), int(OrderAction.DELETE), int(OrderAction.EXECUTE)


@inlined
def roll_extremes(a: F8, second: int, lp: float) -> None:
    """Keep the highest and lowest ln p of the running ten seconds and of the five tens before."""
    if a[s.AGE] == 0.0:
        a[s.HIGH_TEN] = a[s.LOW_TEN] = lp
        a[s.HIGH_BEFORE], a[s.LOW_BEFORE] = -np.inf, np.inf
        for ten in range(s.TENS):
            a[s.TEN_HIGHS + ten], a[s.TEN_LOWS + ten] = -np.inf, np.inf
    elif second % 10 == 0:
        place = second // 10 % s.TENS
        a[s.TEN_HIGHS + place], a[s.TEN_LOWS + place] = a[s.HIGH_TEN], a[s.LOW_TEN]
        a[s.HIGH_BEFORE], a[s.LOW_BEFORE] = -np.inf, np.inf
        for ten in range(s.TENS):
            a[s.HIGH_BEFORE] = max(a[s.HIGH_BEFORE], a[s.TEN_HIGHS + ten])
            a[s.LOW_BEFORE] = min(a[s.LOW_BEFORE], a[s.TEN_LOWS + ten])
        a[s.HIGH_TEN] = a[s.LOW_TEN] = lp
    else:
        a[s.HIGH_TEN], a[s.LOW_TEN] = max(a[s.HIGH_TEN], lp), min(a[s.LOW_TEN], lp)


@inlined
def observe(S: State, i: int, at: I8, second: int, price: float, f: F4, x: F8) -> None:
    """Fill `x`, float64[observation.COUNT], from the state of a second that is about to be closed and its feature row
    `f`; what models say is filled in by the caller.
    """
    a, rings = S.acc[i], S.rings
    lp, age = rings[at[r.P], i], a[s.AGE]
    for column in range(_FEATURES):
        x[column] = f[column]
    roll_extremes(a, second, lp)
    x[x_.PRICE], x[x_.AGE], x[x_.SECOND_OF_DAY] = price, age, second % _DAY_S
    x[x_.SINCE_OPEN], x[x_.TO_CLOSE] = second - a[s.OPENED_AT], a[s.CLOSES_AT] - (second + 1)
    x[x_.AUCTION] = 1.0 if a[s.PHASE_OF] == s.IN_AUCTION else 0.0
    x[x_.RET_25S] = lp - rings[at[r.P25], i] if age >= 25.0 else np.nan
    x[x_.RET_120S] = lp - rings[at[r.P120], i] if age >= 120.0 else np.nan
    x[x_.USUAL_R2] = a[s.BASE_R2]
    x[x_.HIGH_60S] = max(a[s.HIGH_TEN], a[s.HIGH_BEFORE]) - lp
    x[x_.LOW_60S] = min(a[s.LOW_TEN], a[s.LOW_BEFORE]) - lp
    _touch(a, rings, i, at, x)
    _trading(a, x)
    if a[s.TRADES_SEEN] > 0.0:
        _prints(a, rings, i, at, x)
    else:
        for column in range(x_.LARGEST_TRADE, x_.ROUND_TRIPS_60S + 1):
            x[column] = np.nan
    if a[s.HAS_BOOK] > 0.0:
        _levels(a, S.book[i], price, x)
    else:
        for column in range(x_.BID_DEPTH_10, x_.LARGEST_ASK_AWAY + 1):
            x[column] = np.nan
    if a[s.HAS_ORDER] > 0.0:
        _orders(a, rings, i, at, x)
    else:
        for column in range(x_.ORDERS_ADDED_1S, x_.SHORT_LIVED_60S + 1):
            x[column] = np.nan


@inlined
def _touch(a: F8, rings: F8, i: int, at: I8, x: F8) -> None:
    """Best prices, how often they rose or fell, and the usual rate of quotes."""
    bid, ask, age = a[s.BID] > 0.0, a[s.ASK] > 0.0, a[s.AGE]
    x[x_.BID], x[x_.BID_QTY] = (a[s.BID], a[s.BID_QTY]) if bid else (np.nan, np.nan)
    x[x_.ASK], x[x_.ASK_QTY] = (a[s.ASK], a[s.ASK_QTY]) if ask else (np.nan, np.nan)
    x[x_.BID_RAISED] = x[x_.ASK_LOWERED] = x[x_.BID_RAISED_60S] = np.nan
    x[x_.USUAL_QUOTE_RATE] = x[x_.USUAL_QUOTE_RATE_DEVIATION] = np.nan
    if a[s.HAS_QUOTE] == 0.0 and a[s.HAS_BOOK] == 0.0:
        return
    a[s.RAISED60] = slide(a[s.RAISED60], rings, s.RAISES + at[r.M60], 60, i, age, a[s.RAISED])
    rings[s.RAISES + at[r.M], i] = a[s.RAISED]
    x[x_.BID_RAISED], x[x_.ASK_LOWERED] = a[s.RAISED], a[s.LOWERED]
    if age >= 59.0:
        x[x_.BID_RAISED_60S] = a[s.RAISED60]
    if age >= _WARM_S:
        x[x_.USUAL_QUOTE_RATE], x[x_.USUAL_QUOTE_RATE_DEVIATION] = a[s.M_QTS], np.sqrt(a[s.V_QTS])


@inlined
def _trading(a: F8, x: F8) -> None:
    """What every feed that tells of trading has, be it in quotes or bars."""
    x[x_.LAST] = a[s.LAST]
    x[x_.HIGH_1S], x[x_.LOW_1S] = (a[s.HIGH], a[s.LOW]) if a[s.HIGH] > 0.0 else (np.nan, np.nan)
    x[x_.USUAL_VOLUME], x[x_.USUAL_RUSH], x[x_.USUAL_TRADED] = a[s.BASE_VOLUME], a[s.BASE_RUSH], a[s.BASE_TRADED]
    x[x_.VOLUME_25S], x[x_.SIGNED_VOLUME_25S], x[x_.SESSION_VOLUME] = a[s.VOL25], a[s.SGN25], a[s.SES_VOLUME]
    if a[s.HAS_TRADE] == 0.0:
        x[x_.VOLUME_25S] = x[x_.SIGNED_VOLUME_25S] = x[x_.SESSION_VOLUME] = np.nan
        x[x_.USUAL_VOLUME] = x[x_.USUAL_RUSH] = x[x_.USUAL_TRADED] = np.nan


@inlined
def _prints(a: F8, rings: F8, i: int, at: I8, x: F8) -> None:
    """What single trades show."""
    a[s.TRIPS60] = slide(a[s.TRIPS60], rings, s.ROUND_TRIPS + at[r.M60], 60, i, a[s.AGE], a[s.TRIPS])
    rings[s.ROUND_TRIPS + at[r.M], i] = a[s.TRIPS]
    x[x_.LARGEST_TRADE], x[x_.SMALL_TRADES] = a[s.LARGEST], a[s.SMALL]
    x[x_.SWEPT_LEVELS], x[x_.SWEPT_SIDE], x[x_.ROUND_TRIPS_60S] = a[s.SWEPT], a[s.SWEPT_SIDE], a[s.TRIPS60]
    x[x_.USUAL_TRADE] = x[x_.USUAL_TRADE_DEVIATION] = np.nan
    if a[s.TRADES_SEEN] >= ENOUGH_TRADES and a[s.SIZE_WEIGHT] > 0.0:
        mean = a[s.SIZE_SUM] / a[s.SIZE_WEIGHT]
        x[x_.USUAL_TRADE] = mean
        x[x_.USUAL_TRADE_DEVIATION] = np.sqrt(max(a[s.SIZE_SQUARES] / a[s.SIZE_WEIGHT] - mean * mean, 0.0))


@inlined
def _levels(a: F8, book: F8, price: float, x: F8) -> None:
    """Depth, and the largest level of each side with its distance."""
    x[x_.BID_DEPTH_10], x[x_.ASK_DEPTH_10] = a[s.BID10], a[s.ASK10]
    for side in range(2):
        largest, away, start = 0.0, np.nan, side * 2 * LEVELS
        for level in range(LEVELS):
            if book[start + LEVELS + level] > largest and book[start + level] > 0.0:
                largest = book[start + LEVELS + level]
                away = abs(price - book[start + level]) / price * 10_000.0
        x[x_.LARGEST_BID + side], x[x_.LARGEST_BID_AWAY + side] = largest, away


@inlined
def _orders(a: F8, rings: F8, i: int, at: I8, x: F8) -> None:
    """What order rows show."""
    age, old, new = a[s.AGE], at[r.M60], at[r.M]
    a[s.DELETED60] = slide(a[s.DELETED60], rings, s.DELETED + old, 60, i, age, a[s.DELETED_QTY])
    a[s.EXECUTED60] = slide(a[s.EXECUTED60], rings, s.EXECUTED + old, 60, i, age, a[s.EXECUTED_QTY])
    a[s.GONE60] = slide(a[s.GONE60], rings, s.GONE + old, 60, i, age, a[s.ORDERS_GONE])
    a[s.SHORT60] = slide(a[s.SHORT60], rings, s.SHORT + old, 60, i, age, a[s.SHORT_LIVED])
    rings[s.DELETED + new, i], rings[s.EXECUTED + new, i] = a[s.DELETED_QTY], a[s.EXECUTED_QTY]
    rings[s.GONE + new, i], rings[s.SHORT + new, i] = a[s.ORDERS_GONE], a[s.SHORT_LIVED]
    x[x_.ORDERS_ADDED_1S], x[x_.ORDERS_DELETED_1S] = a[s.ORDERS_ADDED], a[s.ORDERS_DELETED]
    x[x_.ORDERS_EXECUTED_1S] = a[s.ORDERS_EXECUTED]
    ended = a[s.EXECUTED60] + a[s.DELETED60]
    x[x_.FILL_RATIO_60S] = min(max(a[s.EXECUTED60] / ended, 0.0), 1.0) if ended > 0.0 else np.nan
    x[x_.SHORT_LIVED_60S] = a[s.SHORT60] / a[s.GONE60] if a[s.GONE60] > 0.0 else np.nan


@inlined
def fold(a: F8) -> None:
    """Take the second's trades into what is usual, after the second was judged by what was usual before it."""
    if a[s.TRADES_SEEN] == 0.0:
        return
    a[s.SIZE_WEIGHT] = (1.0 - _HALF_HOUR) * a[s.SIZE_WEIGHT] + a[s.SIZES]
    a[s.SIZE_SUM] = (1.0 - _HALF_HOUR) * a[s.SIZE_SUM] + a[s.LN_SUM]
    a[s.SIZE_SQUARES] = (1.0 - _HALF_HOUR) * a[s.SIZE_SQUARES] + a[s.LN_SQUARES]
    if a[s.SIZES] > 0.0:
        a[s.USUAL_SIZE] = np.exp(a[s.SIZE_SUM] / a[s.SIZE_WEIGHT])


@inlined
def clear(a: F8) -> None:
    """Empty what the second gathered for scenarios."""
    a[s.RAISED] = a[s.LOWERED] = a[s.HIGH] = a[s.LOW] = 0.0
    if a[s.TRADES_SEEN] > 0.0:
        a[s.LARGEST] = a[s.SMALL] = a[s.SIZES] = a[s.LN_SUM] = a[s.LN_SQUARES] = 0.0
        a[s.SWEPT] = a[s.SWEPT_SIDE] = a[s.TRIPS] = 0.0
    if a[s.HAS_ORDER] > 0.0:
        a[s.ORDERS_ADDED] = a[s.ORDERS_DELETED] = a[s.ORDERS_EXECUTED] = 0.0
        a[s.DELETED_QTY] = a[s.EXECUTED_QTY] = a[s.ORDERS_GONE] = a[s.SHORT_LIVED] = 0.0


@inlined
def forget_windows(a: F8) -> None:
    """Forget the windows that only scenarios look at."""
    a[s.RAISED60] = a[s.TRIPS60] = a[s.DELETED60] = a[s.EXECUTED60] = a[s.GONE60] = a[s.SHORT60] = 0.0
    clear(a)


@kernel
def on_print(a: F8, tape: F8, price: float, qty: float, side: int, millisecond: int) -> None:
    """A trade row, beside what it does to volumes: its size, the levels it swept, the round trip it ends.

    tape : float64[TAPE, TAPE_FIELDS], changed in place
    """
    a[s.TRADES_SEEN] += 1.0
    a[s.LARGEST] = max(a[s.LARGEST], qty)
    if a[s.TRADES_SEEN] > ENOUGH_TRADES and qty <= 0.1 * a[s.USUAL_SIZE]:
        a[s.SMALL] += 1.0
    if qty > 0.0:
        size = np.log(qty)
        a[s.SIZES] += 1.0
        a[s.LN_SUM] += size
        a[s.LN_SQUARES] += size * size
    if side == 0:
        return
    of, levels, last = s.MS_OF_BUYS, s.BUY_LEVELS, s.BUY_PRICE
    if side < 0:
        of, levels, last = s.MS_OF_SELLS, s.SELL_LEVELS, s.SELL_PRICE
    if a[of] != millisecond:
        a[of], a[levels], a[last] = millisecond, 0.0, 0.0
    if a[last] != price:
        a[levels] += 1.0
        a[last] = price
    if a[levels] > a[s.SWEPT]:
        a[s.SWEPT], a[s.SWEPT_SIDE] = a[levels], side
    _round_trip(a, tape, price, side * qty, millisecond)


@inlined
def on_order(a: F8, resting: F8, action: int, qty: float, order: int, millisecond: int) -> None:
    """An order row: counts, quantities, and how long an order that is deleted had lived.

    resting : float64[RESTING, RESTING_FIELDS], changed in place; order : hash of its id, 0 where it is not known
    A newer order takes the place of an older one that shares its hash's last bits: the older one's life is lost, and it
    does not count among the orders gone.
    """
    a[s.HAS_ORDER] = 1.0
    place = resting[order % s.RESTING]
    if action == _ADD:
        a[s.ORDERS_ADDED] += 1.0
        place[0], place[1] = order, millisecond
    elif action == _EXECUTE:
        a[s.ORDERS_EXECUTED] += 1.0
        a[s.EXECUTED_QTY] += qty
    else:
        a[s.DELETED_QTY] += qty
        if action == _DELETE:
            a[s.ORDERS_DELETED] += 1.0
            if order > 0 and place[0] == order:
                a[s.ORDERS_GONE] += 1.0
                a[s.SHORT_LIVED] += 1.0 if millisecond - place[1] < 1000.0 else 0.0
                place[0] = 0.0


@inlined
def _round_trip(a: F8, tape: F8, price: float, signed: float, millisecond: int) -> None:
    """Look for the opposite trade of equal quantity among the last ones; each belongs to one round trip at most."""
    both = a[s.BID] > 0.0 and a[s.ASK] > 0.0
    # Prices are decimal: a difference of one spread may come out a rounding above it.
    apart = (a[s.ASK] - a[s.BID] if both else 0.0) + 1e-9 * price
    paired = 0.0
    for place in range(s.TAPE):
        before = tape[place]
        near = millisecond - before[0] <= 1000.0 and abs(price - before[1]) <= apart
        if before[2] == -signed and before[3] == 0.0 and near:
            before[3] = paired = 1.0
            a[s.TRIPS] += 1.0
            break
    newest = tape[int(a[s.TAPE_NEXT])]
    newest[0], newest[1], newest[2], newest[3] = millisecond, price, signed, paired
    a[s.TAPE_NEXT] = (a[s.TAPE_NEXT] + 1.0) % s.TAPE
