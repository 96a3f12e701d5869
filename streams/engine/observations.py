"""What scenarios see of an instrument and second (detectors/scenarios/observation.py), and the accumulators that only
they need.
"""

import numpy as np
import numpy.typing as npt

from detectors.scenarios import observation
from streams.engine import rings as ring
from streams.engine import state
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
_FEATURES = len(observation.FEATURES)
_DAY_S = 86_400
_ADD, _DELETE, _EXECUTE = int(OrderAction.ADD), int(OrderAction.DELETE), int(OrderAction.EXECUTE)


@inlined
def roll_extremes(a: F8, second: int, lp: float) -> None:
    """Keep the highest and lowest ln p of the running ten seconds and of the five tens before."""
    if a[state.AGE] == 0.0:
        a[state.HIGH_TEN] = a[state.LOW_TEN] = lp
        a[state.HIGH_BEFORE], a[state.LOW_BEFORE] = -np.inf, np.inf
        for ten in range(state.TENS):
            a[state.TEN_HIGHS + ten], a[state.TEN_LOWS + ten] = -np.inf, np.inf
    elif second % 10 == 0:
        place = second // 10 % state.TENS
        a[state.TEN_HIGHS + place], a[state.TEN_LOWS + place] = a[state.HIGH_TEN], a[state.LOW_TEN]
        a[state.HIGH_BEFORE], a[state.LOW_BEFORE] = -np.inf, np.inf
        for ten in range(state.TENS):
            a[state.HIGH_BEFORE] = max(a[state.HIGH_BEFORE], a[state.TEN_HIGHS + ten])
            a[state.LOW_BEFORE] = min(a[state.LOW_BEFORE], a[state.TEN_LOWS + ten])
        a[state.HIGH_TEN] = a[state.LOW_TEN] = lp
    else:
        a[state.HIGH_TEN], a[state.LOW_TEN] = max(a[state.HIGH_TEN], lp), min(a[state.LOW_TEN], lp)


@inlined
def observe(S: State, i: int, at: I8, second: int, price: float, f: F4, x: F8) -> None:
    """Fill `x`, float64[observation.COUNT], from the state of a second that is about to be closed and its feature row
    `f`; what models say is filled in by the caller.
    """
    a, rings = S.acc[i], S.rings
    lp, age = rings[at[ring.P], i], a[state.AGE]
    for column in range(_FEATURES):
        x[column] = f[column]
    roll_extremes(a, second, lp)
    x[observation.PRICE], x[observation.AGE], x[observation.SECOND_OF_DAY] = price, age, second % _DAY_S
    x[observation.SINCE_OPEN], x[observation.TO_CLOSE] = second - a[state.OPENED_AT], a[state.CLOSES_AT] - (second + 1)
    x[observation.AUCTION] = 1.0 if a[state.PHASE_OF] == state.IN_AUCTION else 0.0
    x[observation.RET_25S] = lp - rings[at[ring.P25], i] if age >= 25.0 else np.nan
    x[observation.RET_120S] = lp - rings[at[ring.P120], i] if age >= 120.0 else np.nan
    x[observation.USUAL_R2] = a[state.BASE_R2]
    x[observation.HIGH_60S] = max(a[state.HIGH_TEN], a[state.HIGH_BEFORE]) - lp
    x[observation.LOW_60S] = min(a[state.LOW_TEN], a[state.LOW_BEFORE]) - lp
    _touch(a, rings, i, at, x)
    _trading(a, x)
    if a[state.TRADES_SEEN] > 0.0:
        _prints(a, rings, i, at, x)
    else:
        for column in range(observation.LARGEST_TRADE, observation.ROUND_TRIPS_60S + 1):
            x[column] = np.nan
    if a[state.HAS_BOOK] > 0.0:
        _levels(a, S.book[i], price, x)
    else:
        for column in range(observation.BID_DEPTH_10, observation.LARGEST_ASK_AWAY + 1):
            x[column] = np.nan
    if a[state.HAS_ORDER] > 0.0:
        _orders(a, rings, i, at, x)
    else:
        for column in range(observation.ORDERS_ADDED_1S, observation.SHORT_LIVED_60S + 1):
            x[column] = np.nan


