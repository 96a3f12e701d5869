"""A market in Parquet files, run through the engine: scores of every second, features, and the alerts that opened."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from streams.driver import Driver, table
from streams.engine.task import OutputRecord
from tapewatch.clock import NANOS
from tapewatch.contract import frames, messages, topics
from tapewatch.contract.instruments import Instrument, is_instrument_id
from tapewatch.contract.messages import Alert
from tapewatch.contract.rows import OPTIONAL, REQUIRED, Column, Rows, RowType, numpy_dtype
from tapewatch.errors import TapewatchError
from tapewatch.market_log.registry import FixedRegistry

FILES = {RowType.TRADE: "trades.parquet", RowType.QUOTE: "quotes.parquet", RowType.BOOK: "books.parquet"}
FLUSH_NS = 20_000_000
"""Rows of 20 ms form one flush (trades, then quotes, then books), as a live writer sends them."""


@dataclass(frozen=True, slots=True)
class MarketRun:
    """What the engine said about a market.

    scores : detector -> columns `instrument`, `second` (UTC s, the second that was scored), `raw` and `probability`
    (NaN throughout where the detector is not calibrated), in log order
    features : columns of the features topic
    spans : instrument -> UTC seconds of its first and last row; before and after, nothing was there to watch
    alerts : those that opened; refused : rows refused, by reason
    """

    instruments: tuple[str, ...]
    scores: dict[str, dict[str, Column]]
    features: dict[str, Column]
    spans: dict[str, tuple[int, int]]
    alerts: list[Alert]
    refused: dict[str, int]
    configuration: str
    models: dict[str, str]
    build: str


def read_market(folder: Path) -> list[Rows]:
    """Rows of the files that are there, each type in receipt order. TapewatchError where none is."""
    found = [_read(folder / name, row_type) for row_type, name in FILES.items() if (folder / name).is_file()]
    if not any(len(rows) for rows in found):
        raise TapewatchError(
            f"{folder} holds no rows", "Name a folder with " + ", ".join(sorted(FILES.values())) + " (any of them)."
        )
    return [rows for rows in found if len(rows)]


def _read(path: Path, row_type: RowType) -> Rows:
    try:
        whole = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise TapewatchError(f"{path} cannot be read: {error}", "Write it with the columns of the contract.") from error
    missing = [name for name, _ in REQUIRED[row_type] if name not in whole.column_names]
    if missing:
        raise TapewatchError(f"{path} has no column {missing[0]}", "docs/wire-contract.md names the columns.")
    ids = pc.dictionary_encode(whole["instrument"].cast(pa.utf8())).combine_chunks()
    columns: dict[str, Column] = {"instrument": ids.indices.to_numpy(zero_copy_only=False).astype(np.int32)}
    for name, kind in (*REQUIRED[row_type][1:], *OPTIONAL[row_type]):
        if name in whole.column_names:
            columns[name] = _column(whole[name], kind)
    order = np.argsort(columns["ts_recv"], kind="stable")
    return Rows(row_type, tuple(ids.dictionary.to_pylist()), columns).take(order)


def _column(column: pa.ChunkedArray, kind: pa.DataType) -> Column:
    if pa.types.is_fixed_size_list(kind):
        lists = column.combine_chunks()
        flat = pc.list_flatten(lists.cast(pa.list_(pa.float64()))).to_numpy(zero_copy_only=False)
        return np.asarray(flat, dtype=np.float64).reshape(len(lists), kind.list_size)
    if pa.types.is_timestamp(kind):
        return np.asarray(column.cast(kind).cast(pa.int64()))
    return np.asarray(column.cast(kind).to_numpy(), dtype=numpy_dtype(kind))


def run_market(rows: Sequence[Rows], driver: Driver | None = None) -> MarketRun:
    """Everything through one partition of the brokerless driver, a heartbeat at every second."""
    ids = sorted({text for part in rows for text in np.asarray(part.instruments)[_codes(part)]})
    unknown = [text for text in ids if not is_instrument_id(text)]
    if unknown:
        raise TapewatchError(f"{unknown[0]!r} is not an instrument id", "Ids are SYMBOL.VENUE in capitals.")
    driver = driver or Driver(FixedRegistry([Instrument(id=text) for text in ids]))
    taken: list[OutputRecord] = []
    second = -1
    for begin, part in _flushes(rows):
        for beat in range(second + 1 if second >= 0 else begin, begin + 1):
            driver.heartbeat(beat)
            taken += driver.task.take()
        second = begin
        driver.send(part)
    driver.heartbeat(second + 1)
    taken += driver.task.take()
    return _collected(_spans(rows), driver, taken)


def _spans(rows: Sequence[Rows]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for part in rows:
        for code in _codes(part).tolist():
            own = part.ts_recv[part.columns["instrument"] == code] // NANOS
            first, last = found.get(part.instruments[code], (2**62, 0))
            found[part.instruments[code]] = min(first, int(own.min())), max(last, int(own.max()))
    return dict(sorted(found.items()))


def _codes(rows: Rows) -> npt.NDArray[np.int32]:
    return np.unique(rows.columns["instrument"])


def _flushes(rows: Sequence[Rows]) -> list[tuple[int, Rows]]:
    """(second, rows of one type and flush) in the order of the log."""
    kinds = np.concatenate([np.full(len(part), place) for place, part in enumerate(rows)])
    types = np.array([int(part.type) for part in rows])
    flush = np.concatenate([part.ts_recv for part in rows]) // FLUSH_NS
    within = np.concatenate([np.arange(len(part)) for part in rows])
    order = np.lexsort((within, types[kinds], flush))
    kinds, flush, within = kinds[order], flush[order], within[order]
    starts = np.flatnonzero((np.diff(kinds, prepend=-1) != 0) | (np.diff(flush, prepend=-1) != 0))
    stops = np.append(starts[1:], len(order))
    a_second = NANOS // FLUSH_NS
    return [
        (int(flush[low]) // a_second, rows[kinds[low]].take(slice(int(within[low]), int(within[high - 1]) + 1)))
        for low, high in zip(starts.tolist(), stops.tolist(), strict=True)
    ]


def _collected(spans: dict[str, tuple[int, int]], driver: Driver, taken: list[OutputRecord]) -> MarketRun:
    by_topic: dict[str, list[OutputRecord]] = {}
    for record in taken:
        by_topic.setdefault(record.topic, []).append(record)
    alerts = [messages.decode(Alert, record.value) for record in by_topic.get(topics.ALERTS, ())]
    task = driver.task
    return MarketRun(
        instruments=tuple(spans),
        scores=_scores(by_topic.get(topics.SCORES, [])),
        features=table(by_topic.get(topics.FEATURES, []), "features"),
        spans=spans,
        alerts=[alert for alert in alerts if alert.revision == 0],
        refused=dict(task.tally.refused),
        configuration=task.force.config_hash,
        models=dict(task.force.models),
        build=task.build,
    )


def _scores(records: list[OutputRecord]) -> dict[str, dict[str, Column]]:
    """Scores by the detector's name, which the frames' metadata gives for its number."""
    columns: dict[str, Any] = table(records, "scores")
    if not columns:
        return {}
    names: list[str] = next(
        (
            text.decode().split(",")
            for record in records
            if dict(record.headers).get("type") == b"scores"
            and (text := (frames.read_stream(record.value).schema.metadata or {}).get(b"tapewatch.detectors"))
        ),
        [],
    )
    found = {}
    for number, name in enumerate(names):
        own = columns["detector"] == number
        if not own.any():
            continue
        found[name] = {
            "instrument": columns["instrument"][own],
            "second": columns["ts"][own] // NANOS - 1,
            "raw": columns["raw"][own].astype(np.float64),
            "probability": columns["probability"][own].astype(np.float64),
        }
    return found
