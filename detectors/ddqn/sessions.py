"""Trading sessions to learn in: when decisions fall, what is seen then, and the market between them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.trading.tape import BOOK, TRADE, Tape
from detectors.trading.units import Units, stacked
from detectors.trading.venues import VenueRules

F4 = npt.NDArray[np.float32]
I8 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Session:
    """One instrument from opening to close.

    ts : int64[rows], increasing; the closes of the seconds or bars that are decided on, UTC ns
    features : float32[rows, features]; a row knows nothing of its `ts` or later. NaN (not warm) is seen as 0
    tape : the instrument's market of the session; rules, units : of the instrument
    unit : quantity that one decision trades, quantity steps, whole lots
    regime : float32[rows, regimes], market regime known at each row; may have no columns
    """

    instrument: str
    ts: I8
    features: F4
    tape: Tape
    rules: VenueRules
    units: Units
    unit: int
    regime: F4 = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32))


class Tracks(NamedTuple):
    """Sessions laid end to end, for kernels.

    first, last : int64[sessions], first row and last row of each; ts : int64[rows]
    next_row : int64[rows], the tape's first row at or after each row's time, and end_row : int64[sessions], where the
    session's tape ends; begin_row : int64[sessions], where it begins
    tables, terms : int64[sessions, ...] of detectors.trading.units; unit : int64[sessions]
    """

    first: I8
    last: I8
    ts: I8
    next_row: I8
    begin_row: I8
    end_row: I8
    tape: Tape
    tables: I8
    terms: I8
    unit: I8


def laid_out(sessions: Sequence[Session]) -> Tracks:
    """The sessions as tracks; ValueError for none, for one without two rows, or whose rows do not fit together."""
    if not sessions:
        raise ValueError("no sessions")
    for session in sessions:
        _check(session)
    lengths = np.array([len(session.ts) for session in sessions])
    last = np.cumsum(lengths) - 1
    tape_ends = np.cumsum([len(session.tape.ts) for session in sessions])
    tape_begins = tape_ends - np.array([len(session.tape.ts) for session in sessions])
    next_row = [
        np.searchsorted(session.tape.ts, session.ts) + begin
        for session, begin in zip(sessions, tape_begins, strict=True)
    ]
    tables, terms = stacked([(session.rules, session.units) for session in sessions])
    return Tracks(
        first=last - lengths + 1,
        last=last,
        ts=np.concatenate([session.ts for session in sessions]),
        next_row=np.concatenate(next_row),
        begin_row=tape_begins,
        end_row=tape_ends,
        tape=_joined([session.tape for session in sessions]),
        tables=tables,
        terms=terms,
        unit=np.array([session.unit for session in sessions], dtype=np.int64),
    )


def _check(session: Session) -> None:
    rows = len(session.ts)
    if rows < 2 or np.any(np.diff(session.ts) <= 0):
        raise ValueError(f"{session.instrument}: a session needs two rows and increasing times")
    if len(session.features) != rows or (session.regime.size and len(session.regime) != rows):
        raise ValueError(f"{session.instrument}: features and regime need a row for each decision")
    if np.any(np.diff(session.tape.ts) < 0):
        raise ValueError(f"{session.instrument}: the tape goes back in time")
    if not np.any(session.tape.kind[: np.searchsorted(session.tape.ts, session.ts[0])] != TRADE):
        raise ValueError(f"{session.instrument}: nothing is quoted before the first row")


def _joined(tapes: Sequence[Tape]) -> Tape:
    """Tapes one after another, in the order given."""
    starts = np.cumsum([0] + [len(tape.books) for tape in tapes])
    values = [tape.values.copy() for tape in tapes]
    for part, tape, start in zip(values, tapes, starts, strict=False):
        part[tape.kind == BOOK, 0] += start
    return Tape(
        np.concatenate([tape.ts for tape in tapes]),
        np.concatenate([tape.kind for tape in tapes]),
        np.concatenate(values),
        np.concatenate([tape.books for tape in tapes]),
    )


def seen(sessions: Sequence[Session]) -> F4:
    """Features and regime of all rows, float32[rows, features + regimes], NaN as 0."""
    parts = [
        np.concatenate([each.features, each.regime], axis=1) if each.regime.size else each.features for each in sessions
    ]
    found: F4 = np.nan_to_num(np.concatenate(parts)).astype(np.float32)
    return found
