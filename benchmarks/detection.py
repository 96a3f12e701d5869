"""How hard the injected manipulation is, and what detectors make of it: the engine's own scores beside K-means and
gradient boosting on simple per-second features, each recording judged by models that never saw it.

Run as `python -m benchmarks.detection --recordings DIR --seeds 1-4 --strengths 3 8 --out FILE`. A detector of one's own
is a function of what the engine said: `--detector NAME=MODULE:FUNCTION`, see `Detector`.
"""

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from benchmarks.document import give
from benchmarks.injection import BOOK_SCENARIOS, Plan, RecordedMarket, inject, recorded_markets
from benchmarks.injection.overlay import overlaid
from benchmarks.second_features import second_features
from evaluation.scenario_figures import (
    MARGIN_S,
    STAND_IN,
    ScenarioAlert,
    Seconds,
    alerting,
    overlapping,
    scored_seconds,
    separation,
)
from evaluation.scenario_labels import Event
from evaluation.scenario_market import MarketRun, run_market
from tapewatch.clock import NANOS
from tapewatch.contract.messages import from_rfc3339

F8 = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

Detector = Callable[[MarketRun, tuple[str, ...]], Seconds]
"""What the engine said of a market, and the scenarios asked for -> seconds scored, as `scored_seconds` gives them."""

CENTRES = 8
CLIP = 20.0


@dataclass(frozen=True, slots=True)
class Example:
    """An injected market and what the engine said about it; `name` stands for its instrument in what follows."""

    name: str
    recording: str
    begin: int
    strength: float
    run: MarketRun
    seconds: Seconds
    features: F8
    events: list[Event]

    def named(self, score: F8) -> Seconds:
        """The seconds with another score."""
        return Seconds((self.name,), np.zeros(len(score), np.int64), self.seconds.second, score)


def example(market: RecordedMarket, strength: float, seed: int) -> Example:
    """One recording with manipulation of one strength, through the engine."""
    plan = Plan(strengths=(strength,))
    injected = inject(market, plan, seed)
    result = run_market(injected.rows)
    name = f"{market.name} {strength:g} {seed}"
    events = [Event(label.scenario, name, label.begin / NANOS, label.end / NANOS) for label in injected.manipulations]
    seconds = warm(scored_seconds(result, (STAND_IN,)), market.begin, plan.warm_s)
    features = second_features(injected.rows, seconds.second)[1]
    return Example(name, market.name, market.begin, strength, result, seconds, features, events)


def warm(seconds: Seconds, begin: int, warm_s: float) -> Seconds:
    """Without the first `warm_s` seconds, in which nothing is injected: silence there wins nothing."""
    kept = seconds.second >= begin / NANOS + warm_s
    return Seconds(seconds.names, seconds.instrument[kept], seconds.second[kept], seconds.score[kept])


def boosting(train: Sequence[Example], wanted: Callable[[Event], bool], seed: int) -> Callable[[Example], F8]:
    """Gradient boosting on the simple features; NaN is a value of its own."""
    rows, flags = _training(train, wanted)
    model = HistGradientBoostingClassifier(
        max_iter=150, learning_rate=0.06, max_leaf_nodes=15, min_samples_leaf=20, l2_regularization=1.0,
        class_weight="balanced", random_state=seed,
    ).fit(rows, flags)  # fmt: skip

    def score(one: Example) -> F8:
        found: F8 = model.predict_proba(one.features)[:, 1]
        return found

    return score


def clustering(train: Sequence[Example], wanted: Callable[[Event], bool], seed: int) -> Callable[[Example], F8]:
    """Distance to the nearest of eight K-means centres of the training recordings' unlabelled seconds."""
    rows, flags = _training(train, wanted)
    normal = rows[~flags]
    location = np.nan_to_num(np.nanmedian(normal, axis=0))
    scale = np.nan_to_num(1.4826 * np.nanmedian(np.abs(normal - location), axis=0), nan=1.0)
    scale = np.where(scale > 0, scale, np.nan_to_num(np.nanstd(normal, axis=0), nan=1.0) + 1e-12)

    def scaled(values: F8) -> F8:
        return np.nan_to_num(np.clip((values - location) / scale, -CLIP, CLIP), nan=0.0)

    model = KMeans(CENTRES, n_init=3, random_state=seed).fit(scaled(normal))

    def score(one: Example) -> F8:
        found: F8 = model.transform(scaled(one.features)).min(axis=1)
        return found

    return score


def _training(train: Sequence[Example], wanted: Callable[[Event], bool]) -> tuple[F8, Flags]:
    """Feature rows with whether they are of a wanted event; seconds near other events are left out."""
    rows, flags = [], []
    for one in train:
        seconds = one.named(one.seconds.score)
        positive = overlapping(seconds, [event for event in one.events if wanted(event)])
        used = positive | ~overlapping(seconds, one.events, MARGIN_S)
        rows.append(one.features[used])
        flags.append(positive[used])
    return np.concatenate(rows), np.concatenate(flags)


def engine(run: MarketRun, names: tuple[str, ...]) -> Seconds:
    """The highest of the engine's scores of these scenarios; K-means where it has none of them."""
    return scored_seconds(run, [name for name in names if name in run.scores] or [STAND_IN])


def judge_of(detector: Detector, names: tuple[str, ...]) -> Callable[[Example], F8]:
    """A detector as a score of an example's seconds."""
    return lambda one: warm(detector(one.run, names), one.begin, Plan().warm_s).score


