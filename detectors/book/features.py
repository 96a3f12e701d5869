"""What a second of book flow looks like: every feature a ratio to what is usual for the instrument itself."""

import numpy as np
import numpy.typing as npt

from detectors.book import state
from detectors.book.orders import TOGETHER_S, companions, mirrored, settle, strength, visible
from tapewatch.kernels import inlined, kernel

F8 = npt.NDArray[np.float64]

WARM_S = 10.0
"""Seconds without features."""
MEMORY_S = 120.0
"""Seconds over which what is usual is taken."""
FRESH_S = 20.0
"""Age up to which a standing order counts."""

(
    STAND, STAND_OTHER, STAND_LEAN, STAND_LARGEST, STAND_SECOND, STAND_AGE, STAND_MOVES, STAND_OPPOSITE,
    STAND_COUNT, STAND_TOGETHER, STAND_TOGETHER_SUM, STAND_FILLED, STAND_UNUSUAL, STAND_SIZE, STAND_PLACE,
    STAND_LEVEL, STAND_MIRRORED, STAND_REPLACES, STAND_BASE, STAND_PARTS, STAND_CUTS, PRESENT, PRESENT_OTHER,
    PRESENT_LEAN, GONE, GONE_OTHER, GONE_LARGEST, GONE_COUNT, GONE_UNUSUAL, HELD, HELD_LIFE, HELD_OPPOSITE,
    HELD_TOGETHER, HELD_MOVES, HELD_AGE, HELD_FILLED, HELD_UNUSUAL, HELD_SIZE, HELD_APART, HELD_LEVEL,
    HELD_MIRRORED, HELD_REPLACED, HELD_PARTS, HELD_CUTS, LATELY, LATELY_OTHER, LATELY_LEAN, LONG, LONG_OTHER,
    BEFORE, ADDED, LARGEST_ADDED, REMOVED, LARGEST_REMOVED, ADDED_UNUSUAL, REMOVED_UNUSUAL, TAKEN, QUOTES, RESIZED,
    REVERTED, REVERTED_SHARE, RETURNED_SHARE, RECENT_QUOTES, RECENT_REVERTED, TRADES_PER_QUOTE, VOLUME, CHANGES,
    FLEETING, MOVE, LEAN_CHANGE, DEPTH,
) = range(71)  # fmt: skip

NAMES = (
    "stand", "stand_other", "stand_lean", "stand_largest", "stand_second", "stand_age", "stand_moves",
    "stand_opposite", "stand_count", "stand_together", "stand_together_sum", "stand_filled", "stand_unusual",
    "stand_size", "stand_place", "stand_level", "stand_mirrored", "stand_replaces", "stand_base", "stand_parts",
    "stand_cuts", "present", "present_other", "present_lean", "gone", "gone_other", "gone_largest", "gone_count",
    "gone_unusual", "held", "held_life", "held_opposite", "held_together", "held_moves", "held_age", "held_filled",
    "held_unusual", "held_size", "held_apart", "held_level", "held_mirrored", "held_replaced", "held_parts",
    "held_cuts", "lately", "lately_other", "lately_lean", "long", "long_other", "before", "added", "largest_added",
    "removed", "largest_removed", "added_unusual", "removed_unusual", "taken", "quotes", "resized", "reverted",
    "reverted_share", "returned_share", "recent_quotes", "recent_reverted", "trades_per_quote", "volume", "changes",
    "fleeting", "move", "lean_change", "depth",
)  # fmt: skip
"""The features in the order of `close_second`."""

COUNT = len(NAMES)


@inlined
def _lean(a: float, b: float) -> float:
    """(a - b) / (a + b); 0 for nothing."""
    return float((a - b) / (a + b)) if a + b > 0.0 else 0.0


@inlined
def _ratio(now: float, usual: float) -> float:
    """How much larger one is, on the logarithmic scale that begins at nothing."""
    return float(np.log1p(now) - np.log1p(usual))


@inlined
def _counts(p: F8, at: int, end: float) -> bool:
    """Whether an order stands, or stood until just now, and is young and in sight."""
    young = p[at + state.KEY] != 0.0 and end - p[at + state.BORN] <= FRESH_S
    return bool(young and (p[at + state.GONE] > 0.0 or visible(p, p[at + state.KEY])))


