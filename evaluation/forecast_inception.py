"""Whether an index rises in 14 bars, by an Inception network on factor images: walk-forward, beside its rivals.

Neighbouring days share 13 of 14 bars of their labels, so a year holds some 18 separate ones: days are drawn in blocks
of 28.

The Inception network and its rivals over the years: each year judged by what was fitted to the years before it.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from detectors.forecast import judging
from detectors.forecast.inception.fitting import STEPS, fit
from detectors.forecast.inception.images import AHEAD, DAYS, REACH, Images, Loss, images
from detectors.forecast.inception.model import channels_of, factors
from detectors.forecast.inception.network import Kind, shapes
from detectors.forecast.inception.rivals import logistic, majority
from detectors.forecast.series import Panel
from detectors.forecast.walk import Fold, folds, years
from evaluation import factor_pictures
from evaluation import pump_page as pages
from evaluation.forecast_figures import Days, counts, days_of, interval, values
from tapewatch.errors import TapewatchError

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

LEAST = 250
"""Images to fit to, about a year of them, without which a year is not judged."""
NETWORKS: tuple[Kind, ...] = ("inception", "cnn")
RIVALS = ("logistic", "logistic_image", "momentum", "momentum_56", "majority")
"""Logistic regression on the last day's factors and on the whole image; the sign of the last 14 and 56 bars' return."""


@dataclass(frozen=True, slots=True)
class ImageForecasts:
    """What every model said of the judged images, in time order.

    rows : int64[judged], images; year : int64[judged]
    chances : by model, float64[seeds, judged], 1 seed where nothing is drawn: probability of a rise, of momentum the
    past log return plus a half, so that a rise is what lies above a half in every one
    years : what each year was fitted to and judged on, and how far each network learnt
    """

    rows: I8
    year: I8
    chances: dict[str, F8]
    years: list[dict[str, Any]]


def walk(found: Images, first_year: int, seeds: int, steps: int = STEPS) -> ImageForecasts:
    """Fit and judge year by year. ValueError where no year has LEAST images before it."""
    parts: list[tuple[I8, I8, dict[str, F8]]] = []
    lines: list[dict[str, Any]] = []
    for year, fold in _folds(found, first_year):
        chances, learnt = _year(found, fold, seeds, steps)
        rows = np.flatnonzero(fold.test)
        parts.append((rows, np.full(len(rows), year), chances))
        sizes = {name: int(getattr(fold, name).sum()) for name in ("fit", "calibrate", "test")}
        lines.append({"year": year, **sizes, "up": float(found.up[rows].mean()), **learnt})
        print(f"{year}: {sizes['fit']} images fitted to, {len(rows)} judged", file=sys.stderr)
    if not parts:
        raise ValueError(f"no year from {first_year} on has {LEAST} labelled images before it")
    return ImageForecasts(
        np.concatenate([rows for rows, _, _ in parts]),
        np.concatenate([year for _, year, _ in parts]),
        {name: np.concatenate([each[name] for _, _, each in parts], axis=1) for name in parts[0][2]},
        lines,
    )


def _folds(found: Images, first_year: int) -> Iterator[tuple[int, Fold]]:
    """The years with enough before them, over images whose label is known."""
    labelled = found.labelled
    if not labelled.any():
        raise ValueError("no window has all its factors in every channel and a known label")
    at, known = found.at, np.where(labelled, found.known, np.iinfo(np.int64).max)
    for fold in folds(at, known, years(at, first_year)):
        # Test rows without a label cannot be judged.
        judged = Fold(fold.fit, fold.calibrate, fold.test & labelled)
        if fold.fit.sum() >= LEAST and judged.test.any():
            yield int(at[judged.test][0].astype("datetime64[ns]").astype("datetime64[Y]").astype(int)) + 1970, judged


def _year(found: Images, fold: Fold, seeds: int, steps: int) -> tuple[dict[str, F8], dict[str, Any]]:
    """Every model's word on the fold's test rows, and how far the networks learnt."""
    chances: dict[str, F8] = {}
    learnt: dict[str, Any] = {}
    for kind in NETWORKS:
        fitted = [fit(found.pixels, found.up, fold, seed, kind, steps) for seed in range(seeds)]
        chances[kind] = np.array([each.probabilities(found.pixels[fold.test]) for each in fitted])
        learnt[kind] = {
            "steps": [each.steps for each in fitted],
            "slopes": [round(each.calibration.slope, 4) for each in fitted],
        }
    made: dict[str, Callable[[], F8]] = {
        "logistic": lambda: logistic(_last_day(found), found.up, fold),
        "logistic_image": lambda: logistic(_flat(found), found.up, fold),
        "momentum": lambda: found.past[fold.test, AHEAD - 1] + 0.5,
        "momentum_56": lambda: found.past[fold.test, DAYS - 1] + 0.5,
        "majority": lambda: majority(found.up, fold),
    }
    return chances | {name: made[name]()[None] for name in RIVALS}, learnt


def _last_day(found: Images) -> F8:
    return found.pixels[:, :, -1].reshape(len(found.pixels), -1).astype(np.float64)


def _flat(found: Images) -> F8:
    return found.pixels.reshape(len(found.pixels), -1).astype(np.float64)


Bools = npt.NDArray[np.bool_]

BLOCK = 2 * AHEAD
"""Days in a row that stay together in a draw: twice what labels reach ahead."""
FIGURES = ("accuracy", "balanced_accuracy", "auc")
_NAMES = {
    "inception": "Inception", "cnn": "the plain CNN", "logistic": "logistic regression on the last day",
    "logistic_image": "logistic regression on the image", "momentum": "momentum of 14 bars",
    "momentum_56": "momentum of 56 bars", "majority": "the more frequent class",
}  # fmt: skip


def judge(panel: Panel, name: str, args: argparse.Namespace) -> dict[str, Any]:
    """The document's figures. args : seeds, first_year, and, where given, channels, target, report

    With a report's folder the pictures of the images are written there.
    """
    try:
        channels = channels_of(panel, getattr(args, "channels", None) or (), getattr(args, "target", None) or "")
        found = images(panel, channels, factors)
        walked = walk(found, args.first_year, args.seeds)
    except ValueError as error:
        raise TapewatchError(
            str(error), "Name instruments with a long common history: --channels A B C --target A."
        ) from error
    document = described(found, walked)
    if getattr(args, "report", None):
        document["pictures"] = factor_pictures.write(args.report, found, walked.rows)
    return document


def described(found: Images, walked: ImageForecasts) -> dict[str, Any]:
    """What the images were, what was lost of them, and the figures."""
    return {
        "target": found.channels[0],
        "channels": list(found.channels),
        "image": {"days": DAYS, "factors": list(found.factors), "scaled_over_days": REACH, "ahead_bars": AHEAD},
        "weights": {kind: _weights(found, kind) for kind in NETWORKS},
        "data_loss": loss(found.loss),
        "block_days": BLOCK,
        **figures(found, walked),
        "years": walked.years,
    }


def loss(of: Loss) -> dict[str, Any]:
    """Windows dropped: count and ratio by reason."""
    dropped = {name: {"windows": count, "ratio": of.ratios[name]} for name, count in of.dropped.items()}
    return {
        "possible": of.possible, "used": of.used, "dropped": dropped, "ratio_dropped": 1.0 - of.used / of.possible,
    }  # fmt: skip


def figures(found: Images, walked: ImageForecasts) -> dict[str, Any]:
    """Inception's figures at the top, each rival's under its name, paired differences, and verdicts in words."""
    up = found.up[walked.rows]
    days = days_of(found.at[walked.rows], BLOCK)
    drawn = {name: _drawn(days, up, chances, walked) for name, chances in walked.chances.items()}
    shown = {name: {each: interval(held[each]) for each in FIGURES} for name, held in drawn.items()}
    differences = {
        rival: {each: interval(drawn["inception"][each] - drawn[rival][each]) for each in FIGURES}
        for rival in ("cnn", *RIVALS)
    }
    chances = walked.chances["inception"]
    return {
        "judged": len(up),
        "separate_labels": len(up) // AHEAD,
        "up": interval(values(days, np.column_stack([up, np.ones(len(up))]), lambda total: total[0] / total[1])),
        **shown["inception"],
        "brier": _brier(days, up, chances),
        "brier_majority": _brier(days, up, walked.chances["majority"]),
        "by_seed": {kind: _by_seed(up, walked.chances[kind]) for kind in NETWORKS},
        **{name: each for name, each in shown.items() if name != "inception"},
        "differences": differences,
        "verdicts": _verdicts(shown, differences),
    }


def _drawn(days: Days, up: Bools, chances: F8, walked: ImageForecasts) -> dict[str, F8]:
    """Each figure of all days and of each draw, the mean over seeds, float64[1 + draws]."""
    found: dict[str, list[F8]] = {each: [] for each in FIGURES}
    for one in chances:
        cell = up.astype(np.int64) * 2 + (one > 0.5)
        confusion = counts(days, cell, 4).reshape(-1, 2, 2)
        found["accuracy"].append(judging.accuracy(confusion))
        found["balanced_accuracy"].append(judging.balanced_accuracy(confusion))
        # Ranked within a year: what a year's fit says of its days' order, whatever level it gives the whole year.
        place = judging.ranked(_within_years(one, walked))
        ranks = counts(days, place * 2 + up, 2 * judging.BINS).reshape(-1, judging.BINS, 2)
        found["auc"].append(judging.auc(ranks))
    return {each: np.mean(rows, axis=0) for each, rows in found.items()}


def _within_years(chance: F8, walked: ImageForecasts) -> F8:
    """Each row's place among those of its year, within 0 and 1, float64[rows]; equal ones share it."""
    found = np.empty(len(chance))
    for year in np.unique(walked.year):
        own = walked.year == year
        found[own] = (rankdata(chance[own]) - 0.5) / own.sum()
    return found


