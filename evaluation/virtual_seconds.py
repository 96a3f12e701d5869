"""Closed seconds of a market to learn in: the engine's features through the brokerless driver, with each second's
quotes.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.ddqn.seconds import Seconds, joined, session_of
from streams.driver import run_source, table
from streams.engine.features import NAMES
from streams.paper.instrument_states import instrument_rules
from tapewatch.clock import NANOS
from tapewatch.contract import topics
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import Chunk, Rows, RowSource, RowType

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]
Quoted = tuple[I8, F8, F8]
"""Receipt times (UTC ns, increasing), best bids and asks."""

_DRAIN_CHUNKS = 120
_PPM = 1e-6
WITHOUT: Quoted = (np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0))


class _RecordingSource:
    """A source whose quotes are kept while it is read, cut into chunks of a second."""

    def __init__(self, source: RowSource) -> None:
        self._source = source
        self.fingerprint = source.fingerprint
        self.instruments = source.instruments
        self._parts: dict[str, list[Quoted]] = {}

    def chunks(self) -> Iterator[Chunk]:
        for chunk in self._source.chunks():
            for rows in chunk.rows:
                if rows.type in (RowType.QUOTE, RowType.BOOK) and len(rows):
                    self._keep(rows)
            yield from by_second(chunk)

    def _keep(self, rows: Rows) -> None:
        bid, ask = rows.columns["bid_price"], rows.columns["ask_price"]
        if rows.type is RowType.BOOK:
            bid, ask = bid[:, 0], ask[:, 0]
        codes = rows.columns["instrument"]
        for code in np.unique(codes).tolist():
            mine = codes == code
            kept = self._parts.setdefault(rows.instruments[code], [])
            kept.append((rows.ts_recv[mine].copy(), bid[mine].copy(), ask[mine].copy()))

    def quotes(self, instrument: str) -> Quoted:
        """All quotes of an instrument so far, in order of receipt."""
        parts = self._parts.get(instrument)
        if not parts:
            return WITHOUT
        ts, bid, ask = (np.concatenate([part[k] for part in parts]) for k in range(3))
        order = np.argsort(ts, kind="stable")
        return ts[order], bid[order], ask[order]


def by_second(chunk: Chunk) -> Iterator[Chunk]:
    """The chunk cut at every whole second in which it has rows."""
    present = [rows for rows in chunk.rows if len(rows)]
    if not present:
        yield chunk
        return
    seconds = np.unique(np.concatenate([np.unique(rows.ts_recv // NANOS) for rows in present]))
    if len(seconds) < 2:
        yield chunk
        return
    for second in seconds:
        parts = [rows.take(rows.ts_recv // NANOS == second) for rows in present]
        yield Chunk(int(second + 1) * NANOS, parts)


def seconds_of(source: RowSource, names: Sequence[str] = NAMES, hours: bool = False, warm_s: int = 60) -> Seconds:
    """All instruments of a source, a session each. ValueError where there is no row.

    names : features to keep; hours : every second session counts as one whose end is known
    warm_s : seconds of each session in which nothing may be placed
    """
    watched, last = _RecordingSource(source), None
    parts: list[dict[str, npt.NDArray[Any]]] = []
    for count, (driver, _) in enumerate(run_source(watched), start=1):
        last = driver
        if count % _DRAIN_CHUNKS == 0:
            _take(driver.task.take(), parts)
    if last is not None:
        _take(last.task.take(), parts)
    if not parts:
        raise ValueError("the market has no closed second")
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    sessions = []
    for number, instrument in enumerate(source.instruments):
        mine = np.flatnonzero(columns["instrument"] == instrument.id)
        if len(mine) >= 2:
            rows = {name: column[mine] for name, column in columns.items()}
            has_hours = hours and number % 2 == 1
            sessions.append(_session(instrument, rows, watched.quotes(instrument.id), names, has_hours, warm_s))
    return joined(sessions)


def _take(records: Sequence[Any], parts: list[dict[str, npt.NDArray[Any]]]) -> None:
    found = table([record for record in records if record.topic == topics.FEATURES], "features")
    if found:
        parts.append(found)


def _session(
    instrument: Instrument,
    rows: Mapping[str, npt.NDArray[Any]],
    quoted: Quoted,
    names: Sequence[str],
    has_hours: bool,
    warm_s: int,
) -> Seconds:
    second = rows["ts"] // NANOS - 1
    venue = instrument_rules(instrument)
    return session_of(
        instrument.id,
        names,
        np.stack([rows[name] for name in names], axis=1).astype(np.float32),
        second,
        quotes_at(second, quoted),
        (venue.taker_ppm * _PPM, (venue.taker_ppm + venue.sell_tax_ppm) * _PPM),
        (rows["ret_300s"].astype(np.float64), rows["rv_300s"].astype(np.float64)),
        has_hours,
        warm_s,
    )


def quotes_at(second: I8, quoted: Quoted) -> F8:
    """Of each second the first two-sided quote within it, and the quote that stands at its close, NaN without one.

    float64[rows, 4]: bid and ask of both.
    """
    ts, bid, ask = quoted
    found = np.full((len(second), 4), np.nan)
    close = (second + 1) * NANOS
    at = np.searchsorted(ts, close) - 1
    stands = at >= 0
    found[stands, 2], found[stands, 3] = bid[at[stands]], ask[at[stands]]
    both = (bid > 0.0) & (ask > 0.0)
    times, bids, asks = ts[both], bid[both], ask[both]
    first = np.searchsorted(times, second * NANOS)
    within = first < len(times)
    within[within] = times[first[within]] < close[within]
    found[within, 0], found[within, 1] = bids[first[within]], asks[first[within]]
    return found