@inlined
def _touch(a: F8, rings: F8, i: int, at: I8, x: F8) -> None:
    """Best prices, how often they rose or fell, and the usual rate of quotes."""
    bid, ask, age = a[state.BID] > 0.0, a[state.ASK] > 0.0, a[state.AGE]
    x[observation.BID], x[observation.BID_QTY] = (a[state.BID], a[state.BID_QTY]) if bid else (np.nan, np.nan)
    x[observation.ASK], x[observation.ASK_QTY] = (a[state.ASK], a[state.ASK_QTY]) if ask else (np.nan, np.nan)
    x[observation.BID_RAISED] = x[observation.ASK_LOWERED] = x[observation.BID_RAISED_60S] = np.nan
    x[observation.USUAL_QUOTE_RATE] = x[observation.USUAL_QUOTE_RATE_DEVIATION] = np.nan
    if a[state.HAS_QUOTE] == 0.0 and a[state.HAS_BOOK] == 0.0:
        return
    a[state.RAISED60] = slide(a[state.RAISED60], rings, state.RAISES + at[ring.M60], 60, i, age, a[state.RAISED])
    rings[state.RAISES + at[ring.M], i] = a[state.RAISED]
    x[observation.BID_RAISED], x[observation.ASK_LOWERED] = a[state.RAISED], a[state.LOWERED]
    if age >= 59.0:
        x[observation.BID_RAISED_60S] = a[state.RAISED60]
    if age >= _WARM_S:
        x[observation.USUAL_QUOTE_RATE], x[observation.USUAL_QUOTE_RATE_DEVIATION] = (
            a[state.M_QTS],
            np.sqrt(a[state.V_QTS]),
        )


@inlined
def _trading(a: F8, x: F8) -> None:
    """What every feed that tells of trading has, be it in quotes or bars."""
    x[observation.LAST] = a[state.LAST]
    x[observation.HIGH_1S], x[observation.LOW_1S] = (
        (a[state.HIGH], a[state.LOW]) if a[state.HIGH] > 0.0 else (np.nan, np.nan)
    )
    x[observation.USUAL_VOLUME], x[observation.USUAL_RUSH] = a[state.BASE_VOLUME], a[state.BASE_RUSH]
    x[observation.USUAL_TRADED] = a[state.BASE_TRADED]
    x[observation.VOLUME_25S], x[observation.SIGNED_VOLUME_25S] = a[state.VOL25], a[state.SGN25]
    x[observation.SESSION_VOLUME] = a[state.SES_VOLUME]
    if a[state.HAS_TRADE] == 0.0:
        x[observation.VOLUME_25S] = x[observation.SIGNED_VOLUME_25S] = x[observation.SESSION_VOLUME] = np.nan
        x[observation.USUAL_VOLUME] = x[observation.USUAL_RUSH] = x[observation.USUAL_TRADED] = np.nan


@inlined
def _prints(a: F8, rings: F8, i: int, at: I8, x: F8) -> None:
    """What single trades show."""
    a[state.TRIPS60] = slide(
        a[state.TRIPS60], rings, state.ROUND_TRIPS + at[ring.M60], 60, i, a[state.AGE], a[state.TRIPS]
    )
    rings[state.ROUND_TRIPS + at[ring.M], i] = a[state.TRIPS]
    x[observation.LARGEST_TRADE], x[observation.SMALL_TRADES] = a[state.LARGEST], a[state.SMALL]
    x[observation.SWEPT_LEVELS], x[observation.SWEPT_SIDE] = a[state.SWEPT], a[state.SWEPT_SIDE]
    x[observation.ROUND_TRIPS_60S] = a[state.TRIPS60]
    x[observation.USUAL_TRADE] = x[observation.USUAL_TRADE_DEVIATION] = np.nan
    if a[state.TRADES_SEEN] >= ENOUGH_TRADES and a[state.SIZE_WEIGHT] > 0.0:
        mean = a[state.SIZE_SUM] / a[state.SIZE_WEIGHT]
        x[observation.USUAL_TRADE] = mean
        x[observation.USUAL_TRADE_DEVIATION] = np.sqrt(
            max(a[state.SIZE_SQUARES] / a[state.SIZE_WEIGHT] - mean * mean, 0.0)
        )