def _brier(days: Days, up: Bools, chances: F8) -> dict[str, float]:
    """Mean squared error of the probabilities, the mean over seeds."""
    missed = np.square(chances - up).mean(axis=0)
    return interval(values(days, np.column_stack([missed, np.ones(len(up))]), lambda total: total[0] / total[1]))


def _by_seed(up: Bools, chances: F8) -> list[float]:
    return [float(((one > 0.5) == up).mean()) for one in chances]


def _weights(found: Images, kind: Any) -> int:
    return int(sum(np.prod(shape) for shape in shapes(kind, *found.pixels.shape[1:]).values()))


def _verdicts(shown: dict[str, Any], differences: dict[str, Any]) -> list[str]:
    """In words: whether each has skill at all, then what Inception is beside each rival."""
    lines = [f"{_NAMES[name]}: {_chance(each)}" for name, each in shown.items() if name != "majority"]
    for rival, gaps in differences.items():
        words = ", ".join(f"{_said(each)} {_beside(gap)}" for each, gap in gaps.items())
        lines.append(f"Inception beside {_NAMES[rival]}: {words}")
    return lines


def _chance(each: dict[str, Any]) -> str:
    # Not by the AUC: ranked within years, bets on reversal lie above a half on random walks too.
    return f"{'skill' if each['balanced_accuracy']['low'] > 0.5 else 'no skill'} beyond chance"


