"""`tapewatch train autoencoder|isolation`: fit K-means' peers to feature rows and put them into the registry.

Rows to train on: Parquet or CSV files of features, bars or trades, or the topics `features` and `bars`.
"""

import argparse
import hashlib
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from confluent_kafka import Consumer

from detectors.autoencoder import batch, inputs, training
from detectors.autoencoder import model as autoencoder
from detectors.autoencoder.model import AutoencoderModel, Card, described
from detectors.commands import train_daily
from detectors.ensemble_card import markdown
from detectors.isolation import model as isolation
from detectors.isolation import training as isolation_training
from detectors.isolation.model import IsolationModel
from detectors.kmeans import training as kmeans_training
from detectors.kmeans.sample import MINUTE_S, Bars, PairCounts, Sample, bars_of_trades, build, concatenated, pairs
from detectors.model_file import kept
from detectors.thresholds import finished, thresholds
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


MODELS = ("autoencoder", "isolation")


def configure(kinds: Any) -> None:
    """Add the models to the choices of `tapewatch train`. kinds : what argparse's add_subparsers gave."""
    network = kinds.add_parser("autoencoder", help="reconstruction error of feature windows (needs the extra `train`)")
    network.epilog = (
        "examples:\n  tapewatch train autoencoder --features features.parquet --class stock\n"
        "  tapewatch train autoencoder --daily daily_us/ --steps 600"
    )
    network.add_argument(
        "--class", dest="instrument_class", choices=autoencoder.CLASSES, default="stock", help="default: stock"
    )
    network.add_argument("--steps", type=int, default=2000, help="batches of 1,024 windows (default: 2000)")
    forest = kinds.add_parser("isolation", help="isolation forest")
    forest.epilog = "example: tapewatch train isolation --features features.parquet --trees 48"
    forest.add_argument("--trees", type=int, default=48, help="default: 48")
    for parser in (network, forest):
        source = parser.add_mutually_exclusive_group(required=True)
        if parser is network:
            source.add_argument(
                "--daily",
                nargs="+",
                type=Path,
                metavar="DIR",
                help="folders of daily bars: abnormal moves of the next day",
            )
        source.add_argument("--features", nargs="+", type=Path, metavar="FILE", help="feature rows, Parquet or CSV")
        source.add_argument("--topic", choices=("features",), help="read the topic instead")
        parser.add_argument(
            "--limit", type=int, default=2_000_000, metavar="ROWS", help="newest rows of a topic to use"
        )
        parser.add_argument("--seed", type=int, default=0, help="of everything drawn (default: 0)")
        parser.add_argument(
            "--budget", type=float, default=1.0, metavar="X", help="false alerts a day and instrument (default: 1)"
        )
        parser.add_argument(
            "--held-out", type=float, default=0.3, metavar="SHARE", help="newest share of time kept (default: 0.3)"
        )
        parser.add_argument("--out", type=Path, metavar="FILE", help="write the model here too")
        parser.add_argument("--json", action="store_true", help="print a summary as one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Train, save and describe a model."""
    if not args.budget > 0.0 or not 0.0 < args.held_out < 1.0:
        raise TapewatchError("--budget must be positive, --held-out between 0 and 1", "See `tapewatch train --help`.")
    columns = inputs.SOURCES if args.model == "autoencoder" else kmeans_training.INPUTS
    if args.model == "autoencoder" and args.daily:
        return _saved(args, settings, train_daily.model(args))
    rows, data_hash = _rows(args, settings, columns)
    print(f"{len(rows):,} rows of {len(rows.starts) - 1} instruments", file=sys.stderr)
    where = args.topic or ", ".join(path.name for path in args.features)
    card = Card(data=where, data_hash=data_hash, command=_command(args), seed=args.seed)
    older, newer = rows.split(args.held_out)
    try:
        model = _network(args, older, newer, card) if args.model == "autoencoder" else _forest(args, older, newer, card)
    except ValueError as error:
        raise TapewatchError(
            f"cannot train: {error}", "Give more rows: at least some hours of several instruments."
        ) from error
    return _saved(args, settings, model)


def _saved(args: argparse.Namespace, settings: Settings, model: AutoencoderModel | IsolationModel) -> int:
    """Put a model into the registry and describe it."""
    saved = kept(settings.data_path / "models", model)
    if args.out:
        args.out.write_bytes(model.encoded())
    if args.json:
        found = autoencoder.summary(model) if isinstance(model, AutoencoderModel) else isolation.summary(model)
        print(msgspec.json.encode(found | {"saved": str(saved), "seed": args.seed}).decode())
    else:
        print(markdown(model) + f"\nmodel {model.hash} in {saved}")
    return 0


def _command(args: argparse.Namespace) -> str:
    chosen = (
        f"--class {args.instrument_class} --steps {args.steps}"
        if args.model == "autoencoder"
        else f"--trees {args.trees}"
    )
    return f"tapewatch train {args.model} {chosen} --seed {args.seed} --budget {args.budget:g}"


def _rows(args: argparse.Namespace, settings: Settings, columns: Sequence[str]) -> tuple[Sample, str]:
    """The rows, and the files' hash."""
    if not args.topic:
        tables, data_hash = files(args.features, columns)
        return concatenated([feature_sample(table, columns) for table in tables]), data_hash
    try:
        return feature_sample(topic(settings, args.topic, args.limit, columns), columns), ""
    except (KeyError, pa.ArrowException) as error:
        raise TapewatchError(f"the topic's rows lack a column: {error}", "See docs/features.md.") from error


def _labelled(rows: Sample) -> tuple[Sample | None, float]:
    """The rows where they have labels of both kinds, and their share of manipulated ones."""
    labels = rows.labels
    if labels is None or not 0 < np.count_nonzero(labels == 1) < len(rows):
        return None, 0.0
    return rows, float(np.mean(labels[labels >= 0] == 1))


def _network(args: argparse.Namespace, older: Sample, newer: Sample, card: Card) -> AutoencoderModel:
    recipe = training.Recipe(args.instrument_class, args.steps, args.seed, args.budget)
    arrays = training.fit(older, recipe, lambda done, loss: print(f"batch {done}: loss {loss:.4f}", file=sys.stderr))
    bare = described(args.instrument_class)
    network = AutoencoderModel(bare, arrays).network(older.names)
    found = thresholds(
        lambda rows: batch.score_rows(network, rows), newer, *_labelled(newer), args.budget, training.TIERS
    )
    full = msgspec.structs.replace(card, rows=len(older), calibration=found.calibration, budget=found.budget)
    return AutoencoderModel(finished(bare, found, full), arrays)


def _forest(args: argparse.Namespace, older: Sample, newer: Sample, card: Card) -> IsolationModel:
    bare = isolation_training.fit(
        older, isolation_training.Recipe(trees=args.trees, seed=args.seed, per_day=args.budget)
    )
    found = thresholds(
        lambda rows: isolation_training.score_rows(bare, rows),
        newer,
        *_labelled(newer),
        args.budget,
        kmeans_training.TIERS,
    )
    full = msgspec.structs.replace(card, rows=bare.card.rows, calibration=found.calibration, budget=found.budget)
    return finished(bare, found, full)