@kernel
def _standing(p: F8, end: float, out: F8) -> float:
    """Large orders that stand at the second's end: out[STAND..PRESENT_LEAN]; returns what the heavier side's say."""
    bids = asks = bid_count = ask_count = 0.0
    largest, second, top = 0.0, 0.0, -1
    for slot in range(state.FOLLOWED):
        at = state.ORDERS + slot * state.STRIDE
        if not _counts(p, at, end):
            continue
        says = strength(p, at)
        if p[at + state.KEY] < 0.0:
            bids += says
            bid_count += 1.0
        else:
            asks += says
            ask_count += 1.0
        if says > largest:
            largest, second, top = says, largest, at
        elif says > second:
            second = says
    heavy, light = max(bids, asks), min(bids, asks)
    out[STAND], out[STAND_OTHER], out[STAND_LEAN] = heavy, light, _lean(heavy, light)
    out[STAND_COUNT] = bid_count if bids >= asks else ask_count
    out[STAND_LARGEST], out[STAND_SECOND] = largest, second
    for k in range(STAND_AGE, STAND_COUNT):
        out[k] = 0.0
    for k in range(STAND_TOGETHER, PRESENT):
        out[k] = 0.0
    if top >= 0:
        _top(p, top, end, out)
    bids, asks = bids + p[state.WITHDRAWN], asks + p[state.WITHDRAWN_ASK]
    out[PRESENT], out[PRESENT_OTHER], out[PRESENT_LEAN] = max(bids, asks), min(bids, asks), _lean(bids, asks)
    out[PRESENT_LEAN] = abs(out[PRESENT_LEAN])
    return float(heavy)


@inlined
def _top(p: F8, top: int, end: float, out: F8) -> None:
    """The most unusual standing order: age, moves, opposite trades, companions, where it stands, what it replaces."""
    age = end - p[top + state.BORN]
    traded = (p[state.BOUGHT] if p[top + state.KEY] < 0.0 else p[state.SOLD]) - p[top + state.OPPOSITE]
    out[STAND_AGE], out[STAND_MOVES] = age, p[top + state.MOVES]
    out[STAND_OPPOSITE] = _ratio(traded / p[state.USUAL_ADD], 0.5 * age * p[state.USUAL_VOLUME] / p[state.USUAL_ADD])
    out[STAND_TOGETHER], out[STAND_MIRRORED] = companions(p, top), mirrored(p, top)
    total = 0.0
    for slot in range(state.FOLLOWED):
        at = state.ORDERS + slot * state.STRIDE
        near = abs(p[at + state.BORN] - p[top + state.BORN]) <= TOGETHER_S
        if p[at + state.KEY] * p[top + state.KEY] > 0.0 and near:
            total += strength(p, at)
    out[STAND_TOGETHER_SUM] = total
    out[STAND_FILLED] = p[top + state.FILLED] / p[top + state.FIRST]
    out[STAND_SIZE], out[STAND_PLACE] = np.log(p[top + state.SIZE]), p[top + state.PLACE]
    out[STAND_LEVEL] = p[top + state.LEVEL]
    out[STAND_PARTS], out[STAND_CUTS] = p[top + state.PARTS], p[top + state.CUTS]
    out[STAND_REPLACES], out[STAND_BASE] = p[top + state.REPLACES], np.log1p(p[top + state.BASE] / p[state.USUAL_ADD])


