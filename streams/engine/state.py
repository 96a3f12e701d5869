"""The state of one market partition: arrays over instruments that kernels change in place, and their bytes for
snapshots.

Rings are time-major ([slot of second, instrument]): all instruments of a partition close a second together, so that
closing one walks through memory in order, whatever their number.
"""

import math
import mmap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.autoencoder import score as autoencoder
from detectors.book import state as book_state
from detectors.book.state import FIELDS as FLOW_FIELDS
from detectors.ddqn.virtual import FIELDS as VIRTUAL_FIELDS
from detectors.pumps.features import FIELDS as PUMP_FIELDS
from detectors.scenarios import episode
from detectors.scenarios.episode import FIELDS as EPISODE_FIELDS
from detectors.scenarios.library import SCENARIOS as SCENARIO_NAMES
from streams.engine.layout import ArrayLayout, Axis, copy, each, named, places, whole

F8 = npt.NDArray[np.float64]
F4 = npt.NDArray[np.float32]
I8 = npt.NDArray[np.int64]

# clock: int64[8]
NEWEST, SECOND, COUNT, PHASE, SEALED = 0, 1, 2, 3, 4
"""Fields of `clock`: newest ts_recv (ns), the second being filled, instruments in use, partition phase, seconds sealed
so far.
"""

PRE, ACTIVE, HALTED, CLOSED, IN_AUCTION, UNWATCHED = 0, 1, 2, 3, 4, 5
"""Phases of an instrument; only an active one (auctions too) closes seconds."""

TENS = 5
# accumulators: float64[instrument, ACCUMULATORS]
(
    BID, BID_QTY, ASK, ASK_QTY, LAST, CUM_VOLUME, HAS_QUOTE, HAS_TRADE, HAS_BOOK,
    VOL, CNT, SGN, NOTIONAL, RUSH, LAST_BUY_MS, OFI, QUOTES, ADDED, REMOVED, SOLD_SINCE, BOUGHT_SINCE,
    AWAITED, BID5, ASK5, BID10, ASK10,
    VOL60, CNT60, SGN60, OFI10, OFI60, QTS60, RUSH25, ADD10, REM10, R2_60, R2_300, AMI_SUM, AMI_N,
    EWMA_R2, M_VOL, V_VOL, M_CNT, V_CNT, M_SGN, V_SGN, M_SPREAD,
    SES_NOTIONAL, SES_VOLUME, SES_HIGH, SES_LOW,
    BAR_OPEN, BAR_HIGH, BAR_LOW, BAR_CLOSE, BAR_VOLUME, BAR_TRADES, BAR_PREV_CLOSE, BAR_PREV_VOLUME,
    AGE, PHASE_OF, HALTED_SINCE, BASE_VOLUME, BASE_RUSH, BASE_R2, VOL25, SGN25, BASE_TRADED,
    OPENED_AT, CLOSES_AT, RAISED, LOWERED, RAISED60, M_QTS, V_QTS,
    HIGH_TEN, LOW_TEN, HIGH_BEFORE, LOW_BEFORE, TEN_HIGHS,
) = range(80)  # fmt: skip
"""AWAITED : 1 where a virtual order waits for a quote; it stands where every quote looks anyway.
HIGH_TEN, LOW_TEN : of ln p in the running ten seconds; HIGH_BEFORE, LOW_BEFORE : in the five tens before, each of
which keeps its own, highs from TEN_HIGHS on, lows from TEN_LOWS on. OPENED_AT, CLOSES_AT : seconds of the epoch.
"""
TEN_LOWS = TEN_HIGHS + TENS
(
    HAS_ORDER, HIGH, LOW, BUYS, LARGEST, SMALL, SIZES, LN_SUM, LN_SQUARES, SWEPT, SWEPT_SIDE,
    USUAL_SIZE, TRADES_SEEN, SIZE_WEIGHT, SIZE_SUM, SIZE_SQUARES, TRIPS, TRIPS60, MS_OF_BUYS, BUY_LEVELS, BUY_PRICE,
    MS_OF_SELLS, SELL_LEVELS, SELL_PRICE, TAPE_NEXT, ORDERS_ADDED, ORDERS_DELETED, ORDERS_EXECUTED,
    DELETED_QTY, EXECUTED_QTY, ORDERS_GONE, SHORT_LIVED, DELETED60, EXECUTED60, GONE60, SHORT60,
) = range(TEN_LOWS + TENS, TEN_LOWS + TENS + 36)  # fmt: skip
"""What only instruments with trade or order rows need; the second's HIGH and LOW are 0 without a trade."""
BAR_BUYS, BAR_SELLS = SHORT60 + 1, SHORT60 + 2
"""Of the minute: trades by aggressor side; those of unknown side are in neither."""
SPARE = BAR_SELLS + 1
"""The first that nothing uses."""
ACCUMULATORS = 128

