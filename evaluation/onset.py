"""`tapewatch evaluate onset`: cross-validation on the published pump features, pumps against natural spikes.

Five folds grouped by coin, the eight features, no clock. It trains, by definition: the shipped model's booster beside
scikit-learn's random forest and gradient boosting. Pumps and spikes come from files of other years, coins and rolling
windows, so `explained` asks how much of the separation needs no pump: see `without_pumps`.
"""

import argparse
import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.metrics import average_precision_score, f1_score
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits

from detectors.pumps.features import NAMES
from detectors.pumps.training import FOLDS, FeatureRows, Recipe, classifier, read
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

F8 = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Maker = Callable[[int], Any]

RESAMPLES = 400
MODELS: dict[str, Maker] = {
    "ours": lambda seed: classifier(Recipe(seed=seed)),
    "random_forest": lambda seed: RandomForestClassifier(200, max_depth=5, random_state=seed),
    "gradient_boosting": lambda seed: HistGradientBoostingClassifier(random_state=seed),
}
"""Each by its seed; the random forest is the paper's."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Labelled rows. x : float64[rows, n]; y : int64[rows], 1 for a pump; coin : object[rows]; event : int64[rows]"""

    x: F8
    y: Ints
    coin: npt.NDArray[np.object_]
    event: Ints


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the two files."""
    parser.epilog = (
        "example: tapewatch evaluate onset --positives positives_5S.csv --natural natural_spikes_5S.csv --json"
    )
    parser.add_argument("--positives", type=Path, required=True, metavar="CSV", help="rows at the onset of pumps")
    parser.add_argument("--natural", type=Path, required=True, metavar="CSV", help="rows around natural spikes")
    parser.add_argument("--window", type=int, choices=(5, 15, 25), help="chunk length that the files are of, s")
    parser.add_argument("--seeds", type=int, default=5, help="how often folds and models are drawn (default: 5)")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Cross-validate and print the figures."""
    if args.seeds < 1:
        raise TapewatchError("--seeds must be at least 1", "See `tapewatch evaluate onset --help`.")
    rows = labelled(read(args.positives), read(args.natural))
    if len(set(rows.coin[rows.y == 0])) < 2 or len(set(rows.coin[rows.y == 1])) < FOLDS:
        raise TapewatchError("too few coins to group folds by", "Give the published files whole.")
    predictions = {name: cross_validated(rows, maker, args.seeds) for name, maker in MODELS.items()}
    found = {name: scores(rows, predicted) for name, predicted in predictions.items()}
    document = {
        "evaluate": "onset",
        "window_s": args.window,
        "data": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (args.positives, args.natural)},
        "pumps": int(rows.y.sum()),
        "natural": int((rows.y == 0).sum()),
        **found["ours"],
        "models": found,
        "explained": without_pumps(rows, args.seeds),
        "seeds": args.seeds,
        "folds": FOLDS,
    }
    encoded = msgspec.json.encode(document)
    if args.out:
        args.out.write_bytes(encoded + b"\n")
    if args.report:
        from evaluation.onset_report import write_report

        print(write_report(args.report, document, rows.y, predictions), file=sys.stderr)
    print(encoded.decode() if args.json else text(document))
    return 0


def labelled(positives: FeatureRows, natural: FeatureRows) -> Rows:
    """Both files' rows; events of the two are told apart."""
    return Rows(
        np.concatenate([positives.x, natural.x]),
        np.repeat([1, 0], [len(positives), len(natural)]),
        np.concatenate([positives.symbol, natural.symbol]),
        np.concatenate([positives.event, -1 - natural.event]),
    )


def cross_validated(rows: Rows, maker: Maker, seeds: int) -> F8:
    """Probabilities of rows whose coin the model has not seen, float64[seeds, rows]."""
    found = np.zeros((seeds, len(rows.y)))
    for seed in range(seeds):
        folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
        for fit, test in folds.split(rows.x, rows.y, rows.coin.astype(str)):
            if not len(test):
                continue
            with threadpool_limits(1):
                fitted = maker(seed).fit(rows.x[fit], rows.y[fit])
                found[seed, test] = fitted.predict_proba(rows.x[test])[:, 1]
    return found