@inlined
def _withdrawn(p: F8, out: F8) -> None:
    """What was placed and withdrawn: in this second, the strongest of the last ones, and over a minute."""
    side = 0 if p[state.WITHDRAWN] >= p[state.WITHDRAWN_ASK] else 1
    out[GONE], out[GONE_OTHER] = p[state.WITHDRAWN + side], p[state.WITHDRAWN + 1 - side]
    out[GONE_LARGEST] = p[state.LARGEST_WITHDRAWN + side]
    out[GONE_COUNT] = p[state.WITHDRAWALS + side]
    out[GONE_UNUSUAL] = _ratio(p[state.WITHDRAWN + side], p[state.USUAL_WITHDRAWN])
    out[HELD], out[HELD_LIFE] = p[state.HELD], p[state.HELD_LIFE]
    unit = p[state.USUAL_ADD]
    out[HELD_OPPOSITE] = _ratio(p[state.HELD_OPPOSITE] / unit, 0.5 * p[state.HELD_LIFE] * p[state.USUAL_VOLUME] / unit)
    out[HELD_TOGETHER], out[HELD_MOVES], out[HELD_AGE] = p[state.HELD_TOGETHER], p[state.HELD_MOVES], p[state.HELD_AGE]
    out[HELD_FILLED], out[HELD_SIZE] = p[state.HELD_FILLED], np.log1p(p[state.HELD_SIZE])
    out[HELD_APART] = p[state.HELD_APART]
    out[HELD_LEVEL], out[HELD_MIRRORED] = p[state.HELD_LEVEL], p[state.HELD_MIRRORED]
    out[HELD_REPLACED], out[HELD_PARTS] = p[state.HELD_REPLACED], p[state.HELD_PARTS]
    out[HELD_CUTS] = p[state.HELD_CUTS]
    out[HELD_UNUSUAL] = _ratio(p[state.HELD], p[state.USUAL_WITHDRAWN])
    out[BEFORE] = max(p[state.LATELY], p[state.LATELY_ASK])
    p[state.LATELY], p[state.LATELY_ASK] = (
        0.966 * p[state.LATELY] + p[state.WITHDRAWN],
        0.966 * p[state.LATELY_ASK] + p[state.WITHDRAWN_ASK],
    )
    p[state.LONG], p[state.LONG_ASK] = (
        0.9885 * p[state.LONG] + p[state.WITHDRAWN],
        0.9885 * p[state.LONG_ASK] + p[state.WITHDRAWN_ASK],
    )
    heavy, light = max(p[state.LATELY], p[state.LATELY_ASK]), min(p[state.LATELY], p[state.LATELY_ASK])
    out[LATELY], out[LATELY_OTHER], out[LATELY_LEAN] = heavy, light, _lean(heavy, light)
    out[LONG], out[LONG_OTHER] = max(p[state.LONG], p[state.LONG_ASK]), min(p[state.LONG], p[state.LONG_ASK])


@inlined
def _changes(p: F8, out: F8) -> None:
    """Quantity that came and went at the levels, on the side with more of it."""
    unit = p[state.USUAL_ADD]
    added, removed = max(p[state.ADDED], p[state.ADDED_ASK]), max(p[state.REMOVED], p[state.REMOVED_ASK])
    out[ADDED], out[REMOVED] = np.log1p(added / unit), np.log1p(removed / unit)
    out[LARGEST_ADDED] = np.log1p(max(p[state.LARGEST_ADDED], p[state.LARGEST_ADDED_ASK]) / unit)
    out[LARGEST_REMOVED] = np.log1p(max(p[state.LARGEST_REMOVED], p[state.LARGEST_REMOVED_ASK]) / unit)
    out[ADDED_UNUSUAL] = _ratio(added / unit, p[state.USUAL_ADDED] / unit)
    out[REMOVED_UNUSUAL] = _ratio(removed / unit, p[state.USUAL_REMOVED] / unit)
    out[TAKEN] = np.log1p(max(p[state.TAKEN], p[state.TAKEN_ASK]) / unit)
    _usual(p, state.USUAL_ADDED, added)
    _usual(p, state.USUAL_REMOVED, removed)


