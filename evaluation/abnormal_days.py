"""`tapewatch evaluate abnormal-days`: does a strange month of daily bars announce an abnormal move of the next day?

Walk-forward: of each year nothing is known to what is fitted but the days before it. A day is abnormal when its
absolute return is above the .95 quantile of the instrument's own last 250. The autoencoder and the GAN are
unsupervised; beside them stand yesterday's absolute return and the exponentially weighted deviation, both over the same
quantile, and logistic regressions on those two without and with each network, which say whether it adds anything.

The report of `evaluate abnormal-days`: precision-recall and ROC curves of the scores.
"""

import argparse
import hashlib
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from detectors.autoencoder import daily
from detectors.autoencoder.daily import Days
from detectors.autoencoder.score import WINDOW
from detectors.autoencoder.training import Recipe
from detectors.commands.bar_folders import read_folders
from detectors.forecast.abnormal import gan
from evaluation import pump_page as page
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings


def write_report(
    folder: Path,
    document: Mapping[str, Any],
    abnormal: npt.NDArray[np.bool_],
    scores: Mapping[str, npt.NDArray[np.float64]],
) -> Path:
    """Write abnormal_days.html; returns its path. scores : float64[rows] of the first seed, by name"""
    plt = page.pyplot()
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    for name, found in scores.items():
        precision, recall, _ = precision_recall_curve(abnormal, found)
        false, true, _ = roc_curve(abnormal, found)
        left.plot(recall[recall > 0.02], precision[recall > 0.02], label=name)
        right.plot(false, true, label=name)
    left.set(xlabel="recall", ylabel="precision")
    right.set(xlabel="false positive rate", ylabel="recall")
    left.legend()
    rows = [
        [
            name,
            *(f"{one[key]['mean']:.3f} ({one[key]['low']:.3f} to {one[key]['high']:.3f})" for key in ("auroc", "ap")),
        ]
        for name, one in document.items()
        if isinstance(one, Mapping)
    ]
    parts = [page.table(["score", "AUROC", "AP"], rows), page.picture(figure, "Precision-recall and ROC")]
    return page.write(folder, "abnormal_days.html", "Abnormal moves of the next day", parts)


F4 = npt.NDArray[np.float32]
F8 = npt.NDArray[np.float64]

RESAMPLES = 200
NAMES = (
    "autoencoder", "gan", "yesterday", "deviation", "logistic_without", "logistic_with", "logistic_with_gan",
)  # fmt: skip
"""Scores; `logistic_with` is with the autoencoder."""
_PAIRS = {
    "autoencoder_less_deviation": (0, 3),
    "gan_less_deviation": (1, 3),
    "logistic_with_less_without": (5, 4),
    "logistic_with_gan_less_without": (6, 4),
}
_PLAIN = (2, 3, 4)
"""Places of the scores without a network: the same for every seed."""


@dataclass(frozen=True, slots=True)
class ScoredDays:
    """Days of all years that were judged.

    abnormal : bool[rows]; month : int64[rows]; scores : float64[seeds, NAMES, rows]
    """

    abnormal: npt.NDArray[np.bool_]
    month: npt.NDArray[np.int64]
    scores: F8


