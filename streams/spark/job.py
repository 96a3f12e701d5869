"""One symbol from its files to its outputs: what a Spark task does, and what the pandas engine does one by one.

What is written for a symbol: Parquet, TFRecord, refused rows; each file appears whole or not at all.
"""

import csv
import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal
from urllib.parse import quote

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from streams.spark import raw, tfrecord
from streams.spark.cleaning import BARS, WINDOW_COLUMNS, Rule, clean
from streams.spark.raw import MalformedRow, Source

WINDOW = 50
Records = Literal["windows", "rows"]


def bars_path(out: Path, symbol: str) -> Path:
    """Where a symbol's Parquet lies: a partition as Spark, Arrow, DuckDB and pandas read it."""
    return out / "bars" / f"symbol={quote(symbol, safe='')}" / "part-0.parquet"


def write_bars(out: Path, symbol: str, bars: pa.Table) -> None:
    """Write the bars of a symbol; the symbol is the partition's name and so no column of the file."""
    table = bars.drop_columns(["symbol"])
    _whole(bars_path(out, symbol), lambda file: pq.write_table(table, file, compression="zstd"))


def write_records(out: Path, symbol: str, bars: pa.Table, records: Records) -> int:
    """Write the bars of a symbol as tf.train.Example, one a window or one a bar; how many."""
    count = 0

    def fill(file: BinaryIO) -> None:
        nonlocal count
        count = tfrecord.write(file, examples(symbol, bars, records))

    _whole(out / "tfrecord" / f"{quote(symbol, safe='')}.tfrecord", fill)
    return count


def examples(symbol: str, bars: pa.Table, records: Records) -> Iterator[bytes]:
    """Serialised Examples, oldest first.

    windows : `window` float32[50 * 8], row by row, oldest bar first, columns of WINDOW_COLUMNS; `close` float32[1], the
        newest close in it; `next_close` float32[1], what followed (empty for the newest window); `at` int64[1], UTC ns,
        when the newest bar was complete; `symbol`. A window with a value that is not known is left out.
    rows : `bar` float32[8]; `at`, `symbol`, `flags`. A value that is not known is NaN.
    """
    values = np.column_stack([bars[name].to_numpy() for name in WINDOW_COLUMNS]).astype(np.float32)
    at, flags = bars["at"].to_numpy(), bars["flags"].to_numpy().astype(np.int64)
    name = [symbol.encode()]
    if records == "rows":
        for row in range(len(values)):
            own = slice(row, row + 1)
            yield tfrecord.encode({"at": at[own], "bar": values[row], "flags": flags[own], "symbol": name})
        return
    close = values[:, WINDOW_COLUMNS.index("close")]
    for end in window_ends(values).tolist():
        yield tfrecord.encode({
            "at": at[end : end + 1],
            "close": close[end : end + 1],
            "next_close": close[end + 1 : end + 2],
            "symbol": name,
            "window": values[end + 1 - WINDOW : end + 1].ravel(),
        })  # fmt: skip


def window_ends(values: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """The rows at which a window of known values ends, int64[windows]. values : float32[rows, 8]"""
    unknown = np.concatenate([[0], np.cumsum(np.isnan(values).any(axis=1))])
    ends = np.arange(WINDOW - 1, len(values))
    known: npt.NDArray[np.int64] = ends[unknown[ends + 1] == unknown[ends + 1 - WINDOW]]
    return known


def write_refused(out: Path, symbol: str, refused: Iterable[MalformedRow]) -> None:
    """Write the rows that were refused, with file, line, reason and cells; no file where there are none."""
    rows = [(each.file, each.line, each.reason, each.row) for each in refused]
    if not rows:
        return

    def fill(file: BinaryIO) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([("file", "line", "reason", "row"), *rows])
        file.write(text.getvalue().encode())

    _whole(out / "refused" / f"{quote(symbol, safe='')}.csv", fill)


def _whole(path: Path, fill: Callable[[BinaryIO], object]) -> None:
    """Write beside and rename: a task that Spark runs twice, or that dies, leaves no half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            fill(file)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to do with every symbol. out : folder that every task can write to; parquet, records : what to write"""

    out: str
    rule: Rule = Rule()
    parquet: bool = True
    records: Records | None = None


def do(source: Source, plan: Plan) -> dict[str, Any]:
    """Read, clean and write one symbol; its quality counts, with the digest of its bars."""
    out = Path(plan.out)
    cleaned = clean(source.symbol, raw.read(source), plan.rule)
    quality = cleaned.quality | {"bits": digest(cleaned.bars)}
    write_refused(out, source.symbol, cleaned.refused)
    if plan.parquet and len(cleaned.bars):
        write_bars(out, source.symbol, cleaned.bars)
    if plan.records and len(cleaned.bars):
        quality["records"] = write_records(out, source.symbol, cleaned.bars, plan.records)
        quality["not_recorded"] = len(cleaned.bars) - quality["records"]
    return quality


def digest(bars: pa.Table) -> str:
    """First 16 hex digits of the sha256 over every bit of a symbol's columns: equal for equal output."""
    sha = hashlib.sha256()
    for name in BARS.names[1:]:
        sha.update(name.encode() + bars[name].to_numpy().tobytes())
    return sha.hexdigest()[:16]