RING_PRICE, RING_MINUTE, RING_AMIHUD, RING_RUSH, RING_DEPTH = 901, 61, 301, 26, 11
"""Seconds that a ring of each kind holds."""

# Where each ring begins among the rows of `rings`.
PRICE = 0
VOLUME = PRICE + RING_PRICE
VOLUME60, COUNTS, SIGNED, OFIS, UPDATES = (VOLUME + each * RING_MINUTE for each in range(1, 6))
AMIHUD = UPDATES + RING_MINUTE
RUSHES = AMIHUD + RING_AMIHUD
ADDS, REMOVALS = RUSHES + RING_RUSH, RUSHES + RING_RUSH + RING_DEPTH
RAISES, ROUND_TRIPS, DELETED, EXECUTED, GONE, SHORT = (REMOVALS + RING_DEPTH + each * RING_MINUTE for each in range(6))
RING_ROWS = SHORT + RING_MINUTE

SCENARIOS = len(SCENARIO_NAMES)
TAPE, TAPE_FIELDS = 8, 4
"""The last trades that a round trip is looked for in, and what is kept of each: ms, price, signed quantity, 1 where it
is part of one.
"""
RESTING, RESTING_FIELDS = 128, 2
"""Places for resting orders by the hash of their id, and what is kept of each: hash, birth (ms); a newer order takes
the place of one that has it, whose life is then not known."""

TERMS = 2
"""Of `virtual`: the row behind the policies' positions, with the terms of trade."""
FIRST_BID, FIRST_ASK, BUY_COST, SELL_COST, SHORTING = range(5)
"""Of the terms: the first two-sided quote since an order waits, 0 before it; costs as shares of the value; 1 where
short sales are allowed.
"""


class State(NamedTuple):
    """Arrays of one partition; `capacity` instruments fit. See the names above for the columns.

    rings : float64[RING_ROWS, capacity], one below another: ln p (PRICE); volume, its 60 s sum, trades, signed volume,
    order flow, quote updates; Amihud, -1 without trades; rush orders; depth added and removed; bids raised;
    round trips; quantity deleted and executed, orders gone and those of them that lived less than 1 s
    book : [capacity, 40] last bid prices, bid quantities, ask prices, ask quantities
    episodes : [capacity, SCENARIOS, EPISODE_FIELDS]; live : int64[capacity], a bit for each scenario whose episode is
    open or about to be: the others' fields are not looked at
    pumps : [capacity, PUMP_FIELDS], of the pump detector; flow : [capacity, FLOW_FIELDS], of the book detector; tape :
    [capacity, TAPE, TAPE_FIELDS]; resting : [capacity, RESTING, RESTING_FIELDS]
    virtual : [capacity, TERMS + 1, VIRTUAL_FIELDS], positions of the policy and of its shadow (detectors.ddqn.virtual),
    then the terms of trade
    codes : of the autoencoder, 64 instruments a block, see detectors.autoencoder.score.create_state
    klass, coin : int64[capacity], which rules apply, and 1 for a coin; functions of configuration and reference data,
    not dumped

    Episodes, pumps, flow, tape, resting and virtual are zeros at birth and never touched for instruments that have no
    use for them, so that they take no memory there.
    """

    clock: I8
    acc: F8
    rings: F8
    book: F8
    episodes: F8
    live: I8
    pumps: F8
    flow: F8
    tape: F8
    resting: F8
    virtual: F8
    codes: F4
    klass: I8
    coin: I8


_NAN_AT_BIRTH = (
    BID,
    ASK,
    LAST,
    CUM_VOLUME,
    M_SPREAD,
    SES_HIGH,
    SES_LOW,
    BAR_OPEN,
    BAR_HIGH,
    BAR_LOW,
    BAR_CLOSE,
    BAR_PREV_CLOSE,
    BAR_PREV_VOLUME,
    OPENED_AT,
    CLOSES_AT,
)

