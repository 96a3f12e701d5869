"""Rows to train on: Parquet or CSV files of features, bars or trades, or the topics `features` and `bars`."""

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from confluent_kafka import Consumer

from detectors.kmeans.pairs import MINUTE_S, Bars, PairCounts, bars_of_trades, pairs
from detectors.kmeans.sample import Sample, build
from tapewatch.clock import NANOS
from tapewatch.contract import frames
from tapewatch.errors import ContractError, TapewatchError
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

_ALIASES = {"symbol": "instrument", "amount": "qty", "quantity": "qty", "size": "qty"}
_TIMES = ("ts_open", "ts", "ts_recv", "timestamp", "timestamp_utc", "datetime", "date_time", "open_time", "time")
_LATEST_S = 10**11
"""A number below it is an epoch time in seconds, below a thousand times it in milliseconds, and so on."""


def files(paths: Sequence[Path], columns: Sequence[str] = ()) -> tuple[list[pa.Table], str]:
    """Each file's rows, and the first 16 hex digits of the sha256 of their content.

    columns : of Parquet files, only those (and `instrument`, times and `label` where there are any); all where empty
    """
    digest, tables = hashlib.sha256(), []
    for path in paths:
        if not path.is_file():
            raise TapewatchError(f"there is no file {path}", "Name Parquet or CSV files of features, bars or trades.")
        digest.update(path.read_bytes())
        tables.append(_table(path, columns))
    return tables, digest.hexdigest()[:16]


def _table(path: Path, columns: Sequence[str]) -> pa.Table:
    """One file's rows; a file that names no instrument is one instrument of the file's name."""
    try:
        if path.suffix == ".parquet":
            there = pq.read_schema(path).names
            wanted = (
                [name for name in there if name in {*columns, *_TIMES, "instrument", "label"}] if columns else there
            )
            read = pq.read_table(path, columns=wanted)
        else:
            read = pa.csv.read_csv(path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise TapewatchError(f"{path} cannot be read: {error}", "Give Parquet, or CSV with a header line.") from error
    named = read.rename_columns([_ALIASES.get(name.lower(), name.lower()) for name in read.column_names])
    if "instrument" not in named.column_names:
        named = named.append_column("instrument", pa.array([path.name.partition(".")[0]] * len(named)))
    column = named["instrument"].cast(pa.utf8())
    return named.set_column(named.column_names.index("instrument"), "instrument", column)


def topic(settings: Settings, name: str, limit: int, columns: Sequence[str] = ()) -> pa.Table:
    """The newest rows of the topic `features` or `bars`, at most about `limit`."""
    known = kafka.existing_topics(kafka.admin(settings))
    if name not in known:
        raise TapewatchError(f"there is no topic {name}", "Run the engine first, or give --features or --bars FILE.")
    reader = kafka.consumer(settings)
    parts: deque[pa.Table] = deque()
    try:
        for partition in range(known[name]):
            parts.extend(_newest(_batches(reader, name, partition, columns), limit // known[name] + 1))
    finally:
        reader.close()
    if not parts:
        raise TapewatchError(f"the topic {name} holds no rows", "Run the engine over a market first.")
    return pa.concat_tables(parts)


def _batches(reader: Consumer, name: str, partition: int, columns: Sequence[str]) -> Iterator[pa.Table]:
    low, high = kafka.watermarks(reader, name, partition)
    for message in kafka.read_range(reader, name, partition, low, high):
        if dict(message.headers() or ()).get("type") != name.encode():
            continue
        try:
            batch = frames.read_stream(message.value() or b"")
        except ContractError:
            continue
        table = pa.Table.from_batches([batch])
        table = table.set_column(0, "instrument", table["instrument"].cast(pa.utf8()))
        yield table.select(["instrument", "ts", *columns]) if columns else table


def _newest(tables: Iterator[pa.Table], limit: int) -> deque[pa.Table]:
    """The last tables, of no more than `limit` rows together where more than one is kept."""
    kept: deque[pa.Table] = deque()
    rows = 0
    for table in tables:
        kept.append(table)
        rows += len(table)
        while rows - len(kept[0]) >= limit:
            rows -= len(kept.popleft())
    return kept


def feature_sample(table: pa.Table, inputs: Sequence[str]) -> Sample:
    """Feature rows as a sample; a column `label` (1 manipulated, 0 normal, -1 uncertain) is taken along."""
    missing = [name for name in inputs if name not in table.column_names]
    if missing or "ts" not in table.column_names:
        raise TapewatchError(
            f"the rows lack {', '.join(missing or ['ts'])}",
            "Give rows of the topic `features`, or choose --inputs that are there.",
        )
    values = np.column_stack([_floats(table, name) for name in inputs])
    labels = table["label"].to_numpy().astype(np.int8) if "label" in table.column_names else None
    return build(_texts(table), _nanoseconds(table["ts"]) // NANOS - 1, inputs, values, 1, labels)


def pair_sample(table: pa.Table) -> tuple[Sample, PairCounts]:
    """The classic pair of bars (close, volume) or of trades (price, qty)."""
    names = set(table.column_names)
    column = next((name for name in _TIMES if name in names), "")
    if not column:
        raise TapewatchError("the rows have no time column", f"Name it one of {', '.join(_TIMES)}.")
    ts = _nanoseconds(table[column])
    if {"close", "volume"} <= names:
        closes = MINUTE_S * NANOS if column == "ts" else 0
        minutes = (ts - closes) // (MINUTE_S * NANOS)
        return pairs(Bars(_texts(table), minutes, _floats(table, "close"), _floats(table, "volume")))
    if {"price", "qty"} <= names:
        return pairs(bars_of_trades(_texts(table), ts, _floats(table, "price"), _floats(table, "qty")))
    raise TapewatchError("the rows are neither bars nor trades", "Bars have close and volume, trades price and qty.")


def _texts(table: pa.Table) -> npt.NDArray[np.object_]:
    return np.array(table["instrument"].to_pylist(), dtype=object)


def _floats(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    return np.asarray(table[name].cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def _nanoseconds(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """UTC nanoseconds of timestamps, ISO texts or epoch numbers in s, ms, us or ns."""
    try:
        if pa.types.is_string(column.type):
            column = pc.cast(column, pa.timestamp("ns", tz="UTC"))
        if pa.types.is_timestamp(column.type):
            return np.asarray(column.cast(pa.timestamp("ns", tz=column.type.tz)).cast(pa.int64()).to_numpy())
        numbers = np.asarray(column.cast(pa.int64()).to_numpy())
    except pa.ArrowException as error:
        raise TapewatchError(f"times cannot be read: {error}", "Give UTC timestamps or epoch numbers.") from error
    unit = NANOS
    while unit > 1 and len(numbers) and numbers.max() > _LATEST_S * (NANOS // unit):
        unit //= 1000
    return numbers.astype(np.int64) * unit
