"""Makes the shipped K-means models and their cards from the synthetic market: the same command gives the same hashes.

The markets' seeds are apart from those of every test and benchmark: clusters come from some, alert distances from
others, probabilities from eventful ones, and the figures of the cards from eventful ones that nothing else has seen.
"""

import argparse
import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.training_data import START_NS, WARMUP_S, cached, market_config
from detectors import feeds
from detectors.kmeans import training
from detectors.kmeans.budget import DAY_S, false_episodes
from detectors.kmeans.model import PAIR, Card, KMeansModel, markdown
from detectors.kmeans.sample import MINUTE_S, Sample, build, concatenated
from detectors.kmeans.training import CLASSIC_CLUSTERS, INPUTS, MANY_CLUSTERS, TIERS, Recipe, score_rows, train
from producers.synthetic import SyntheticMarket
from producers.synthetic.config import MANIPULATIONS
from tapewatch.clock import NANOS

ROOT = Path(__file__).resolve().parent.parent
SHIPPED, CARDS = ROOT / "detectors" / "kmeans" / "shipped", ROOT / "docs" / "cards"

INSTRUMENTS, SECONDS = 100, 2400
RATES = (20.0, 2.0, 0.2)
"""Rows a second and instrument of the markets: liquid, thin and very thin, in equal parts."""
EVENTFUL = 8.0
FIT, HELD_OUT, CALIBRATE, MEASURE = range(7001, 7003), range(7101, 7104), range(7201, 7203), range(7301, 7303)
COMMAND = "python -m benchmarks.ship_models"

_LIMITS = {
    "kmeans": (
        "Trained on the synthetic market alone, at 20, 2 and 0.2 rows a second and instrument. What is usual "
        "there is not usual everywhere: before relying on the alert distance, retrain with `tapewatch train "
        "kmeans` on the market's own features. The score finds what moves price, volume and the book as a "
        "whole (pump-and-dump) and bursts of quotes within their second; it is near chance for spoofing and "
        "layering, and a genuine news jump lies as far out as a pump. Below half of the inputs there is no "
        "score: a feed of prices alone is not assessable."
    ),
    "kmeans_classic": (
        "Two inputs a minute: it sees pumps and news jumps alike, and nothing that happens within the book. "
        "A minute after one without volume has no score. It raises no alert by itself."
    ),
}


@dataclass(frozen=True, slots=True)
class LabelledSample:
    """A sample and what goes on at each of its rows. scenarios : object[rows]."""

    rows: Sample
    scenarios: npt.NDArray[np.object_]


def features_of(features: pa.Table, _: pa.Table) -> LabelledSample:
    """Rows of the many-feature model, from the end of the warm-up on."""
    warm = features.filter(pa.array(features["ts"].to_numpy() > START_NS + int(WARMUP_S) * NANOS))
    values = np.column_stack([warm[name].to_numpy() for name in INPUTS])
    return _marked(warm, INPUTS, values, 1)


