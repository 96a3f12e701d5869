"""From records, decimal text and CSV lines to the columns of `Rows`."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from tapewatch.contract.instruments import exact_float
from tapewatch.contract.rows import BOOK_LEVELS, OPTIONAL, REQUIRED, Column, Rows, RowType, numpy_dtype

SHORT_TEXT = 15
"""A decimal text of at most 15 characters, well inside float64's range, always survives the round trip."""
SMALLEST, LARGEST = 1e-290, 1e290
ABSENT_LEVELS = [float("nan")] * BOOK_LEVELS

_exact = lru_cache(maxsize=65_536)(exact_float)


def decimal_float(text: str) -> float:
    """`exact_float` with a short way for the texts that cannot fail; ValueError for the others that do."""
    if len(text) <= SHORT_TEXT:
        value = float(text)
        if SMALLEST < value < LARGEST:
            return value
    return _exact(text)


def rows_of(
    row_type: RowType, instruments: Sequence[str], records: Iterable[Any], optional: Sequence[str] = ()
) -> Rows:
    """Rows from tuples in the contract's column order: the required columns, then the named optional ones."""
    kinds = [*REQUIRED[row_type], *(pair for pair in OPTIONAL[row_type] if pair[0] in optional)]
    columns: dict[str, Column] = {
        name: np.array(values, dtype=numpy_dtype(kind))
        for (name, kind), values in zip(kinds, zip(*records, strict=True), strict=True)
    }
    return Rows(row_type, instruments, columns)


def columns_of(instrument: int, times: Column, **columns: Column | float) -> dict[str, Column]:
    """Columns of rows of one instrument whose venue time is their receipt time; a scalar fills its column."""
    size = len(times)
    out: dict[str, Column] = {"instrument": np.full(size, instrument, np.int32), "ts_event": times, "ts_recv": times}
    for name, values in columns.items():
        out[name] = values if isinstance(values, np.ndarray) else np.full(size, values)
    return out


def ten_levels(columns: Column) -> Column:
    """Price or quantity levels, float64[rows, any], cut or filled with NaN to float64[rows, 10]."""
    out = np.full((len(columns), BOOK_LEVELS), np.nan)
    levels = min(columns.shape[1], BOOK_LEVELS)
    out[:, :levels] = columns[:, :levels]
    return out


def exact_column(texts: Any) -> tuple[Column, Column]:
    """Decimal texts (Arrow strings) as float64[rows], and which are finite and survive the round trip (bool[rows])."""
    good = np.ones(len(texts), bool)
    try:
        values = np.array(pc.cast(texts, pa.float64()).to_numpy())
    except pa.ArrowInvalid:
        values = np.full(len(texts), np.nan)
    size = np.abs(values)
    doubtful = (pc.binary_length(texts).to_numpy() > SHORT_TEXT) | ~((size > SMALLEST) & (size < LARGEST))
    for index in np.flatnonzero(doubtful).tolist():
        try:
            values[index] = _exact(texts[index].as_py())
        except ValueError:
            good[index] = False
    return values, good


def parsed_lines(lines: Sequence[bytes], types: dict[str, Any]) -> tuple[Any, Column]:
    """CSV lines without header as an Arrow table, and the places of its rows in `lines` (int64[rows]).

    types : column name -> Arrow type, for every column. A line that does not fit is left out: a block that fails is
    halved until the lines at fault stand alone, so that good blocks are read at full speed.
    """
    names = list(types)
    tables: list[Any] = []
    places: list[Column] = []
    todo = [(0, len(lines))]
    while todo:
        begin, end = todo.pop()
        if begin == end:
            continue
        table = _read(lines[begin:end], names, types)
        if table is not None:
            tables.append(table)
            places.append(np.arange(begin, end))
        elif end - begin > 1:
            middle = (begin + end) // 2
            todo += [(middle, end), (begin, middle)]
    if not tables:
        return pa.table({name: pa.array([], kind) for name, kind in types.items()}), np.empty(0, np.int64)
    return pa.concat_tables(tables).combine_chunks(), np.concatenate(places)


def _read(lines: Sequence[bytes], names: list[str], types: dict[str, Any]) -> Any:
    """The lines as a table of as many rows, or None."""
    data = b"\n".join(lines)
    try:
        table = csv.read_csv(
            pa.BufferReader(data),
            read_options=csv.ReadOptions(column_names=names, use_threads=False, block_size=len(data) + 1),
            convert_options=csv.ConvertOptions(column_types=types, null_values=[], strings_can_be_null=False),
        )
    except (pa.ArrowInvalid, UnicodeDecodeError):
        return None
    return table if table.num_rows == len(lines) else None