LAYOUT: dict[str, ArrayLayout] = {
    "acc": ArrayLayout("float64", (named(globals(), "BID", "SPARE", ACCUMULATORS),)),
    "book": ArrayLayout("float64", (whole("levels", 40),)),
    "episodes": ArrayLayout("float64", (each(SCENARIO_NAMES), named(vars(episode), "OPEN", "SHOWN", EPISODE_FIELDS))),
    "live": ArrayLayout("int64"),
    "pumps": ArrayLayout("float64", (whole("fields", PUMP_FIELDS),)),
    "flow": ArrayLayout("float64", (named(vars(book_state), "ROWS", "ORDERS", FLOW_FIELDS),)),
    "tape": ArrayLayout("float64", (whole("trades", TAPE), whole("fields", TAPE_FIELDS))),
    "resting": ArrayLayout("float64", (whole("orders", RESTING), whole("fields", RESTING_FIELDS))),
    "virtual": ArrayLayout("float64", (each(("policy", "shadow", "terms")), whole("fields", VIRTUAL_FIELDS))),
    "rings": ArrayLayout("float64", (named(globals(), "PRICE", "SHORT", RING_ROWS),)),
    "codes": ArrayLayout("float32", (whole("rows", autoencoder.STATE_ROWS),)),
}
"""The arrays of a dump, in its order behind the clock, and what their numbers are called."""
_SHAPES = {name: array.shape for name, array in LAYOUT.items() if name not in ("rings", "codes")}
"""What an instrument has in each array that has a row an instrument."""
_SPARSE = ("episodes", "pumps", "flow", "tape", "resting", "virtual")
"""Arrays whose rows stay untouched where they are zeros."""


_MAPPED_FROM = 1 << 20
"""Bytes from which an array is mapped by itself."""
_PADDING = 8
"""Columns beyond a multiple of 64, so that the rows of a ring do not fall on the same cache sets."""


def _zeros(shape: tuple[int, ...], sparse: bool = False) -> F8:
    """Zeros whose pages take no memory until they are written. A large array is mapped by itself: the C library may
    hand out memory that was used before, and would write the zeros.

    sparse : few rows will be written, so that large pages would waste memory
    """
    size = 8 * math.prod(shape)
    if size < _MAPPED_FROM:
        return np.zeros(shape)
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if not sparse and hasattr(mmap, "MADV_HUGEPAGE"):
        pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages).reshape(shape)


def create(capacity: int = 64 + _PADDING) -> State:
    """An empty state with room for `capacity` instruments."""
    clock = np.zeros(8, dtype=np.int64)
    clock[NEWEST] = clock[SECOND] = -1
    acc = _zeros((capacity, ACCUMULATORS))
    book = _zeros((capacity, 40))
    book[:] = np.nan
    acc[:, list(_NAN_AT_BIRTH)] = np.nan
    acc[:, LAST_BUY_MS] = -1.0
    return State(
        clock=clock,
        acc=acc,
        rings=_zeros((RING_ROWS, capacity)),
        book=book,
        live=np.zeros(capacity, dtype=np.int64),
        codes=autoencoder.create_state(capacity),
        klass=np.zeros(capacity, dtype=np.int64),
        coin=np.zeros(capacity, dtype=np.int64),
        **{name: _zeros((capacity, *_SHAPES[name]), sparse=True) for name in _SPARSE},
    )


def capacity(state: State) -> int:
    """How many instruments fit."""
    return int(state.acc.shape[0])


def grow(state: State, needed: int) -> State:
    """The state with room for at least `needed` instruments, in steps."""
    if needed <= capacity(state):
        return state
    return _embed(create(_room(needed)), state._asdict(), capacity(state))