def pairs_of(_: pa.Table, bars: pa.Table) -> LabelledSample:
    """Rows of the classic model, as the engine scores them: NaN after a minute without volume."""
    ts, close, volume = (bars[name].to_numpy() for name in ("ts", "close", "volume"))
    names = np.array(bars["instrument"].to_pylist(), dtype=str)
    order = np.lexsort((ts, names))
    follows = np.zeros(len(order), dtype=bool)
    follows[order[1:]] = (names[order[1:]] == names[order[:-1]]) & (np.diff(ts[order]) == MINUTE_S * NANOS)
    before = np.empty(len(order), dtype=np.int64)
    before[order] = np.roll(order, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.column_stack([(close / close[before] - 1.0) * 100.0, (volume / volume[before] - 1.0) * 100.0])
    values[~follows | ~(volume[before] > 0.0)] = np.nan
    return _marked(bars, PAIR, values, MINUTE_S)


def _marked(table: pa.Table, names: Sequence[str], values: npt.NDArray[Any], step_s: int) -> LabelledSample:
    instruments = np.array(table["instrument"].to_pylist(), dtype=object)
    steps = table["ts"].to_numpy() // (step_s * NANOS) - 1
    rows = build(instruments, steps, names, values, step_s, table["label"].to_numpy())
    numbers = np.arange(len(steps), dtype=np.float64)[:, None]
    order = build(instruments, steps, ("row",), numbers).values[:, 0].astype(np.int64)
    return LabelledSample(rows, np.array(table["scenario"].to_pylist(), dtype=object)[order])


Take = Callable[[pa.Table, pa.Table], LabelledSample]


def markets(
    folder: Path, seeds: Sequence[int], eventful: float, take: Take, rates: Sequence[float] = RATES
) -> LabelledSample:
    """The rows of several markets one behind the other."""
    return joined(
        [
            take(*cached(folder, market_config(INSTRUMENTS, SECONDS, eventful, rate), seed))
            for rate in rates
            for seed in seeds
        ]
    )


def joined(parts: Sequence[LabelledSample]) -> LabelledSample:
    """Samples one behind the other; an instrument of one is not that of another."""
    return LabelledSample(
        concatenated([part.rows for part in parts]), np.concatenate([part.scenarios for part in parts])
    )


def data_hash() -> str:
    """Names all markets used: version, settings, seeds and start of each."""
    digest = hashlib.sha256()
    for seeds, eventful in ((FIT, 1.0), (HELD_OUT, 1.0), (CALIBRATE, EVENTFUL), (MEASURE, EVENTFUL)):
        for rate in RATES:
            config = market_config(INSTRUMENTS, SECONDS, eventful, rate)
            for seed in seeds:
                digest.update(SyntheticMarket(config, seed, START_NS).fingerprint.encode())
    return digest.hexdigest()[:16]


def make(folder: Path, recipe: Recipe, take: Take) -> KMeansModel:
    """Train, calibrate and measure one model."""
    fit, held_out = markets(folder, FIT, 1.0, take), markets(folder, HELD_OUT, 1.0, take)
    calibrate, measured = markets(folder, CALIBRATE, EVENTFUL, take), markets(folder, MEASURE, EVENTFUL, take)
    labels = held_out.rows.labels
    prior = float(np.mean(labels == 1)) if labels is not None else 0.0
    each = len(RATES) * INSTRUMENTS
    card = Card(
        data=(
            f"synthetic market, {each} instruments x {SECONDS // 60} minutes a seed, a third each at "
            f"{', '.join(f'{rate:g}' for rate in RATES)} rows/s: {len(FIT)} seeds for the clusters, "
            f"{len(HELD_OUT)} for the alert distance, {len(CALIBRATE)} with {EVENTFUL:g} times as many events "
            f"for the probability, {len(MEASURE)} more of these for the figures"
        ),
        data_hash=data_hash(),
        command=COMMAND,
        limits=_LIMITS[recipe.detector],
    )
    model = train(recipe, fit.rows, held_out.rows, calibrate.rows, prior, None, card)
    figures = training.measure(model, measured.rows, measured.scenarios, MANIPULATIONS, prior)
    # Of the eventful market; the usual one has an eighth of its look-alikes.
    figures["false_alerts_per_day_eventful"] = figures.pop("false_alerts_per_day")
    figures |= _held_out_alerts(model, held_out.rows)
    for rate in RATES:
        part = markets(folder, HELD_OUT, 1.0, take, (rate,)).rows
        figures[f"false_alerts_per_day, {rate:g} rows/s"] = _per_day(
            model, part, feeds.by_feed(model.alerts, model.alert)[0]
        )
        seen = markets(folder, MEASURE, EVENTFUL, take, (rate,))
        figures[f"auroc, {rate:g} rows/s"] = training.measure(model, seen.rows, seen.scenarios, (), prior)["auroc"]
    return msgspec.structs.replace(
        model, card=msgspec.structs.replace(model.card, metrics=dict(sorted(figures.items())))
    )


def _held_out_alerts(model: KMeansModel, rows: Sample) -> dict[str, float]:
    """False alerts a day and instrument on the usual market, by kind of feed."""
    tiers = TIERS if model.detector == "kmeans" else {"bars": ()}
    limits = dict(zip(tiers, feeds.by_feed(model.alerts, model.alert), strict=False))
    return {
        f"false_alerts_per_day, {name}": _per_day(model, rows.masked(missing), limits[name])
        for name, missing in tiers.items()
    }


def _per_day(model: KMeansModel, rows: Sample, limit: float) -> float:
    """Episodes of normal rows a day and instrument; NaN where no row has a score."""
    found = score_rows(model, rows)
    days = float(np.count_nonzero(~np.isnan(found) & rows.normal)) * rows.step_s / DAY_S
    return round(false_episodes(rows, found, limit) / days, 4) if days else float("nan")


def main() -> int:
    """Write the shipped models and their cards."""
    parser = argparse.ArgumentParser(
        prog=COMMAND, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--cache", type=Path, default=Path(".tapewatch/training"), help="folder that keeps the markets' features"
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 where a hash differs from the shipped one"
    )
    parser.epilog = f"example: {COMMAND}"
    args = parser.parse_args()
    recipes: list[tuple[Recipe, Take]] = [
        (Recipe("kmeans", INPUTS, MANY_CLUSTERS), features_of),
        (Recipe("kmeans_classic", PAIR, CLASSIC_CLUSTERS), pairs_of),
    ]
    same = True
    for recipe, take in recipes:
        model = make(args.cache, recipe, take)
        path = SHIPPED / f"{recipe.detector}.json"
        same = same and path.is_file() and path.read_bytes() == model.encoded()
        if not args.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            CARDS.mkdir(parents=True, exist_ok=True)
            path.write_bytes(model.encoded())
            (CARDS / f"{recipe.detector}.md").write_text(markdown(model))
        print(f"{recipe.detector} {model.hash}", file=sys.stderr)
    return 0 if same or not args.check else 1


if __name__ == "__main__":
    sys.exit(main())
