"""Sessions to trade in, from a market's rows: features as the engine has them, and the tape that orders meet."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.ddqn.sessions import Session
from detectors.trading.state import LEVELS
from detectors.trading.tape import BOOK, TRADE, Tape, merged
from detectors.trading.units import LOT
from streams.driver import run_source, table
from streams.paper.instrument_states import InstrumentTable
from tapewatch.contract import topics
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import RowSource, RowType

F4 = npt.NDArray[np.float32]

_KEYS = ("instrument", "ts", "offset")
_TRADED = (RowType.TRADE, RowType.QUOTE, RowType.BOOK)


def sessions_of(source: RowSource, unit_value: float, names: Sequence[str] = (), warm_s: int = 60) -> list[Session]:
    """One session an instrument of a source whose chunks are seconds, features through the brokerless driver."""
    driver = None
    for used, _ in run_source(source):
        driver = used
    features = table(driver.collect().get(topics.FEATURES, []), "features") if driver else {}
    return sessions_with(features, source, unit_value, names, warm_s)


def sessions_with(
    features: Mapping[str, Any], source: RowSource, unit_value: float, names: Sequence[str] = (), warm_s: int = 60
) -> list[Session]:
    """One session an instrument of a source, with features had before.

    features : columns of the topic `features`, as `streams.driver.table` gives them
    unit_value : what a unit is worth at the first quote, in the instrument's currency; rounded to lots, at least one
    names : columns of the topic `features`, all of them by default; warm_s : seconds of features left out at the start
    An instrument without two rows of features after its first quote is left out.
    """
    chosen = tuple(names) or tuple(name for name in features if name not in _KEYS)
    lanes, tapes = tapes_of(source, {instrument.id: instrument for instrument in source.instruments})
    found = [_session(lanes, lane, tape, features, chosen, unit_value, warm_s) for lane, tape in enumerate(tapes)]
    return [session for session in found if session is not None]


def tapes_of(source: RowSource, reference: Mapping[str, Instrument]) -> tuple[InstrumentTable, list[Tape]]:
    """The source's trades, quotes and books: lanes with units and rules of each instrument, and each one's tape."""
    lanes = InstrumentTable()
    parts: list[list[Tape]] = []
    for chunk in source.chunks():
        for rows in chunk.rows:
            if rows.type not in _TRADED or not len(rows):
                continue
            tape, lane_of = lanes.tape_of(rows, reference)
            parts += [[] for _ in range(len(lanes.ids) - len(parts))]
            for lane in np.unique(lane_of).tolist():
                parts[lane].append(taken(tape, lane_of == lane))
    return lanes, [merged(*each) for each in parts]


def taken(tape: Tape, which: npt.NDArray[np.bool_]) -> Tape:
    """The rows `which` of a tape, with their books only."""
    values, kind = tape.values[which], tape.kind[which]
    booked = kind == BOOK
    books = tape.books[values[booked, 0]]
    values[booked, 0] = np.arange(len(books))
    return Tape(tape.ts[which], kind, values, books)


def _session(
    lanes: InstrumentTable,
    lane: int,
    tape: Tape,
    features: Mapping[str, Any],
    names: Sequence[str],
    unit_value: float,
    warm_s: int,
) -> Session | None:
    """One instrument's session; None where it has too few rows."""
    quoted = np.flatnonzero(tape.kind != TRADE)
    mine = np.flatnonzero(features["instrument"] == lanes.ids[lane]) if features else np.zeros(0, dtype=np.int64)
    mine = mine[warm_s:]
    if len(quoted) == 0 or len(mine) == 0:
        return None
    ts = features["ts"][mine]
    later = ts > tape.ts[quoted[0]]
    if later.sum() < 2:
        return None
    first = tape.values[quoted[0]]
    top = tape.books[first[0]][[0, 2 * LEVELS]] if tape.kind[quoted[0]] == BOOK else first[[0, 2]]
    price = int(top.max())
    lot = int(lanes.terms[lane, LOT])
    wanted = lanes.units[lane].money_steps(unit_value) // max(1, price) // lot * lot
    columns = np.stack([features[name][mine][later] for name in names], axis=1).astype(np.float32)
    return Session(
        lanes.ids[lane], ts[later], columns, tape, lanes.rules[lane], lanes.units[lane], max(lot, wanted)
    )  # fmt: skip