def _room(needed: int) -> int:
    """A capacity for that many instruments: steps of a quarter of a power of two, since what lies unused between the
    used parts of the rings' rows takes memory too.
    """
    step = max(64, 1 << max(needed.bit_length() - 3, 0))
    return -(-max(needed, 1) // step) * step + _PADDING


def _embed(target: State, arrays: dict[str, Any], count: int) -> State:
    """Copy the first `count` instruments of `arrays` into `target`; what is not among them stays as at birth."""
    target.clock[:] = arrays["clock"]
    for name in _SHAPES.keys() & arrays.keys():
        source = arrays[name][:count]
        if name in _SPARSE:
            used = np.flatnonzero(source.reshape(count, math.prod(source.shape[1:])).any(axis=1))
            getattr(target, name)[used] = source[used]
        else:
            getattr(target, name)[:count] = source
    if "rings" in arrays:
        target.rings[:, :count] = arrays["rings"][:, :count]
    if "codes" in arrays:
        full = autoencoder.blocks(count)
        target.codes[:full] = arrays["codes"][:full]
    return target


def gathered(places: Sequence[tuple[State, int]], clock: I8) -> State:
    """A state of the instruments at these slots of these states, in this order. clock : its own, but for COUNT"""
    state = create(_room(len(places)))
    state.clock[:] = clock
    state.clock[COUNT] = len(places)
    for slot, (source, there) in enumerate(places):
        for name in _SHAPES:
            row = getattr(source, name)[there]
            if name not in _SPARSE or row.any():
                getattr(state, name)[slot] = row
        state.rings[:, slot] = source.rings[:, there]
        block, lane = divmod(slot, autoencoder.BLOCK)
        state.codes[block, :, lane] = source.codes[there // autoencoder.BLOCK, :, there % autoencoder.BLOCK]
    return state


def dump(state: State) -> bytes:
    """The instruments in use as bytes: the clock, then the arrays of LAYOUT."""
    count = int(state.clock[COUNT])
    parts = [state.clock.tobytes()]
    parts += [np.ascontiguousarray(getattr(state, name)[:count]).tobytes() for name in _SHAPES]
    parts.append(np.ascontiguousarray(state.rings[:, :count]).tobytes())
    parts.append(state.codes[: autoencoder.blocks(count)].tobytes())
    return b"".join(parts)


def _dumped_shape(name: str, array: ArrayLayout, count: int) -> tuple[int, ...]:
    """The shape of an array in a dump of so many instruments."""
    if name == "rings":
        return (*array.shape, count)
    if name == "codes":
        return (autoencoder.blocks(count), *array.shape, autoencoder.BLOCK)
    return (count, *array.shape)


def dumped_bytes(count: int, layout: Mapping[str, ArrayLayout] = LAYOUT) -> int:
    """How long a dump of so many instruments is; ValueError where its layout is none."""
    sizes = (
        math.prod(_dumped_shape(name, array, count)) * np.dtype(array.dtype).itemsize for name, array in layout.items()
    )
    return 64 + sum(sizes)


def load(data: bytes, layout: Mapping[str, ArrayLayout] = LAYOUT) -> State:
    """The state that `dump` wrote, by this build or by one whose state is laid out otherwise; ValueError where the
    bytes do not fit.
    """
    if len(data) < 64:
        raise ValueError(f"a state has no clock: {len(data)} bytes")
    clock = np.frombuffer(data, dtype=np.int64, count=8)
    count = int(clock[COUNT])
    if count < 0 or len(data) != dumped_bytes(count, layout):
        raise ValueError(f"{len(data)} bytes are no state of {count} instruments")
    arrays: dict[str, Any] = {"clock": clock}
    position = clock.nbytes
    for name, array in layout.items():
        shape = _dumped_shape(name, array, count)
        dtype = np.dtype(array.dtype)
        arrays[name] = np.frombuffer(data, dtype=dtype, count=math.prod(shape), offset=position).reshape(shape)
        position += math.prod(shape) * dtype.itemsize
    alike = {name: arrays[name] for name, array in layout.items() if LAYOUT.get(name) == array}
    if layout.get("episodes") != LAYOUT["episodes"]:
        alike.pop("live", None)
    state = _embed(create(_room(count)), {"clock": clock, **alike}, count)
    for name in LAYOUT.keys() & arrays.keys() - alike.keys() - {"live"}:
        target = getattr(state, name)
        target = target[:, :count] if name == "rings" else target[: len(arrays[name])]
        copy(arrays[name], layout[name], target, LAYOUT[name], 0 if name == "rings" else 1)
    if "live" in arrays and "live" not in alike:
        state.live[:count] = _moved_bits(arrays["live"], layout["episodes"].axes[0])
    return state


def _moved_bits(live: I8, scenarios: Axis) -> I8:
    """`State.live` of a build with these scenarios, as this build numbers them."""
    moved = np.zeros_like(live)
    for there, here in zip(*places(scenarios, LAYOUT["episodes"].axes[0]), strict=True):
        moved |= (live >> there & 1) << here
    return moved


def tiers(state: State, slot: int) -> tuple[str, ...]:
    """The data tiers an instrument has shown so far; a scenario that rests on another one is not assessable."""
    a = state.acc[slot]
    shown = {"quotes": HAS_QUOTE, "trades": HAS_TRADE, "book": HAS_BOOK, "orders": HAS_ORDER}
    return tuple(tier for tier, field in shown.items() if a[field] > 0.0)


def bytes_per_instrument() -> int:
    """Memory of one instrument that uses all of it, bytes."""
    return 8 * (sum(math.prod(shape) for shape in _SHAPES.values()) + RING_ROWS + 2) + 4 * autoencoder.STATE_ROWS