@inlined
def _levels(a: F8, book: F8, price: float, x: F8) -> None:
    """Depth, and the largest level of each side with its distance."""
    x[observation.BID_DEPTH_10], x[observation.ASK_DEPTH_10] = a[state.BID10], a[state.ASK10]
    for side in range(2):
        largest, away, start = 0.0, np.nan, side * 2 * LEVELS
        for level in range(LEVELS):
            if book[start + LEVELS + level] > largest and book[start + level] > 0.0:
                largest = book[start + LEVELS + level]
                away = abs(price - book[start + level]) / price * 10_000.0
        x[observation.LARGEST_BID + side], x[observation.LARGEST_BID_AWAY + side] = largest, away


@inlined
def _orders(a: F8, rings: F8, i: int, at: I8, x: F8) -> None:
    """What order rows show."""
    age, old, new = a[state.AGE], at[ring.M60], at[ring.M]
    a[state.DELETED60] = slide(a[state.DELETED60], rings, state.DELETED + old, 60, i, age, a[state.DELETED_QTY])
    a[state.EXECUTED60] = slide(a[state.EXECUTED60], rings, state.EXECUTED + old, 60, i, age, a[state.EXECUTED_QTY])
    a[state.GONE60] = slide(a[state.GONE60], rings, state.GONE + old, 60, i, age, a[state.ORDERS_GONE])
    a[state.SHORT60] = slide(a[state.SHORT60], rings, state.SHORT + old, 60, i, age, a[state.SHORT_LIVED])
    rings[state.DELETED + new, i], rings[state.EXECUTED + new, i] = a[state.DELETED_QTY], a[state.EXECUTED_QTY]
    rings[state.GONE + new, i], rings[state.SHORT + new, i] = a[state.ORDERS_GONE], a[state.SHORT_LIVED]
    x[observation.ORDERS_ADDED_1S], x[observation.ORDERS_DELETED_1S] = a[state.ORDERS_ADDED], a[state.ORDERS_DELETED]
    x[observation.ORDERS_EXECUTED_1S] = a[state.ORDERS_EXECUTED]
    ended = a[state.EXECUTED60] + a[state.DELETED60]
    x[observation.FILL_RATIO_60S] = min(max(a[state.EXECUTED60] / ended, 0.0), 1.0) if ended > 0.0 else np.nan
    x[observation.SHORT_LIVED_60S] = a[state.SHORT60] / a[state.GONE60] if a[state.GONE60] > 0.0 else np.nan


@inlined
def fold(a: F8) -> None:
    """Take the second's trades into what is usual, after the second was judged by what was usual before it."""
    if a[state.TRADES_SEEN] == 0.0:
        return
    a[state.SIZE_WEIGHT] = (1.0 - _HALF_HOUR) * a[state.SIZE_WEIGHT] + a[state.SIZES]
    a[state.SIZE_SUM] = (1.0 - _HALF_HOUR) * a[state.SIZE_SUM] + a[state.LN_SUM]
    a[state.SIZE_SQUARES] = (1.0 - _HALF_HOUR) * a[state.SIZE_SQUARES] + a[state.LN_SQUARES]
    if a[state.SIZES] > 0.0:
        a[state.USUAL_SIZE] = np.exp(a[state.SIZE_SUM] / a[state.SIZE_WEIGHT])


@inlined
def clear(a: F8) -> None:
    """Empty what the second gathered for scenarios."""
    a[state.RAISED] = a[state.LOWERED] = a[state.HIGH] = a[state.LOW] = 0.0
    if a[state.TRADES_SEEN] > 0.0:
        a[state.LARGEST] = a[state.SMALL] = a[state.SIZES] = a[state.LN_SUM] = a[state.LN_SQUARES] = 0.0
        a[state.SWEPT] = a[state.SWEPT_SIDE] = a[state.TRIPS] = 0.0
    if a[state.HAS_ORDER] > 0.0:
        a[state.ORDERS_ADDED] = a[state.ORDERS_DELETED] = a[state.ORDERS_EXECUTED] = 0.0
        a[state.DELETED_QTY] = a[state.EXECUTED_QTY] = a[state.ORDERS_GONE] = a[state.SHORT_LIVED] = 0.0


