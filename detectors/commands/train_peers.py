"""`tapewatch train autoencoder|isolation`: fit K-means' peers to feature rows and put them into the registry."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from detectors.autoencoder import batch, inputs, training
from detectors.autoencoder import model as autoencoder
from detectors.autoencoder.model import AutoencoderModel, Card, described
from detectors.commands import train_daily, training_rows
from detectors.ensemble_card import markdown
from detectors.isolation import model as isolation
from detectors.isolation import training as isolation_training
from detectors.isolation.model import IsolationModel
from detectors.kmeans import training as kmeans_training
from detectors.kmeans.sample import Sample, concatenated
from detectors.model_file import kept
from detectors.thresholds import finished, thresholds
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

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
        tables, data_hash = training_rows.files(args.features, columns)
        return concatenated([training_rows.feature_sample(table, columns) for table in tables]), data_hash
    try:
        return training_rows.feature_sample(training_rows.topic(settings, args.topic, args.limit, columns), columns), ""
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
