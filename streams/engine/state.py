"""The state of one market partition: arrays over instruments that kernels change in place, and their bytes for
snapshots.

Rings are time-major ([slot of second, instrument]): all instruments of a partition close a second together, so that
closing one walks through memory in order, whatever their number.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tapewatch.kernels import borrowed, inlined

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]
U1 = npt.NDArray[np.uint8]

# clock: int64[8]
NEWEST, SECOND, COUNT, PHASE, SEALED = 0, 1, 2, 3, 4
"""Fields of `clock`: newest ts_recv (ns), the second being filled, instruments in use, partition phase, seconds sealed
so far.
"""

PRE, ACTIVE, HALTED, CLOSED, IN_AUCTION = 0, 1, 2, 3, 4
"""Phases of an instrument; only an active one (auctions too) closes seconds."""

# accumulators: float64[instrument, ACCUMULATORS]
(
    BID, BID_QTY, ASK, ASK_QTY, LAST, CUM_VOLUME, HAS_QUOTE, HAS_TRADE, HAS_BOOK,
    VOL, CNT, SGN, NOTIONAL, RUSH, LAST_BUY_MS, OFI, QUOTES, ADDED, REMOVED, SOLD_SINCE, BOUGHT_SINCE,
    BID5, ASK5, BID10, ASK10,
    VOL60, CNT60, SGN60, OFI10, OFI60, QTS60, RUSH25, ADD10, REM10, R2_60, R2_300, AMI_SUM, AMI_N,
    EWMA_R2, M_VOL, V_VOL, M_CNT, V_CNT, M_SGN, V_SGN, M_SPREAD,
    SES_NOTIONAL, SES_VOLUME, SES_HIGH, SES_LOW,
    BAR_OPEN, BAR_HIGH, BAR_LOW, BAR_CLOSE, BAR_VOLUME, BAR_TRADES, BAR_PREV_CLOSE, BAR_PREV_VOLUME,
    AGE, PHASE_OF, HALTED_SINCE, BASE_VOLUME, BASE_RUSH, BASE_R2, VOL25, SGN25, COVER_FROM,
) = range(67)  # fmt: skip
ACCUMULATORS = 72

RING_PRICE, RING_MINUTE, RING_AMIHUD, RING_RUSH, RING_DEPTH = 901, 61, 301, 26, 11
EPISODE_FIELDS = 16
SCENARIOS = 2


class State(NamedTuple):
    """Arrays of one partition; `capacity` instruments fit. See the names above for the columns.

    price : float64[901, capacity] ln p; volume, volume60, count, signed, ofi, quotes : [61, capacity]; amihud : [301,
    capacity], -1 without trades; rush : [26, capacity]; added, removed : [11, capacity]; book : [capacity, 40] last bid
    prices, bid quantities, ask prices, ask quantities; episodes : [capacity, SCENARIOS, EPISODE_FIELDS]
    """

    clock: I8
    acc: F8
    price: F8
    volume: F8
    volume60: F8
    count: F8  # type: ignore[assignment]  # hides tuple.count, which nobody calls
    signed: F8
    ofi: F8
    quotes: F8
    amihud: F8
    rush: F8
    added: F8
    removed: F8
    book: F8
    episodes: F8


_RING_ROWS = {
    "price": RING_PRICE,
    "volume": RING_MINUTE,
    "volume60": RING_MINUTE,
    "count": RING_MINUTE,
    "signed": RING_MINUTE,
    "ofi": RING_MINUTE,
    "quotes": RING_MINUTE,
    "amihud": RING_AMIHUD,
    "rush": RING_RUSH,
    "added": RING_DEPTH,
    "removed": RING_DEPTH,
}
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
)


_PADDING = 8
"""Columns beyond a power of two, so that the rows of a ring do not fall on the same cache sets."""


def create(capacity: int = 64 + _PADDING) -> State:
    """An empty state with room for `capacity` instruments."""
    clock = np.zeros(8, dtype=np.int64)
    clock[NEWEST] = clock[SECOND] = -1
    acc = np.zeros((capacity, ACCUMULATORS))
    acc[:, list(_NAN_AT_BIRTH)] = np.nan
    acc[:, LAST_BUY_MS] = -1.0
    rings = {name: np.zeros((rows, capacity)) for name, rows in _RING_ROWS.items()}
    return State(
        clock=clock,
        acc=acc,
        book=np.full((capacity, 40), np.nan),
        episodes=np.zeros((capacity, SCENARIOS, EPISODE_FIELDS)),
        **rings,
    )


@inlined
def borrow(state: State) -> State:
    """The same arrays without reference counts: inside a kernel's loop these would cost more than the arithmetic.

    Only for the time of a call whose caller holds the arrays.
    """
    return State(
        borrowed(state.clock),
        borrowed(state.acc),
        borrowed(state.price),
        borrowed(state.volume),
        borrowed(state.volume60),
        borrowed(state.count),
        borrowed(state.signed),
        borrowed(state.ofi),
        borrowed(state.quotes),
        borrowed(state.amihud),
        borrowed(state.rush),
        borrowed(state.added),
        borrowed(state.removed),
        borrowed(state.book),
        borrowed(state.episodes),
    )


def capacity(state: State) -> int:
    """How many instruments fit."""
    return int(state.acc.shape[0])


def grow(state: State, needed: int) -> State:
    """The state with room for at least `needed` instruments (doubling)."""
    room = capacity(state)
    if needed <= room:
        return state
    while room < needed:
        room = 2 * (room - _PADDING) + _PADDING
    return _embed(create(room), state._asdict(), capacity(state))


def _embed(target: State, arrays: dict[str, Any], count: int) -> State:
    """Copy the first `count` instruments of `arrays` into `target`."""
    target.clock[:] = arrays["clock"]
    for name in ("acc", "book", "episodes"):
        getattr(target, name)[:count] = arrays[name][:count]
    for name in _RING_ROWS:
        getattr(target, name)[:, :count] = arrays[name][:, :count]
    return target


def dump(state: State) -> bytes:
    """The instruments in use as bytes, in a fixed order of arrays."""
    count = int(state.clock[COUNT])
    parts = [state.clock.tobytes()]
    parts += [np.ascontiguousarray(getattr(state, name)[:count]).tobytes() for name in ("acc", "book", "episodes")]
    parts += [np.ascontiguousarray(getattr(state, name)[:, :count]).tobytes() for name in _RING_ROWS]
    return b"".join(parts)


def load(data: bytes) -> State:
    """The state that `dump` wrote; ValueError where the bytes do not fit."""
    clock = np.frombuffer(data, dtype=np.int64, count=8)
    count = int(clock[COUNT])
    shapes: dict[str, tuple[int, ...]] = {
        "acc": (count, ACCUMULATORS),
        "book": (count, 40),
        "episodes": (count, SCENARIOS, EPISODE_FIELDS),
        **{name: (rows, count) for name, rows in _RING_ROWS.items()},
    }
    arrays: dict[str, Any] = {"clock": clock}
    position = clock.nbytes
    for name, shape in shapes.items():
        size = int(np.prod(shape))
        arrays[name] = np.frombuffer(data, dtype=np.float64, count=size, offset=position).reshape(shape)
        position += size * 8
    if position != len(data):
        raise ValueError(f"a state of {count} instruments has {position} bytes, not {len(data)}")
    room = 64 + _PADDING
    while room < count:
        room = 2 * (room - _PADDING) + _PADDING
    return _embed(create(room), arrays, count)


def bytes_per_instrument() -> int:
    """Memory of one instrument, bytes."""
    return 8 * (ACCUMULATORS + 40 + SCENARIOS * EPISODE_FIELDS + sum(_RING_ROWS.values()))
