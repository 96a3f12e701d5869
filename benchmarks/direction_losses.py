"""Cross-entropy, focal and multi-task loss of the networks, compared on calibrating rows alone.

Run as `python -m benchmarks.direction_losses --daily DIR --out docs/results/direction-losses.json`. Only days before
the first year that `evaluate forecast` judges are looked at: the older half of the calibrating rows stops the fits and
sets the temperature, the newer half compares the losses.
"""

import argparse
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from detectors.forecast.classes import CLASSES, classes
from detectors.forecast.direction.fitting import Rows, within
from detectors.forecast.direction.fitting import fit as fitted
from detectors.forecast.direction.inputs import rows_of
from detectors.forecast.networks.architectures import NAMES
from detectors.forecast.networks.fitting import LOSSES, RECIPE, fit
from detectors.forecast.series import hash_of
from detectors.forecast.walk import Fold, folds, years
from evaluation.forecast import first_year, read_folders
from evaluation.forecast_figures import compared, days_of, interval, values

F8 = npt.NDArray[np.float64]


def halved(rows: Rows, year: int) -> Fold:
    """Rows to fit to, to stop on and to compare on, all of days before a year. ValueError where there are too few."""
    first = next(folds(rows.at, rows.known, years(rows.at, year)[:2]), None)
    if first is None:
        raise ValueError(f"no bars before {year}")
    fold = within(first, rows)
    middle = int(np.median(np.unique(rows.at[fold.calibrate])))
    newer = fold.calibrate & (rows.at >= middle)
    return Fold(fold.fit, fold.calibrate & (rows.known < middle), newer)


def compare(rows: Rows, fold: Fold, name: str, seeds: int) -> dict[str, Any]:
    """Figures of each loss over the newer half, and its log loss less that of cross-entropy. name : of the network"""
    place, days = np.arange(int(fold.test.sum())), days_of(rows.at[fold.test])
    document: dict[str, Any] = {}
    lost: dict[str, F8] = {}
    for chosen in LOSSES:
        recipe = replace(RECIPE, loss=chosen)
        every, areas = [], []
        for seed in range(seeds):
            judge = fitted(partial(fit, name, recipe=recipe), rows, fold, seed)
            chances = judge.probabilities(rows, fold.test)
            labels = classes(rows.returns[fold.test], judge.cuts)
            every.append(-np.log(np.maximum(chances[place, labels], 1e-12)))
            areas.append(np.mean([roc_auc_score(labels == k, chances[:, k]) for k in range(len(CLASSES))]))
            print(f"{name} {chosen} seed {seed}: log loss {every[-1].mean():.4f}", file=sys.stderr, flush=True)
        rows_of_figure = np.column_stack([np.mean(every, axis=0), np.ones(len(place))])
        lost[chosen] = values(days, rows_of_figure, lambda total: total[0] / total[1])
        document[chosen] = {
            "log_loss": interval(lost[chosen]),
            "log_loss_by_seed": [float(f"{each.mean():.5g}") for each in every],
            "auc_by_seed": [float(f"{area:.5g}") for area in areas],
        }
        if chosen != LOSSES[0]:
            gap = compared(lost[chosen], lost[LOSSES[0]], chosen, LOSSES[0], lower_is_better=True)
            document[chosen]["less_cross_entropy"] = gap
    return document


def main() -> int:
    """Compare, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--daily", nargs="+", type=Path, required=True, metavar="DIR", help="folders of daily bars")
    parser.add_argument("--model", choices=NAMES, default="attention", help="which network (default: attention)")
    parser.add_argument("--seeds", type=int, default=3, help="fits a loss (default: 3)")
    parser.add_argument("--out", type=Path, help="file for the JSON document")
    args = parser.parse_args()
    panel, _ = read_folders(args.daily)
    rows, year = rows_of(panel), first_year(panel)
    fold = halved(rows, year)
    document = {
        "benchmark": "direction_losses",
        "model": args.model,
        "data_hash": hash_of(panel),
        "seeds": args.seeds,
        "before": year,
        "fitted": int(fold.fit.sum()),
        "stopped_on": int(fold.calibrate.sum()),
        "compared_on": int(fold.test.sum()),
        **compare(rows, fold, args.model, args.seeds),
    }
    encoded = msgspec.json.encode(document).decode()
    if args.out:
        args.out.write_text(encoded + "\n", encoding="utf-8")
    print(encoded)
    return 0


if __name__ == "__main__":
    sys.exit(main())