class Networks(NamedTuple):
    """What is fitted to the days before a year, by one seed: arrays by name."""

    autoencoder: dict[str, F4]
    gan: dict[str, F4]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the bars and how to walk forward."""
    parser.epilog = "example: tapewatch evaluate abnormal-days --daily daily_us/ --from-year 2017 --json"
    parser.add_argument(
        "--daily", nargs="+", type=Path, required=True, metavar="DIR", help="folders of daily bars, CSV with a header"
    )
    parser.add_argument(
        "--from-year", type=int, metavar="YEAR", help="first year judged (default: the sixth with days)"
    )
    parser.add_argument("--seeds", type=int, default=3, help="networks a year (default: 3)")
    parser.add_argument("--steps", type=int, default=600, help="batches a network is fitted with (default: 600)")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Walk forward and print the figures."""
    if args.seeds < 1 or args.steps < 1:
        raise TapewatchError("--seeds and --steps must be at least 1", "See `tapewatch evaluate abnormal-days --help`.")
    bars, strange = read_folders(args.daily)
    parts = {name: daily.days_of(each) for name, each in bars.items() if len(each) >= daily.WARM + 2 * WINDOW}
    years = sorted({int(str(day)[:4]) for part in parts.values() for day in part.dates.astype("datetime64[Y]")})
    first = args.from_year or (years[5] if len(years) > 5 else 0)
    judged_years = [year for year in years if year >= first > 0]
    if not judged_years:
        raise TapewatchError("too few years of daily bars", "Give at least six, or name --from-year.")
    found = walked(list(parts.values()), judged_years, args.seeds, args.steps)
    digest = hashlib.sha256(b"".join(each.close.tobytes() + each.dates.tobytes() for each in bars.values()))
    document = {
        "evaluate": "abnormal-days",
        "instruments": sorted(parts),
        "left_out": sorted(strange) + sorted(set(bars) - set(parts)),
        "data_hash": digest.hexdigest()[:16],
        "years": [judged_years[0], judged_years[-1]],
        "seeds": args.seeds,
        "steps": args.steps,
        "days": len(found.abnormal),
        "abnormal_share": float(found.abnormal.mean()),
        **figures(found),
    }
    encoded = msgspec.json.encode(document).decode()
    if args.out:
        args.out.write_text(encoded + "\n", encoding="utf-8")
    if args.report:
        print(f"report: {write_report(args.report, document, found.abnormal, _by_name(found))}", file=sys.stderr)
    print(encoded if args.json else text(document))
    return 0


def _by_name(found: ScoredDays) -> dict[str, F8]:
    return {name: found.scores[0, place] for place, name in enumerate(NAMES)}


def walked(parts: Sequence[Days], years: Sequence[int], seeds: int, steps: int) -> ScoredDays:
    """Every year judged by what was fitted to the days before it."""
    abnormal, month, scores = [], [], []
    for year in years:
        begin, end = np.datetime64(f"{year}-01-01"), np.datetime64(f"{year + 1}-01-01")
        # The last day before the year is left out too: its target is a return of the year.
        older = [_cut(part, part.dates < begin, -1) for part in parts]
        older = [part for part in older if len(part.values) >= WINDOW]
        if not older:
            continue
        nets = [
            Networks(daily.fit(older, Recipe("stock", steps, seed)), gan.fit(older, steps, seed))
            for seed in range(seeds)
        ]
        pieces = [_judged(part, begin, end, nets) for part in parts]
        regressions = [_regressions(older, net) for net in nets]
        for days, raw in pieces:
            abnormal.append(days.abnormal)
            month.append(days.dates.astype("datetime64[M]").astype(np.int64))
            scores.append(_with_regressions(raw, regressions))
        print(f"{year}: {sum(len(days.abnormal) for days, _ in pieces)} days judged", file=sys.stderr, flush=True)
    if not abnormal:
        raise TapewatchError("no year has days before it", "Name a later --from-year.")
    return ScoredDays(np.concatenate(abnormal), np.concatenate(month), np.concatenate(scores, axis=2))


def _cut(part: Days, there: npt.NDArray[np.bool_], end: int | None = None) -> Days:
    rows = np.flatnonzero(there)[:end]
    return Days(*(getattr(part, name)[rows] for name in Days.__slots__))


def _judged(part: Days, begin: np.datetime64, end: np.datetime64, nets: Sequence[Networks]) -> tuple[Days, F8]:
    """The days of a year whose next one is known, and float64[seeds, 4, rows]: networks, yesterday, deviation."""
    history = _cut(part, part.dates < end)
    mine = (history.dates >= begin) & history.known
    raw = np.array([_raw(history, net)[:, mine] for net in nets])
    whole = ~np.isnan(raw).any(axis=(0, 1))
    return _cut(_cut(history, mine), whole), raw[:, :, whole]


