"""`tapewatch evaluate nab`: the univariate detector on the Numenta Anomaly Benchmark, judged by its published score.

One configuration for every series. As the benchmark rules, the one threshold is the best over all series; the score at
the shipped threshold stands beside it.

Detectors to compare with: one that never alerts, one that draws lots, and NAB's windowed Gaussian.
"""

import argparse
import hashlib
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from detectors import univariate
from detectors.univariate import UnivariateParameters
from evaluation.nab_score import (
    DetectorScores,
    Profile,
    Series,
    best_threshold,
    development,
    read_profiles,
    read_series,
    rows_of,
)
from tapewatch.clock import NANOS, WALL
from tapewatch.settings import Settings

F8 = npt.NDArray[np.float64]

_WINDOW = 6400
_STEP = 100
_SMALLEST = 1e-6
_DIGITS = 12
"""Digits that the benchmark's result files carry; what they merge into 1.0 decides this baseline's score."""
_TAIL = np.frompyfunc(math.erfc, 1, 1)


def null(values: F8, seed: int) -> F8:
    """The same score everywhere, float64[rows]."""
    return np.full(len(values), 0.5)


def random(values: F8, seed: int) -> F8:
    """Uniform draws, float64[rows]."""
    return np.random.default_rng(seed).random(len(values))


def windowed_gaussian(values: F8, seed: int) -> F8:
    """1 - P(further from the mean on that side), by a Gaussian over the last 6,400 values, moved 100 at a time.

    float64[rows]; the baseline that NAB's table lists at 39.6.
    """
    rows = len(values)
    upto = np.arange(rows)
    late = np.maximum(upto - _WINDOW, 0) // _STEP * _STEP
    first, last = late, np.where(upto > _WINDOW, _WINDOW + late, upto)
    shifted = values - values[0] if rows else values
    sums = np.concatenate([[0.0], np.cumsum(shifted)])
    squares = np.concatenate([[0.0], np.cumsum(shifted * shifted)])
    count = np.maximum(last - first, 1)
    mean = (sums[last] - sums[first]) / count
    spread = np.sqrt(np.maximum((squares[last] - squares[first]) / count - mean * mean, 0.0))
    spread[spread == 0.0] = _SMALLEST
    distance = np.abs(shifted - mean) / spread
    found: F8 = np.round(1.0 - 0.5 * _TAIL(distance / math.sqrt(2.0)).astype(np.float64), _DIGITS)
    if rows:
        found[0] = 0.0
    return found


SHIPPED = 0.5
"""The threshold that the detector alerts at without an optimiser."""
FINANCE = ("realTweets", "realAdExchange")
BASELINES: dict[str, Callable[[F8, int], F8]] = {
    "null": null,
    "random": random,
    "windowed_gaussian": windowed_gaussian,
}
"""Scores of one series by its values and a seed."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the benchmark's folder."""
    parser.epilog = "example: tapewatch evaluate nab --data NAB/ --json --report report/"
    # Not args.data: that is the setting of the product's own data folder.
    parser.add_argument(
        "--data",
        dest="benchmark",
        type=Path,
        required=True,
        metavar="DIR",
        help="the benchmark: data/, labels/combined_windows.json, profiles.json",
    )
    parser.add_argument("--seed", type=int, default=1, help="of the random baseline and the bootstrap (default: 1)")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Run detector and baselines over all series and print the scores."""
    series, profiles = read_series(args.benchmark), read_profiles(args.benchmark)
    parameters = UnivariateParameters()
    detect(series[:1], parameters)  # Compiles: not what is measured.
    started = WALL.elapsed()
    found = detect(series, parameters)
    seconds = (WALL.elapsed() - started) / NANOS
    judged = {profile.name: judge(series, found, profile) for profile in profiles}
    document = {
        "evaluate": "nab",
        "data": {"series": len(series), "windows": sum(len(one.windows) for one in series), "sha256": digest(series)},
        **figures(judged, args.seed),
        "baselines": {name: baseline(series, profiles, name, args.seed) for name in BASELINES},
        "detector": describe(parameters),
        "rows": sum(len(one.values) for one in series),
        "seconds": seconds,
        "seed": args.seed,
        "versions": {name: version(name) for name in ("tapewatch", "numba", "numpy")},
    }
    encoded = msgspec.json.encode(document)
    if args.out:
        args.out.write_bytes(encoded + b"\n")
    if args.report:
        from evaluation.nab_score import write_report

        print(write_report(args.report, document, judged["standard"]), file=sys.stderr)
    print(encoded.decode() if args.json else text(document))
    return 0


def detect(series: Sequence[Series], parameters: UnivariateParameters) -> list[F8]:
    """The univariate detector's scores of every series, each from an empty state, value by value."""
    found = []
    for one in series:
        states = univariate.new_states(1)
        scores = np.zeros(len(one.values))
        univariate.run(states[0], univariate.scratch_for(states), one.values, parameters.array(), scores)
        found.append(scores)
    return found


