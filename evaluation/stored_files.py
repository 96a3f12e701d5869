"""A market stored as files: Parquet in the contract's columns, or raw-trade streams of coins; as frames, without Kafka.

Rows are merged by ts_recv, then row type, as a replay merges them, and idle stretches get heartbeats.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from evaluation.history_features import Partition, Record, Span
from evaluation.pump_streams import read_streams
from streams.driver import FOREVER_NS
from streams.engine.build import build_hash
from streams.engine.models import ActiveModels
from streams.engine.task import Task
from tapewatch.clock import NANOS
from tapewatch.contract import frames
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.instruments import Instrument, is_instrument_id
from tapewatch.contract.rows import CONTRACT_VERSION, REQUIRED, Rows, RowType, heartbeat_rows
from tapewatch.errors import TapewatchError
from tapewatch.market_log.registry import FixedRegistry

I8 = npt.NDArray[np.int64]

BEAT_S = 4
"""Idle stretches get a heartbeat this often: the engine takes more than five seconds for silence."""
_FRAME_ROWS = 1024
_STEP_NS = 600 * NANOS
"""Log time that is read at once."""
_TIME = pa.timestamp("ns", tz="UTC")


class FileHistory:
    """A folder of Parquet files, one row type a file, as one partition; or of raw-trade streams, one partition each."""

    def __init__(self, folder: Path) -> None:
        paths = sorted(folder.glob("*.parquet"))
        self.where = str(folder)
        self._sources: list[_Parquet | _LoadedRows] = (
            [_Parquet(folder.name or "files", [_File(path) for path in paths])]
            if paths
            else [_LoadedRows(stream.name, stream.rows) for stream in read_streams(folder)]
        )

    @property
    def extent(self) -> tuple[int, int]:
        """First and last ts_recv of all files, UTC ns."""
        return min(each.extent[0] for each in self._sources), max(each.extent[1] for each in self._sources)

    def partitions(self, span: Span) -> Sequence[Partition]:
        """Those with rows in the span."""
        inside = [each for each in self._sources if each.extent[0] < span.end_ns and each.extent[1] >= span.start_ns]
        if not inside:
            raise TapewatchError(
                f"{self.where} has no row in the span", "Its rows lie elsewhere in time: leave --from and --to out."
            )
        return [FilePartition(each, span) for each in inside]

    def kind(self, instrument: str) -> str:
        """Unknown: files hold no reference data."""
        return ""

    def close(self) -> None:
        """Nothing is held."""


class FilePartition:
    """The rows of one source from the span's warm-up on."""

    def __init__(self, source: "_Parquet | _LoadedRows", span: Span) -> None:
        self.name = source.name
        self._source = source
        self._start = max(span.start_ns - int(span.warm_up_s * NANOS), source.extent[0])
        self._end = min(span.end_ns, source.extent[1] + 1)
        ahead = max(span.start_ns - self._start, 0) / NANOS
        self.begin = f"without state, {ahead:,.0f} s before the span"
        self._registry = FixedRegistry([Instrument(name) for name in source.instruments])

    def task(self, force: ActiveModels) -> Task:
        """A new task."""
        return Task("market.files", 0, self._registry, force, build_hash())

    def records(self) -> Iterator[Record]:
        """Frames over the rows, and heartbeats where nothing came."""
        offset, previous = 0, -1
        for start in range(self._start, self._end, _STEP_NS):
            for rows in framed(self._source.read(start, min(start + _STEP_NS, self._end)), previous):
                previous = int(rows.ts_recv[-1]) // NANOS
                yield _record(rows, offset)
                offset += 1
        if previous >= 0:
            yield _record(heartbeat_rows(np.full(1, (previous + 1) * NANOS, dtype=np.int64)), offset)


def _record(rows: Rows, offset: int) -> Record:
    headers = FrameHeaders(rows.type.label, "files", 0, offset, 0).to_kafka()
    return Record(offset, frames.encode(rows), headers, FOREVER_NS)


def framed(parts: Sequence[Rows], previous: int) -> Iterator[Rows]:
    """Runs of one type in the order (ts_recv, row type), and heartbeats over idle stretches.

    parts : each in receipt order, at most one a type; previous : UTC second of the row before, -1 for none
    """
    kept = sorted((part for part in parts if len(part)), key=lambda part: part.type)
    if not kept:
        return
    times = np.concatenate([part.ts_recv for part in kept])
    kinds = np.concatenate([np.full(len(part), index) for index, part in enumerate(kept)])
    order = np.lexsort((kinds, times))
    ordered, seconds = kinds[order], times[order] // NANOS
    before = np.concatenate(([previous if previous >= 0 else seconds[0]], seconds[:-1]))
    idle = seconds - before > BEAT_S
    starts = np.flatnonzero((np.diff(ordered, prepend=-1) != 0) | idle)
    taken = [0] * len(kept)
    for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), len(order)], strict=True):
        if idle[start]:
            yield from _beats(int(before[start]) + 1, int(seconds[start]))
        kind = int(ordered[start])
        first = taken[kind]
        taken[kind] += stop - start
        for cut in range(first, taken[kind], _FRAME_ROWS):
            yield kept[kind].take(slice(cut, min(cut + _FRAME_ROWS, taken[kind])))


