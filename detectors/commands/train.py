"""`tapewatch train`: fit a K-means model, calibrate it, and put it into the data folder's model registry; its peers are
in train_peers, policies in train_policy, texts in train_sentiment.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from detectors.commands import train_lstm, train_peers, train_policy, train_sentiment
from detectors.kmeans import fitting
from detectors.kmeans import model as models
from detectors.kmeans.model import PAIR, Card, KMeansModel, centres_table
from detectors.kmeans.sample import PairCounts, Sample, concatenated
from detectors.kmeans.training import CLASSIC_CLUSTERS, INPUTS, MANY_CLUSTERS, Recipe, score_rows, train
from detectors.model_file import kept
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

_EPILOG = """examples:
  tapewatch train kmeans --features features.parquet
  tapewatch train kmeans --topic features --budget 0.5
  tapewatch train kmeans --detector kmeans_classic --bars bars_1m.csv -k 3 --plot clusters.png
  tapewatch train autoencoder --features features.parquet --class stock
  tapewatch train ddqn --daily AAPL.csv --before 2018-01-01
  tapewatch train sentiment --csv phrases.csv --text sentence --labels label --language en
"""


def configure(parser: argparse.ArgumentParser) -> Any:
    """Add the models and their arguments; returns argparse's choices, to which a caller may add its own."""
    parser.epilog = _EPILOG
    kinds = parser.add_subparsers(dest="model", metavar="MODEL", required=True)
    train_peers.configure(kinds)
    train_policy.configure(kinds)
    train_lstm.configure(kinds)
    train_sentiment.configure(kinds)
    kmeans = kinds.add_parser("kmeans", help="K-means manipulation scores")
    kmeans.epilog = (
        "example: tapewatch train kmeans --detector kmeans_classic --bars bars_1m.csv -k 3 --plot clusters.png"
    )
    source = kmeans.add_mutually_exclusive_group(required=True)
    source.add_argument("--features", nargs="+", type=Path, metavar="FILE", help="feature rows, Parquet or CSV")
    source.add_argument(
        "--bars", nargs="+", type=Path, metavar="FILE", help="minute bars or trades, Parquet or CSV (kmeans_classic)"
    )
    source.add_argument("--topic", choices=("features", "bars"), help="read the topic instead")
    kmeans.add_argument(
        "--detector", choices=models.DETECTORS, help="default: kmeans for features, kmeans_classic for bars"
    )
    kmeans.add_argument(
        "-k", type=int, help=f"clusters (default: {MANY_CLUSTERS}; classic: {CLASSIC_CLUSTERS}, of 2, 3 or 4)"
    )
    kmeans.add_argument("--inputs", nargs="+", metavar="FEATURE", help="features to use (default: the shipped choice)")
    kmeans.add_argument("--scaling", choices=("raw", "standard", "robust"), default="robust", help="default: robust")
    kmeans.add_argument("--seed", type=int, default=0, help="of everything drawn (default: 0)")
    kmeans.add_argument(
        "--budget", type=float, default=1.0, metavar="X", help="false alerts a day and instrument (default: 1)"
    )
    kmeans.add_argument(
        "--held-out",
        type=float,
        default=0.3,
        metavar="SHARE",
        help="newest share of time kept for calibration (default: 0.3)",
    )
    kmeans.add_argument("--previous", type=Path, metavar="MODEL", help="model file whose cluster numbers are kept")
    kmeans.add_argument("--limit", type=int, default=2_000_000, metavar="ROWS", help="newest rows of a topic to use")
    kmeans.add_argument("--plot", type=Path, metavar="FILE", help="scatter plot of the clusters (png, svg or pdf)")
    kmeans.add_argument("--out", type=Path, metavar="FILE", help="write the model here too")
    kmeans.add_argument("--json", action="store_true", help="print a summary as one JSON document")
    return kinds


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Train, save and describe a model."""
    if args.model in train_peers.MODELS:
        return train_peers.run(args, settings)
    if args.model == train_policy.MODEL:
        return train_policy.run(args, settings)
    if args.model == train_lstm.MODEL:
        return train_lstm.run(args, settings)
    if args.model == train_sentiment.MODEL:
        return train_sentiment.run(args, settings)
    recipe = _recipe(args)
    rows, counts, data_hash = _rows(args, settings, recipe)
    print(f"{len(rows):,} rows of {len(rows.starts) - 1} instruments", file=sys.stderr)
    model = _trained(args, recipe, rows, data_hash)
    saved = kept(settings.data_path / "models", model)
    if args.out:
        args.out.write_bytes(model.encoded())
    if args.plot:
        fitting.scatter(model, rows, args.plot, args.seed)
    if args.json:
        document = _summary(model, rows, counts) | {"saved": str(saved), "plot": str(args.plot) if args.plot else None}
        print(msgspec.json.encode(document).decode())
    else:
        _describe(model, counts, saved)
    return 0


def _recipe(args: argparse.Namespace) -> Recipe:
    """What to train, checked."""
    from_bars = bool(args.bars) or args.topic == "bars"
    detector = args.detector or ("kmeans_classic" if from_bars else "kmeans")
    if from_bars != (detector == "kmeans_classic"):
        raise TapewatchError(
            f"{detector} is not trained on these rows", "kmeans takes features, kmeans_classic bars or trades."
        )
    classic = detector == "kmeans_classic"
    k = args.k or (CLASSIC_CLUSTERS if classic else MANY_CLUSTERS)
    if not (2 <= k <= 4 if classic else 1 <= k <= 64):
        raise TapewatchError(
            f"{k} clusters are not possible", "The classic model takes 2, 3 or 4, the other one 1 to 64."
        )
    if not args.budget > 0.0 or not 0.0 < args.held_out < 1.0:
        raise TapewatchError(
            "--budget must be positive, --held-out between 0 and 1", "See `tapewatch train kmeans --help`."
        )
    inputs = PAIR if classic else tuple(args.inputs or INPUTS)
    return Recipe(detector, inputs, k, args.scaling, args.seed, args.budget)


def _rows(args: argparse.Namespace, settings: Settings, recipe: Recipe) -> tuple[Sample, PairCounts | None, str]:
    """The rows, what became of bars, and the files' hash."""
    classic = recipe.detector == "kmeans_classic"
    columns = () if classic else recipe.inputs
    if args.topic:
        try:
            tables, data_hash = [train_peers.topic(settings, args.topic, args.limit, columns)], ""
        except (KeyError, pa.ArrowException) as error:
            raise TapewatchError(
                f"the topic's rows lack a column: {error}", "Choose --inputs among docs/features.md."
            ) from error
    else:
        tables, data_hash = train_peers.files(args.bars or args.features, columns)
    if classic:
        sample, counts = train_peers.pair_sample(pa.concat_tables(tables, promote_options="permissive"))
        return sample, counts, data_hash
    # Each file by itself: two markets may have instruments and times in common.
    return concatenated([train_peers.feature_sample(table, recipe.inputs) for table in tables]), None, data_hash


