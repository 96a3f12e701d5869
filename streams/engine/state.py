"""The state of one market partition: arrays over instruments that kernels change in place, and their bytes for
snapshots.

Rings are time-major ([slot of second, instrument]): all instruments of a partition close a second together, so that
closing one walks through memory in order, whatever their number.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

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
"""Seconds that a ring of each kind holds."""

# Where each ring begins among the rows of `rings`.
PRICE = 0
VOLUME = PRICE + RING_PRICE
VOLUME60, COUNTS, SIGNED, OFIS, UPDATES = (VOLUME + each * RING_MINUTE for each in range(1, 6))
AMIHUD = UPDATES + RING_MINUTE
RUSHES = AMIHUD + RING_AMIHUD
ADDS, REMOVALS = RUSHES + RING_RUSH, RUSHES + RING_RUSH + RING_DEPTH
RING_ROWS = REMOVALS + RING_DEPTH

EPISODE_FIELDS = 16
SCENARIOS = 2


class State(NamedTuple):
    """Arrays of one partition; `capacity` instruments fit. See the names above for the columns.

    rings : float64[RING_ROWS, capacity], one below another: ln p (PRICE); volume, its 60 s sum, trades, signed volume,
    order flow, quote updates; Amihud, -1 without trades; rush orders; depth added and removed
    book : [capacity, 40] last bid prices, bid quantities, ask prices, ask quantities
    episodes : [capacity, SCENARIOS, EPISODE_FIELDS]
    """

    clock: I8
    acc: F8
    rings: F8
    book: F8
    episodes: F8


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
    return State(
        clock=clock,
        acc=acc,
        rings=np.zeros((RING_ROWS, capacity)),
        book=np.full((capacity, 40), np.nan),
        episodes=np.zeros((capacity, SCENARIOS, EPISODE_FIELDS)),
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
    target.rings[:, :count] = arrays["rings"][:, :count]
    return target


def dump(state: State) -> bytes:
    """The instruments in use as bytes, in a fixed order of arrays."""
    count = int(state.clock[COUNT])
    parts = [state.clock.tobytes()]
    parts += [np.ascontiguousarray(getattr(state, name)[:count]).tobytes() for name in ("acc", "book", "episodes")]
    parts.append(np.ascontiguousarray(state.rings[:, :count]).tobytes())
    return b"".join(parts)


def load(data: bytes) -> State:
    """The state that `dump` wrote; ValueError where the bytes do not fit."""
    clock = np.frombuffer(data, dtype=np.int64, count=8)
    count = int(clock[COUNT])
    shapes: dict[str, tuple[int, ...]] = {
        "acc": (count, ACCUMULATORS),
        "book": (count, 40),
        "episodes": (count, SCENARIOS, EPISODE_FIELDS),
        "rings": (RING_ROWS, count),
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
    return 8 * (ACCUMULATORS + 40 + SCENARIOS * EPISODE_FIELDS + RING_ROWS)