def _raw(part: Days, net: Networks) -> F8:
    strange = np.log(daily.scores(net.autoencoder, part)), np.log(gan.scores(net.gan, part))
    return np.array([*strange, part.yesterday, np.log(part.deviation)])


Model = Callable[[F8], F8]


def _regressions(older: Sequence[Days], net: Networks) -> tuple[Model, ...]:
    """Log odds by logistic regression on the days before: without a network's score, with one's, with the other's."""
    raw = np.concatenate([_raw(part, net) for part in older], axis=1)
    labels = np.concatenate([part.abnormal for part in older])
    used = ~np.isnan(raw).any(axis=0)

    def fitted(rows: list[int]) -> Model:
        model = LogisticRegression(C=1e6, max_iter=500).fit(raw[rows][:, used].T, labels[used])
        return lambda given: np.asarray(model.decision_function(given[rows].T))

    return fitted([2, 3]), fitted([2, 3, 0]), fitted([2, 3, 1])


def _with_regressions(raw: F8, regressions: Sequence[tuple[Model, ...]]) -> F8:
    if not raw.shape[2]:
        return np.zeros((len(raw), len(NAMES), 0))
    more = [[model(each) for model in models] for each, models in zip(raw, regressions, strict=True)]
    return np.concatenate([raw, np.array(more)], axis=1)


def figures(found: ScoredDays, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Any]:
    """AUROC and average precision of every score, means over seeds, and paired differences, each with a 95 % bootstrap
    interval over months of all instruments together: days of a month are not independent, nor are instruments. Draws
    without an abnormal day, or without any other, say nothing of a score and are left out; NaN where no draw says any.
    """
    months, place = np.unique(found.month, return_inverse=True)
    random = np.random.default_rng(seed)
    weights = [np.ones(len(place))]
    for _ in range(resamples):
        drawn = random.multinomial(len(months), np.full(len(months), 1.0 / len(months)))
        weights.append(drawn[place].astype(np.float64))
    measures: dict[str, Callable[..., float]] = {"auroc": roc_auc_score, "ap": average_precision_score}
    document: dict[str, Any] = {name: {} for name in (*NAMES, *_PAIRS)}
    for measure, function in measures.items():
        drawn_figures = np.array([[_mean(function, found, each, k) for k in range(len(NAMES))] for each in weights])
        for k, name in enumerate(NAMES):
            document[name][measure] = _interval(drawn_figures[:, k])
        for name, (a, b) in _PAIRS.items():
            document[name][measure] = _interval(drawn_figures[:, a] - drawn_figures[:, b])
    return document


def _mean(function: Callable[..., float], found: ScoredDays, weight: F8, place: int) -> float:
    used = weight > 0.0
    labels, weights = found.abnormal[used], weight[used]
    if labels.min() == labels.max():
        return math.nan
    rows = found.scores[:, place][:, used]
    rows = rows[:1] if place in _PLAIN else rows
    return float(np.mean([function(labels, row, sample_weight=weights) for row in rows]))


def _interval(values: F8) -> dict[str, float]:
    drawn = values[1:][~np.isnan(values[1:])]
    low, high = np.quantile(drawn, [0.025, 0.975]) if len(drawn) else (math.nan, math.nan)
    return {"mean": round(float(values[0]), 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def text(document: Mapping[str, Any]) -> str:
    """For a person."""
    lines = [
        f"{document['days']:,} days of {len(document['instruments'])} instruments, {document['years'][0]} to "
        f"{document['years'][1]}, {document['abnormal_share']:.1%} followed by an abnormal one"
    ]
    for name in (*NAMES, *_PAIRS):
        shown = (f"{key} {value['mean']:.3f} ({value['low']:.3f} to {value['high']:.3f})"
                 for key, value in document[name].items())  # fmt: skip
        lines.append(f"{name:28} {', '.join(shown)}")
    return "\n".join(lines)