def _trained(args: argparse.Namespace, recipe: Recipe, rows: Sample, data_hash: str) -> KMeansModel:
    """The model, calibrated on the newest rows, which the clusters have not seen."""
    where = args.topic or ", ".join(path.name for path in (args.bars or args.features))
    card = Card(
        data=f"topic {where}" if args.topic else where,
        data_hash=data_hash,
        command=(
            f"tapewatch train kmeans --detector {recipe.detector} -k {recipe.k} "
            f"--scaling {recipe.scaling} --seed {recipe.seed}"
        ),
    )
    older, newer = rows.split(args.held_out)
    labels = newer.labels
    labelled = newer if labels is not None and 0 < np.count_nonzero(labels == 1) < len(newer) else None
    prior = 0.0 if labelled is None or labels is None else float(np.mean(labels[labels >= 0] == 1))
    try:
        return train(recipe, older, newer, labelled, prior, _previous(args.previous), card)
    except ValueError as error:
        raise TapewatchError(
            f"cannot train: {error}", "Give more rows: at least some hours of several instruments."
        ) from error


def _previous(path: Path | None) -> KMeansModel | None:
    if path is None:
        return None
    try:
        return models.decode(path.read_bytes())
    except (OSError, msgspec.MsgspecError) as error:
        raise TapewatchError(f"{path} is no model: {error}", "Name a model file with --previous.") from error


def _summary(model: KMeansModel, rows: Sample, counts: PairCounts | None) -> dict[str, object]:
    found = score_rows(model, rows)
    return {
        **models.summary(model),
        "names": model.inputs,
        "centres": model.raw_centres(),
        "sizes": model.sizes,
        "normal": model.normal,
        "alert": model.alert,
        "calibration": model.card.calibration,
        "budget": model.card.budget,
        "seed": model.card.seed,
        "scored": int(np.count_nonzero(~np.isnan(found))),
        "bars": None if counts is None else {name: getattr(counts, name) for name in counts.__slots__},
    }


def _describe(model: KMeansModel, counts: PairCounts | None, saved: Path) -> None:
    if counts is not None:
        print(
            f"{counts.bars:,} bars: {counts.pairs:,} pairs, {counts.first:,} first, "
            f"{counts.null_volume:,} null after a minute without volume\n"
        )
    print(centres_table(model))
    print(f"\nalert distance {model.alert:g}: {model.card.budget}")
    print(f"model {model.hash} in {saved}\nnext: tapewatch models promote {model.hash} --why '...'")