def detector_named(text: str) -> tuple[str, Detector]:
    """`NAME=MODULE:FUNCTION`."""
    name, _, where = text.partition("=")
    module, _, function = where.partition(":")
    return name, getattr(importlib.import_module(module), function)


def measured(examples: Sequence[Example], seed: int, detectors: dict[str, Detector]) -> dict[str, Any]:
    """Figures by detector, strength and scenario; `all` is any scenario."""
    groups = {"all": tuple(BOOK_SCENARIOS), **{name: (name,) for name in BOOK_SCENARIOS}}
    found: dict[str, Any] = {}
    for group, names in groups.items():
        with threadpool_limits(1):
            scores = _scores(examples, names, seed, detectors)
        for detector, by_example in scores.items():
            for strength in sorted({one.strength for one in examples}):
                chosen = [one for one in examples if one.strength == strength]
                figures = _figures(chosen, by_example, names, seed)
                if detector == "engine":
                    figures |= _alerting(chosen, names, group == "all")
                found.setdefault(detector, {}).setdefault(f"{strength:g}", {})[group] = figures
    return found


def _scores(
    examples: Sequence[Example], names: tuple[str, ...], seed: int, detectors: dict[str, Detector]
) -> dict[str, dict[str, F8]]:
    """Detector -> example -> score a second, every learned one trained on the other recordings."""
    found: dict[str, dict[str, F8]] = {name: {} for name in ("boosting", "kmeans", *detectors)}
    for recording in sorted({one.recording for one in examples}):
        train = [one for one in examples if one.recording != recording]
        judges = {
            **{name: judge_of(detector, names) for name, detector in detectors.items()},
            "boosting": boosting(train, lambda event: event.scenario in names, seed),
            "kmeans": clustering(train, lambda event: event.scenario in names, seed),
        }
        for one in examples:
            if one.recording == recording:
                for detector, judge in judges.items():
                    found[detector][one.name] = judge(one)
    return found


def _figures(
    examples: Sequence[Example], scores: dict[str, F8], names: Sequence[str], seed: int
) -> dict[str, dict[str, float | None]]:
    """AUROC and recall with all markets of one strength put together, one threshold for all."""
    parts = [one.named(scores[one.name]) for one in examples]
    together = Seconds(
        tuple(one.name for one in examples),
        np.concatenate([np.full(len(part), place) for place, part in enumerate(parts)]),
        np.concatenate([part.second for part in parts]),
        np.concatenate([part.score for part in parts]),
    )
    every = [event for one in examples for event in one.events]
    return separation(together, [event for event in every if event.scenario in names], every, seed)


def _alerting(examples: Sequence[Example], names: Sequence[str], every_alert: bool) -> dict[str, Any]:
    """What the shipped thresholds say."""
    said: list[ScenarioAlert] = []
    every: list[Event] = []
    hours = 0.0
    for one in examples:
        said += [
            ScenarioAlert(alert.scenario, one.name, from_rfc3339(alert.decided) / NANOS)
            for alert in one.run.alerts
            if every_alert or alert.scenario in names
        ]
        every += one.events
        hours += float((~overlapping(one.named(one.seconds.score), one.events, MARGIN_S)).sum()) / 3600.0
    return alerting(said, [event for event in every if event.scenario in names], every, hours)


def untouched(markets: Sequence[RecordedMarket]) -> dict[str, Any]:
    """Alerts on the recordings as they are."""
    alerts: dict[str, int] = {}
    hours = 0.0
    for market in markets:
        result = run_market(overlaid(market, [], extra_books=False))
        hours += len(scored_seconds(result, ())) / 3600.0
        for alert in result.alerts:
            alerts[alert.scenario] = alerts.get(alert.scenario, 0) + 1
    return {"instrument_hours": hours, "alerts": alerts}


def seeds_of(text: str) -> list[int]:
    """`1-4` or `7`."""
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


def main() -> int:
    """Inject, run, judge, and print or write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python -m benchmarks.detection --recordings DIR --seeds 1-4 --strengths 3 8",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--recordings", type=Path, required=True, metavar="DIR", help="folder of Binance recordings")
    parser.add_argument("--seeds", type=seeds_of, default=[1, 2, 3, 4], metavar="A-B", help="first and last seed")
    parser.add_argument("--strengths", type=float, nargs="+", default=[3.0, 8.0])
    parser.add_argument("--seed", type=int, default=0, help="of the models and the intervals")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the JSON document to a file")
    parser.add_argument(
        "--detector",
        type=detector_named,
        action="append",
        default=[],
        metavar="NAME=MODULE:FUNCTION",
        help="a further one",
    )
    args = parser.parse_args()
    markets = recorded_markets([args.recordings])
    examples = []
    for market in markets:
        for strength in args.strengths:
            for seed in args.seeds:
                examples.append(example(market, strength, seed))
                print(examples[-1].name, f"{len(examples[-1].events)} events", file=sys.stderr)
    figures = measured(examples, args.seed, {"engine": engine, **dict(args.detector)})
    document = {
        "benchmark": "detection",
        "recordings": [market.name for market in markets],
        "seeds": args.seeds,
        "seed": args.seed,
        "events": {name: sum(event.scenario == name for one in examples for event in one.events)
                   for name in BOOK_SCENARIOS},
        "untouched": untouched(markets),
        **figures,
        "configuration": examples[0].run.configuration,
        "models": examples[0].run.models,
        "build": examples[0].run.build,
    }  # fmt: skip
    give(document, args.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