def _beats(start: int, stop: int) -> Iterator[Rows]:
    """Heartbeats from one UTC second to before another, in frames."""
    beats = np.arange(start, stop, BEAT_S, dtype=np.int64) * NANOS
    for cut in range(0, len(beats), _FRAME_ROWS):
        yield heartbeat_rows(beats[cut : cut + _FRAME_ROWS])


class _LoadedRows:
    """Rows of one type that are held in memory."""

    def __init__(self, name: str, rows: Rows) -> None:
        self.name, self._rows = name, rows
        self.instruments: Sequence[str] = rows.instruments
        self.extent = int(rows.ts_recv[0]), int(rows.ts_recv[-1])

    def read(self, start_ns: int, end_ns: int) -> list[Rows]:
        """The rows with start_ns <= ts_recv < end_ns."""
        low, high = np.searchsorted(self._rows.ts_recv, [start_ns, end_ns])
        return [self._rows.take(slice(int(low), int(high)))]


class _Parquet:
    """Files of one market, one row type each (two of one type are joined)."""

    def __init__(self, name: str, files: "Sequence[_File]") -> None:
        self.name, self._files = name, files
        self.instruments: Sequence[str] = sorted({one for file in files for one in file.instruments})
        extents = [file.extent for file in files]
        self.extent = min(low for low, _ in extents), max(high for _, high in extents)

    def read(self, start_ns: int, end_ns: int) -> list[Rows]:
        """The rows with start_ns <= ts_recv < end_ns, one `Rows` a type, in receipt order."""
        tables: dict[RowType, list[pa.Table]] = {}
        for file in self._files:
            tables.setdefault(file.type, []).append(file.read(start_ns, end_ns))
        joined = ((kind, pa.concat_tables(parts, promote_options="permissive")) for kind, parts in tables.items())
        return [rows for kind, table in joined for rows in _rows(kind, table, self.instruments)]


class _File:
    """One Parquet file of rows of one type."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            schema = pq.read_schema(path)
            self.type = _row_type(schema, path)
            self._times = schema.field("ts_recv").type
            times = pq.read_table(path, columns=["ts_recv"])["ts_recv"]
            names = pq.read_table(path, columns=["instrument"])["instrument"].cast(pa.string())
            self.instruments = [name for name in pc.unique(names).to_pylist() if is_instrument_id(str(name))]
            ends = pc.min_max(times.cast(_TIME).cast(pa.int64()))
            self.extent = int(ends["min"].as_py()), int(ends["max"].as_py())
        except (OSError, KeyError, TypeError, pa.ArrowException) as error:
            raise TapewatchError(
                f"{path} cannot be read: {error}", "Give Parquet files in the columns of docs/wire-contract.md."
            ) from error

    def read(self, start_ns: int, end_ns: int) -> pa.Table:
        """The rows with start_ns <= ts_recv < end_ns; row groups beside them are not read."""
        low, high = (pa.scalar(ns, pa.int64()).cast(_TIME).cast(self._times) for ns in (start_ns, end_ns))
        return pq.read_table(self.path, filters=(pc.field("ts_recv") >= low) & (pc.field("ts_recv") < high))


def _row_type(schema: pa.Schema, path: Path) -> RowType:
    """The row type whose required columns are all there."""
    names = set(schema.names)
    found = [kind for kind in RowType if names >= {column for column, _ in REQUIRED[kind]}]
    if len(found) != 1:
        raise TapewatchError(f"{path} has no row type's columns", "Write the columns of docs/wire-contract.md.")
    return found[0]


def _rows(kind: RowType, table: pa.Table, instruments: Sequence[str]) -> Iterator[Rows]:
    """A table as rows in receipt order; absent prices may be null."""
    if not table.num_rows:
        return
    columns: dict[str, Any] = {}
    for name in table.column_names:
        column = table[name]
        columns[name] = pc.fill_null(column, float("nan")) if pa.types.is_floating(column.type) else column
    table = pa.table(columns).sort_by("ts_recv").combine_chunks()
    table = table.replace_schema_metadata({"tapewatch.type": kind.label, "tapewatch.version": CONTRACT_VERSION})
    table = table.set_column(
        table.column_names.index("instrument"), "instrument", table["instrument"].cast(pa.string())
    )
    parts = [frames.to_rows(frames.write_stream(batch)) for batch in table.to_batches(max_chunksize=frames.MAX_ROWS)]
    place = {name: code for code, name in enumerate(instruments)}
    for part in parts:
        codes = np.array([place.get(name, -1) for name in part.instruments], dtype=np.int32)
        part.columns["instrument"] = codes[part.columns["instrument"]]
    joined = {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns}
    known = joined["instrument"] >= 0
    yield Rows(kind, instruments, {name: values[known] for name, values in joined.items()})
