"""Parquet files in the contract's columns, one row type a file, sorted by ts_recv; read row group by row group."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from producers.recordings.options import RecordingOptions
from producers.recordings.report import RecordingReport
from producers.recordings.series import Blocks, Head, Series
from tapewatch.contract.instruments import Instrument, is_instrument_id
from tapewatch.contract.rows import BOOK_LEVELS, OPTIONAL, REQUIRED, Column, Rows, RowType, numpy_dtype
from tapewatch.errors import TapewatchError

name = "parquet"

MAGIC = b"PAR1"
_NAMES = {
    "trade": RowType.TRADE,
    "quote": RowType.QUOTE,
    "book": RowType.BOOK,
    "order": RowType.ORDER,
    "bar": RowType.BAR,
    "status": RowType.STATUS,
}


class ParquetFile:
    """One file of one row type."""

    def __init__(self, head: Head, options: RecordingOptions) -> None:
        self.paths = [head.path]
        self._path = head.path
        self._batch = options.chunk_rows
        names = _column_names(head)
        self._type = _row_type(head, names)
        self._kinds = [*REQUIRED[self._type], *(pair for pair in OPTIONAL[self._type] if pair[0] in names)]
        self._ids: list[str] | None = None

    @property
    def identity(self) -> str:
        """Kind and row type."""
        return f"{name} {self._type.label}"

    @property
    def instruments(self) -> Sequence[Instrument]:
        """Every well-formed instrument id in the file, whose instrument column is read once for it."""
        if self._ids is None:
            found: set[str] = set()
            with _as_our_error(self._path):
                for batch in self._batches(["instrument"]):
                    found.update(str(text) for text in pc.unique(_texts(batch.column(0))).to_pylist())
            self._ids = sorted(text for text in found if is_instrument_id(text))
        return [Instrument(id=text, name=text.partition(".")[0]) for text in self._ids]

    def blocks(self, report: RecordingReport) -> Blocks:
        """Rows as they lie; a row with a null in a required column is refused, unsorted rows are an error."""
        newest = 0
        done = 0
        batches = self._batches([column for column, _ in self._kinds])
        while True:
            with _as_our_error(self._path):
                batch = next(batches, None)
            if batch is None:
                return
            report.lines += batch.num_rows
            report.records[self._type.label] += batch.num_rows
            with _as_our_error(self._path):
                rows = self._rows(batch, done, report)
            done += batch.num_rows
            if not len(rows):
                continue
            times = rows.ts_recv
            if times[0] < newest or np.any(times[1:] < times[:-1]):
                raise TapewatchError(
                    f"{self._path} is not sorted by ts_recv", "Sort its rows by ts_recv and write it again."
                )
            newest = int(times[-1])
            yield [rows]

    def _batches(self, columns: list[str]) -> Iterator[Any]:
        with pq.ParquetFile(self._path) as file:
            yield from file.iter_batches(batch_size=self._batch, columns=columns, use_threads=False)

    def _rows(self, batch: Any, done: int, report: RecordingReport) -> Rows:
        good = np.ones(batch.num_rows, bool)
        for column, kind in REQUIRED[self._type]:
            if pa.types.is_floating(kind):
                continue  # pandas writes NaN, which is an absent price here, as null
            good &= pc.is_valid(batch.column(column)).to_numpy(zero_copy_only=False)
        for index in np.flatnonzero(~good).tolist():
            report.refuse(self._path.name, done + index + 1, "null_value", _text_of(batch.slice(index, 1)))
        if not good.all():
            batch = batch.filter(pa.array(good))
        coded = pc.dictionary_encode(_texts(batch.column("instrument")))
        columns: dict[str, Column] = {"instrument": coded.indices.to_numpy().astype(np.int32)}
        for column, kind in self._kinds[1:]:
            columns[column] = self._column(batch.column(column), column, kind)
        return Rows(self._type, tuple(coded.dictionary.to_pylist()), columns)

    def _column(self, values: Any, column: str, kind: Any) -> Column:
        """A column as `Rows` holds it; TapewatchError where its type does not convert."""
        try:
            if pa.types.is_timestamp(kind):
                return _times(values)
            if pa.types.is_fixed_size_list(kind):
                return _levels(values)
            if pa.types.is_string(kind):
                return np.array(_texts(values).to_pylist(), object)
            return np.asarray(values.cast(kind).to_numpy(zero_copy_only=False), numpy_dtype(kind))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise TapewatchError(
                f"{self._path}: column {column} of type {values.type} is not {kind}: {error}",
                "Write it in the contract's type.",
            ) from error


@contextmanager
def _as_our_error(path: Path) -> Iterator[None]:
    """What Arrow raises on a damaged file, as TapewatchError."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError) as error:
        raise TapewatchError(f"{path} is no readable Parquet file: {error}", "Check that the file is whole.") from error


def recognises(head: Head) -> bool:
    """Parquet's magic bytes."""
    return head.magic.startswith(MAGIC)


def open(heads: Sequence[Head], options: RecordingOptions) -> list[Series]:
    """One series a file."""
    return [ParquetFile(head, options) for head in heads]


def _column_names(head: Head) -> list[str]:
    found: list[str] = []
    with _as_our_error(head.path):
        found += pq.read_schema(head.path).names
    return found


def _row_type(head: Head, names: Sequence[str]) -> RowType:
    """The row type whose required columns are all there: by the file's name first, then by the columns alone."""
    stem = head.path.name.lower()
    named = [row_type for word, row_type in _NAMES.items() if stem.startswith(word)]
    candidates = named or [row_type for row_type in RowType if row_type is not RowType.STATUS] + [RowType.STATUS]
    missing: list[str] = []
    for row_type in candidates:
        missing = [column for column, _ in REQUIRED[row_type] if column not in names]
        if not missing:
            return row_type
    wanted = f"lacks the columns {', '.join(missing)}" if named else "has no row type's columns"
    raise TapewatchError(f"{head.path} {wanted}", "Name the columns as the contract does, one row type a file.")


def _text_of(row: Any) -> bytes:
    """One row as text; times as counts of their unit, since datetime does not hold nanoseconds."""
    cells = {
        field.name: (column.cast(pa.int64()) if pa.types.is_timestamp(field.type) else column).to_pylist()[0]
        for field, column in zip(row.schema, row.columns, strict=True)
    }
    return str(cells).encode()


def _texts(values: Any) -> Any:
    """A string or dictionary column as strings."""
    return values.cast(pa.string())


def _times(values: Any) -> Column:
    """Timestamps of any unit and zone, or int64 nanoseconds, as int64 nanoseconds; a time without zone is UTC."""
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.timestamp("ns", values.type.tz)).cast(pa.int64())
    return np.asarray(values.cast(pa.int64()).to_numpy(zero_copy_only=False), np.int64)


def _levels(values: Any) -> Column:
    """Lists of any length as float64[rows, 10]: NaN where a list is shorter or holds a null, cut where it is longer."""
    lists = values.cast(pa.list_(pa.float64()))
    out = np.full((len(lists), BOOK_LEVELS), np.nan)
    rows = pc.list_parent_indices(lists).to_numpy()
    flat = pc.list_flatten(lists).to_numpy(zero_copy_only=False)
    starts = (
        np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=len(lists)))[:-1]))
        if len(lists)
        else np.empty(0, int)
    )
    levels = np.arange(len(flat)) - starts[rows]
    kept = levels < BOOK_LEVELS
    out[rows[kept], levels[kept]] = flat[kept]
    return out