def judge(series: Sequence[Series], scores: Sequence[F8], profile: Profile) -> DetectorScores:
    """Scores of every series, and the best threshold over all."""
    rows = [rows_of(one, profile) for one in series]
    return DetectorScores(series, profile, rows, scores, best_threshold(rows, scores, profile))


def figures(judged: dict[str, DetectorScores], seed: int) -> dict[str, Any]:
    """What the detector scores, by profile, category and development half."""
    standard = judged["standard"]
    series = standard.series
    developed = development(list(series))
    categories = sorted({one.category for one in series})
    halves = {"development": developed, "held_out": [not one for one in developed]}
    return {
        "score": standard.interval(seed),
        "threshold": standard.threshold,
        "at_shipped_threshold": {"threshold": SHIPPED, "score": standard.score(threshold=SHIPPED)},
        "profiles": {name: {"score": one.score(), "threshold": one.threshold} for name, one in judged.items()},
        "halves": {name: part(standard, members) for name, members in halves.items()},
        "categories": {name: part(standard, [one.category == name for one in series]) for name in categories},
        "finance": part(standard, [one.category in FINANCE for one in series]),
        "series": [
            dict(
                zip(
                    ("name", "rows", "windows", "hit", "false_rows", "raw"),
                    (one.name, len(one.values), len(one.windows), *standard.alerts(number), float(raw)),
                    strict=True,
                )
            )
            for number, (one, raw) in enumerate(zip(series, standard.raw(), strict=True))
        ],
    }


def part(judged: DetectorScores, members: Sequence[bool]) -> dict[str, Any]:
    """Figures of some series. The score is null where none of them has a window."""
    numbers = [number for number, member in enumerate(members) if member]
    windows = sum(len(judged.series[number].windows) for number in numbers)
    alerts = [judged.alerts(number) for number in numbers]
    return {
        "series": len(numbers),
        "windows": windows,
        "hit": sum(hit for hit, _ in alerts),
        "false_rows": sum(false for _, false in alerts),
        "score": judged.score(members) if windows else None,
        "score_at_shipped_threshold": judged.score(members, SHIPPED) if windows else None,
    }


def baseline(series: Sequence[Series], profiles: Sequence[Profile], name: str, seed: int) -> dict[str, Any]:
    """A baseline's score and threshold under every profile."""
    scores = [BASELINES[name](one.values, seed + number) for number, one in enumerate(series)]
    found = [judge(series, scores, profile) for profile in profiles]
    return {one.profile.name: {"score": one.score(), "threshold": one.threshold} for one in found}


def digest(series: Sequence[Series]) -> str:
    """sha256 over names, times, values and windows."""
    sha = hashlib.sha256()
    for one in series:
        sha.update(one.name.encode() + one.seconds.tobytes() + one.values.tobytes() + one.windows.tobytes())
    return sha.hexdigest()


def describe(parameters: UnivariateParameters) -> dict[str, Any]:
    """The detector's configuration, its hash, and the bytes of state a series takes."""
    values = asdict(parameters)
    return {
        "configuration": values,
        "hash": hashlib.sha256(msgspec.json.encode(values, order="sorted")).hexdigest()[:16],
        "state_bytes": univariate.new_states(1).nbytes,
    }


def text(document: dict[str, Any]) -> str:
    """The figures as lines."""
    score, halves = document["score"], document["halves"]
    lines = [
        f"score {score['mean']:.1f} ({score['low']:.1f} to {score['high']:.1f}), threshold {document['threshold']:.4f}",
        f"at the shipped threshold {document['at_shipped_threshold']['score']:.1f}; development half "
        f"{halves['development']['score']:.1f}, held-out half {halves['held_out']['score']:.1f}",
    ]
    for name, one in document["profiles"].items():
        lines.append(f"{name:22} {one['score']:.1f}")
    for name, one in {**document["categories"], "finance": document["finance"]}.items():
        found = "     -" if one["score"] is None else f"{one['score']:6.1f}"
        lines.append(f"{name:22} {found}  {one['hit']}/{one['windows']} windows, {one['false_rows']} false rows")
    for name, one in document["baselines"].items():
        lines.append(f"baseline {name:18} {one['standard']['score']:.1f}")
    lines.append(f"{document['rows']:,} rows in {document['seconds']:.1f} s")
    return "\n".join(lines)