def scores(rows: Rows, predicted: F8) -> dict[str, Any]:
    """AP and F1 at .5, the mean over seeds, with 95 % intervals of a bootstrap over events."""
    events, member = np.unique(rows.event, return_inverse=True)
    rng = np.random.default_rng(0)
    drawn: dict[str, list[float]] = {"ap": [], "f1": []}
    for number in range(RESAMPLES):
        weights = np.bincount(rng.integers(0, len(events), len(events)), minlength=len(events))[member].astype(float)
        one = predicted[number % len(predicted)]
        if weights[rows.y == 1].any():
            drawn["ap"].append(float(average_precision_score(rows.y, one, sample_weight=weights)))
            drawn["f1"].append(float(f1_score(rows.y, one > 0.5, sample_weight=weights)))
    means = {
        "ap": float(np.mean([average_precision_score(rows.y, one) for one in predicted])),
        "f1": float(np.mean([f1_score(rows.y, one > 0.5) for one in predicted])),
    }
    return {
        name: {
            "mean": means[name],
            "low": float(np.quantile(values, 0.025)),
            "high": float(np.quantile(values, 0.975)),
        }
        for name, values in drawn.items()
    }


def without_pumps(rows: Rows, seeds: int) -> dict[str, Any]:
    """The same cross-validation where a part of what tells the two files apart is taken away, or is all there is.

    signs : only whether each feature is up or down, no size: a pump's row is its onset, a spike's any row around it
    scaled : each feature over its median size within its own file: a file's rolling windows and coins lose their scale
    ranked : each feature's rank within its own file: nothing is left but how features go together
    one_row_a_spike : of each natural spike only the row with the largest price_max, as a pump has one row
    """
    one = _one_row(rows)
    inputs = {
        "signs": Rows(np.sign(rows.x), rows.y, rows.coin, rows.event),
        "scaled": Rows(_by_file(rows, _over_median), rows.y, rows.coin, rows.event),
        "ranked": Rows(_by_file(rows, _ranks), rows.y, rows.coin, rows.event),
        "one_row_a_spike": Rows(rows.x[one], rows.y[one], rows.coin[one], rows.event[one]),
    }
    found: dict[str, Any] = {}
    for name, part in inputs.items():
        predicted = cross_validated(part, MODELS["ours"], seeds)
        found[name] = {**scores(part, predicted), "chance_ap": float(part.y.mean())}
    return found


def _by_file(rows: Rows, change: Callable[[F8], F8]) -> F8:
    found = np.empty_like(rows.x)
    for label in (0, 1):
        found[rows.y == label] = change(rows.x[rows.y == label])
    return found


def _over_median(x: F8) -> F8:
    return np.asarray(x / np.maximum(np.median(np.abs(x), axis=0), 1e-3))


def _ranks(x: F8) -> F8:
    return np.asarray(rankdata(x, axis=0) / len(x))


def _one_row(rows: Rows) -> npt.NDArray[np.bool_]:
    """bool[rows]: every pump, and the highest row of each spike."""
    kept: npt.NDArray[np.bool_] = np.array(rows.y == 1)
    for event in np.unique(rows.event[rows.y == 0]):
        own = np.flatnonzero(rows.event == event)
        kept[own[np.argmax(rows.x[own, NAMES.index("avg_price_max")])]] = True
    return kept


def text(document: dict[str, Any]) -> str:
    """The figures as lines."""
    lines = [f"{document['pumps']} pumps, {document['natural']} rows around natural spikes"]
    for name, one in {**document["models"], **document["explained"]}.items():
        ap, f1 = one["ap"], one["f1"]
        lines.append(
            f"{name:18} AP {ap['mean']:.3f} ({ap['low']:.3f} to {ap['high']:.3f})  "
            f"F1 {f1['mean']:.3f} ({f1['low']:.3f} to {f1['high']:.3f})"
        )
    return "\n".join(lines)