@inlined
def _rates(p: F8, out: F8) -> None:
    """Updates over what is usual, how many of them take back the one before, and trades beside them."""
    p[state.RECENT_QUOTES] = 0.7 * p[state.RECENT_QUOTES] + 0.3 * p[state.QUOTES]
    p[state.RECENT_REVERTED] = 0.7 * p[state.RECENT_REVERTED] + 0.3 * p[state.REVERTED]
    quotes = max(1.0, p[state.QUOTES])
    out[QUOTES] = _ratio(p[state.QUOTES], p[state.USUAL_QUOTES])
    out[RESIZED] = _ratio(p[state.RESIZED], p[state.USUAL_RESIZED])
    out[REVERTED] = _ratio(p[state.REVERTED], p[state.USUAL_REVERTED])
    out[REVERTED_SHARE], out[RETURNED_SHARE] = p[state.REVERTED] / quotes, p[state.RETURNED] / quotes
    out[RECENT_QUOTES] = _ratio(p[state.RECENT_QUOTES], p[state.USUAL_QUOTES])
    out[RECENT_REVERTED] = _ratio(p[state.RECENT_REVERTED], p[state.USUAL_REVERTED])
    out[TRADES_PER_QUOTE] = p[state.TRADES] / quotes
    out[VOLUME] = _ratio(p[state.VOLUME] / p[state.USUAL_ADD], p[state.USUAL_VOLUME] / p[state.USUAL_ADD])
    out[CHANGES] = _ratio(p[state.CHANGES], p[state.USUAL_CHANGES])
    out[FLEETING] = _ratio(p[state.FLEETING], p[state.USUAL_FLEETING])
    _usual(p, state.USUAL_QUOTES, p[state.QUOTES])
    _usual(p, state.USUAL_RESIZED, p[state.RESIZED])
    _usual(p, state.USUAL_REVERTED, p[state.REVERTED])
    _usual(p, state.USUAL_VOLUME, p[state.VOLUME])
    _usual(p, state.USUAL_CHANGES, p[state.CHANGES])
    _usual(p, state.USUAL_FLEETING, p[state.FLEETING])


@inlined
def _shape(p: F8, out: F8) -> None:
    """Price change, and how depth leans and grows against its slow means."""
    move = abs(np.log(p[state.MID] / p[state.MID_BEFORE])) if p[state.MID_BEFORE] > 0.0 else 0.0
    out[MOVE] = move / (p[state.USUAL_MOVE] + 1e-6)
    _usual(p, state.USUAL_MOVE, move)
    lean, deeper = _lean(p[state.DEPTH], p[state.DEPTH_ASK]), max(p[state.DEPTH], p[state.DEPTH_ASK])
    out[LEAN_CHANGE] = abs(lean - p[state.LEAN])
    p[state.LEAN] += (lean - p[state.LEAN]) / min(p[state.SECONDS], 30.0)
    out[DEPTH] = np.log(max(1e-12, deeper)) - np.log(max(1e-12, p[state.USUAL_DEPTH]))
    _usual(p, state.USUAL_DEPTH, 0.5 * (p[state.DEPTH] + p[state.DEPTH_ASK]))


@inlined
def _usual(p: F8, field: int, value: float) -> None:
    """Take the second into a mean; at most five times the mean, so that the unusual does not become usual at once."""
    if p[state.SECONDS] > WARM_S:
        value = min(value, 5.0 * p[field] + 1e-9)
    p[field] += (value - p[field]) / min(p[state.SECONDS], MEMORY_S)


@kernel
def close_second(p: F8, second: int, out: F8) -> bool:
    """Write the features of a second that is over, and begin the next.

    p : float64[FIELDS], changed in place; second : UTC s; out : float64[COUNT], named by NAMES
    Returns False, and leaves `out` without meaning, while the instrument has no book or is not warm.
    """
    end = second + 1.0
    if p[state.ROWS] == 0.0 or p[state.USUAL_ADD] == 0.0:
        return False
    settle(p, end)
    p[state.SECONDS] += 1.0
    standing = _standing(p, end, out)
    out[STAND_UNUSUAL] = _ratio(standing, p[state.USUAL_STANDING])
    _withdrawn(p, out)
    _changes(p, out)
    _rates(p, out)
    _shape(p, out)
    _usual(p, state.USUAL_STANDING, standing)
    _usual(p, state.USUAL_WITHDRAWN, max(p[state.WITHDRAWN], p[state.WITHDRAWN_ASK]))
    p[state.HELD] *= 0.75
    p[state.HELD_AGE] += 1.0
    for field in range(state.FIRST_OF_SECOND, state.LAST_OF_SECOND + 1):
        p[field] = 0.0
    for field in range(state.FIRST_OF_SIDES, state.LAST_OF_SIDES + 1):
        p[field] = 0.0
    p[state.MID_BEFORE] = p[state.MID]
    return bool(p[state.SECONDS] > WARM_S)