@inlined
def forget_windows(a: F8) -> None:
    """Forget the windows that only scenarios look at."""
    a[state.RAISED60] = a[state.TRIPS60] = a[state.DELETED60] = a[state.EXECUTED60] = a[state.GONE60] = a[
        state.SHORT60
    ] = 0.0
    clear(a)


@kernel
def on_print(a: F8, tape: F8, price: float, qty: float, side: int, millisecond: int) -> None:
    """A trade row, beside what it does to volumes: its size, the levels it swept, the round trip it ends.

    tape : float64[TAPE, TAPE_FIELDS], changed in place
    """
    a[state.TRADES_SEEN] += 1.0
    a[state.LARGEST] = max(a[state.LARGEST], qty)
    if a[state.TRADES_SEEN] > ENOUGH_TRADES and qty <= 0.1 * a[state.USUAL_SIZE]:
        a[state.SMALL] += 1.0
    if qty > 0.0:
        size = np.log(qty)
        a[state.SIZES] += 1.0
        a[state.LN_SUM] += size
        a[state.LN_SQUARES] += size * size
    if side == 0:
        return
    of, levels, last = state.MS_OF_BUYS, state.BUY_LEVELS, state.BUY_PRICE
    if side < 0:
        of, levels, last = state.MS_OF_SELLS, state.SELL_LEVELS, state.SELL_PRICE
    if a[of] != millisecond:
        a[of], a[levels], a[last] = millisecond, 0.0, 0.0
    if a[last] != price:
        a[levels] += 1.0
        a[last] = price
    if a[levels] > a[state.SWEPT]:
        a[state.SWEPT], a[state.SWEPT_SIDE] = a[levels], side
    _round_trip(a, tape, price, side * qty, millisecond)


@inlined
def on_order(a: F8, resting: F8, action: int, qty: float, order: int, millisecond: int) -> None:
    """An order row: counts, quantities, and how long an order that is deleted had lived.

    resting : float64[RESTING, RESTING_FIELDS], changed in place; order : hash of its id, 0 where it is not known
    A newer order takes the place of an older one that shares its hash's last bits: the older one's life is lost, and it
    does not count among the orders gone.
    """
    a[state.HAS_ORDER] = 1.0
    place = resting[order % state.RESTING]
    if action == _ADD:
        a[state.ORDERS_ADDED] += 1.0
        place[0], place[1] = order, millisecond
    elif action == _EXECUTE:
        a[state.ORDERS_EXECUTED] += 1.0
        a[state.EXECUTED_QTY] += qty
    else:
        a[state.DELETED_QTY] += qty
        if action == _DELETE:
            a[state.ORDERS_DELETED] += 1.0
            if order > 0 and place[0] == order:
                a[state.ORDERS_GONE] += 1.0
                a[state.SHORT_LIVED] += 1.0 if millisecond - place[1] < 1000.0 else 0.0
                place[0] = 0.0


@inlined
def _round_trip(a: F8, tape: F8, price: float, signed: float, millisecond: int) -> None:
    """Look for the opposite trade of equal quantity among the last ones; each belongs to one round trip at most."""
    both = a[state.BID] > 0.0 and a[state.ASK] > 0.0
    # Prices are decimal: a difference of one spread may come out a rounding above it.
    apart = (a[state.ASK] - a[state.BID] if both else 0.0) + 1e-9 * price
    paired = 0.0
    for place in range(state.TAPE):
        before = tape[place]
        near = millisecond - before[0] <= 1000.0 and abs(price - before[1]) <= apart
        if before[2] == -signed and before[3] == 0.0 and near:
            before[3] = paired = 1.0
            a[state.TRIPS] += 1.0
            break
    newest = tape[int(a[state.TAPE_NEXT])]
    newest[0], newest[1], newest[2], newest[3] = millisecond, price, signed, paired
    a[state.TAPE_NEXT] = (a[state.TAPE_NEXT] + 1.0) % state.TAPE