def _beside(gap: dict[str, float]) -> str:
    if gap["low"] > 0.0:
        return "higher"
    return "lower" if gap["high"] < 0.0 else "not told apart"


def _said(figure: str) -> str:
    return figure.replace("_", " ").replace("auc", "AUC")


def page(folder: Path, document: dict[str, Any]) -> Path:
    """Write inception.html: figures, differences, windows lost, and the pictures that `judge` wrote."""
    rows = [["Inception", *(_shown(document[each]) for each in FIGURES)]]
    rows += [[_NAMES[name], *(_shown(document[name][each]) for each in FIGURES)] for name in ("cnn", *RIVALS)]
    gaps = [
        [_NAMES[name], *(_shown(pairs[each]) for each in FIGURES)] for name, pairs in document["differences"].items()
    ]
    lost = document["data_loss"]
    windows = [["possible", lost["possible"], "100.0 %"]]
    windows += [[name, each["windows"], f"{each['ratio']:.1%}"] for name, each in lost["dropped"].items()]
    windows += [["used", lost["used"], f"{1.0 - lost['ratio_dropped']:.1%}"]]
    head = ["", *map(_said, FIGURES)]
    parts = [
        pages.table(["", ""], [["Target", document["target"]], ["Channels", ", ".join(document["channels"])],
                               ["Images judged", document["judged"]],
                               ["Labels that do not overlap", document["separate_labels"]]]),
        "<h2>Figures</h2>", pages.table(head, rows),
        "<h2>Inception less each rival</h2>", pages.table(head, gaps),
        pages.table(["in words"], [[line] for line in document["verdicts"]]),
        "<h2>Windows dropped</h2>", pages.table(["reason", "windows", "share"], windows),
        *(pages.kept_picture(name, caption) for name, caption in document.get("pictures", {}).items()),
    ]  # fmt: skip
    return pages.write(folder, "inception.html", f"Factor images: {document['target']} in {AHEAD} bars", parts)


def _shown(figure: dict[str, float]) -> str:
    return f"{figure['mean']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"
