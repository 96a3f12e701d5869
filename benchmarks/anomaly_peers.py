"""K-means, autoencoder, isolation forest and their fusion on markets that nothing was fitted, calibrated or chosen on.

Run as `python -m benchmarks.anomaly_peers --out docs/results/anomaly-peers.json`. Eventful markets judge separation and
probabilities, usual ones the alert budget; `--recording` adds real rows, in which every alert counts as false.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from benchmarks.ship_models import EVENTFUL, RATES, ROOT, LabelledSample, markets
from benchmarks.ship_peers import COLUMNS, KMEANS, PEERS, Peer, knots_of, rows_of, score_of
from detectors import calibration, fusion
from detectors.autoencoder import model as autoencoder
from detectors.autoencoder.model import AutoencoderModel
from detectors.calibration import Reliability, probabilities
from detectors.feeds import by_feed
from detectors.isolation import model as isolation
from detectors.kmeans import model as kmeans
from detectors.kmeans.budget import DAY_S, false_episodes
from detectors.kmeans.sample import Sample, build, concatenated
from evaluation import intervals
from producers.feed import FrameEncoder, RecordedFrames
from producers.recordings import open_recording
from producers.synthetic.config import MANIPULATIONS
from streams.driver import Driver, table
from tapewatch.clock import NANOS
from tapewatch.contract.frames import FrameHeaders
from tapewatch.market_log.registry import FixedRegistry

F8 = npt.NDArray[np.float64]

TEST, USUAL = (8401, 8402, 8403), (8501, 8502)
"""Seeds of the eventful and of the usual markets: apart from those of every model, test and other benchmark."""
NAMES = (*PEERS, "fusion")
_FALSE_POSITIVES = 0.01


class DetectorScores:
    """Scores and probabilities of every detector on one sample, and its alert limit."""

    def __init__(self, models: Sequence[Peer], fused: fusion.FusionModel, rows: Sample) -> None:
        self.rows = rows
        self.scores = {name: score_of(model)(rows) for name, model in zip(PEERS, models, strict=True)}
        self.chances = {
            name: probabilities(self.scores[name], knots_of(model)) for name, model in zip(PEERS, models, strict=True)
        }
        self.scores["fusion"] = fusion.fused(np.column_stack([self.chances[name] for name in PEERS]), fused)
        self.chances["fusion"] = probabilities(self.scores["fusion"], fused.knots)


def limits(models: Sequence[Peer], fused: fusion.FusionModel) -> dict[str, float]:
    """The shipped alert limits on feeds with trades, quotes and books."""
    found = {name: limits_of(model)[0] for name, model in zip(PEERS, models, strict=True)}
    return found | {"fusion": fused.alert}


def limits_of(model: Peer) -> tuple[float, ...]:
    """The alert limits of a detector as detectors.feeds.by_feed has them."""
    described = model.described if isinstance(model, AutoencoderModel) else model
    return by_feed(described.alerts, described.alert)


def separation(name: str, scored: DetectorScores, scenarios: npt.NDArray[np.object_]) -> dict[str, float]:
    """AUROC over all manipulated and usual seconds and for each manipulation, and the share of events any of whose
    seconds lies beyond the score that 1 % of the usual seconds reach.
    """
    found, labels = scored.scores[name], labels_of(scored.rows)
    there = ~np.isnan(np.column_stack(list(scored.scores.values()))).any(axis=1)
    usual, bad = there & (labels == 0), there & (labels == 1)
    figures = {"auroc": auroc(found, usual, bad)}
    limit = float(np.quantile(found[usual], 1.0 - _FALSE_POSITIVES))
    hits: list[bool] = []
    for scenario in MANIPULATIONS:
        of = bad & (scenarios == scenario)
        figures[f"auroc_{scenario}"] = auroc(found, usual, of)
        each = [bool((found[event] > limit).any()) for event in _events(of, scored.rows)]
        figures[f"event_recall_at_1pct_{scenario}"] = float(np.mean(each)) if each else float("nan")
        hits += each
    return figures | {"event_recall_at_1pct": float(np.mean(hits))}


def labels_of(rows: Sample) -> npt.NDArray[np.int8]:
    """Labels, all usual where there are none."""
    return rows.labels if rows.labels is not None else np.zeros(len(rows), dtype=np.int8)


def auroc(found: F8, usual: npt.NDArray[np.bool_], bad: npt.NDArray[np.bool_]) -> float:
    """Of manipulated against usual rows, NaN where there are none of either."""
    used = usual | bad
    return float(roc_auc_score(bad[used], found[used])) if bad.any() and usual.any() else float("nan")


def _events(on: npt.NDArray[np.bool_], rows: Sample) -> list[npt.NDArray[np.int64]]:
    """Row numbers of every run of consecutive rows of one instrument."""
    at = np.flatnonzero(on)
    if not len(at):
        return []
    owner = np.repeat(np.arange(len(rows.starts) - 1), np.diff(rows.starts))
    return list(np.split(at, np.flatnonzero((np.diff(at) != 1) | (np.diff(owner[at]) != 0)) + 1))


def reliabilities(name: str, scored: DetectorScores, prior: float) -> tuple[Reliability, Reliability, Reliability]:
    """At the usual share of manipulated seconds, in bins of equal width and of equal mass; and as if half of all
    seconds were manipulated, where probabilities spread over the whole range.
    """
    chance, labels = scored.chances[name], labels_of(scored.rows)
    known = ~np.isnan(chance) & (labels >= 0)
    chance, positive = np.clip(chance[known], 1e-9, 1.0 - 1e-9), labels[known] == 1
    weight = calibration.prior_weights(positive, prior)
    odds = chance / (1.0 - chance) * (1.0 - prior) / prior
    return (
        calibration.reliability(chance, positive, weight),
        calibration.reliability(chance, positive, weight, equal_mass=True),
        calibration.reliability(odds / (1.0 + odds), positive, calibration.prior_weights(positive, 0.5)),
    )


def false_alerts(name: str, scored: DetectorScores, limit: float) -> tuple[int, float]:
    """Episodes of usual rows at a limit (three seconds beyond it, one in ten minutes), and instrument-days watched."""
    return false_alerts_of(scored.scores[name], scored.rows, limit)


def false_alerts_of(found: F8, rows: Sample, limit: float) -> tuple[int, float]:
    """The same for scores. found : float64[rows]"""
    days = float(np.count_nonzero(~np.isnan(found) & rows.normal)) * rows.step_s / DAY_S
    return false_episodes(rows, found, limit), days


def recorded(paths: Sequence[Path]) -> Sample:
    """Feature rows of recordings, each by itself, through the brokerless driver."""
    parts = []
    for path in paths:
        recording = open_recording([path])
        names = [instrument.id for instrument in recording.instruments]
        driver = Driver(FixedRegistry(list(recording.instruments)))
        encoder, cut = FrameEncoder(names), RecordedFrames(1)
        due = [one for chunk in recording.chunks() for one in cut.cut(chunk)]
        for sequence, one in enumerate([*due, *cut.end()]):
            beats = one.rows is None
            times = np.arange(one.beats.start, one.beats.stop) * NANOS
            value = encoder.heartbeats(times) if one.rows is None else encoder.encode(one.rows)
            label = "status" if beats or one.rows is None else one.rows.type.label
            driver.record(value, FrameHeaders(label, "recording", 0, sequence, 0).to_kafka())
        rows = table(driver.outgoing(), "features")
        values = np.column_stack([rows[name] for name in COLUMNS])
        parts.append(build(rows["instrument"], rows["ts"] // NANOS - 1, COLUMNS, values))
    return concatenated(parts)


def interval(values: Sequence[float]) -> dict[str, float]:
    """Mean of the seeds and its 95 % interval (normal, from their spread)."""
    known = np.array([value for value in values if not np.isnan(value)])
    if not len(known):
        return {"mean": float("nan"), "low": float("nan"), "high": float("nan")}
    mean = float(known.mean())
    spread = 1.96 * float(known.std(ddof=1)) / len(known) ** 0.5 if len(known) > 1 else float("nan")
    return {"mean": round(mean, 4), "low": round(mean - spread, 4), "high": round(mean + spread, 4)}


def measured(
    models: Sequence[Peer],
    load: Callable[[Sequence[int], float], LabelledSample],
    seeds_of: Mapping[str, Sequence[int]],
    recordings: Sequence[Path],
) -> dict[str, Any]:
    """All figures, as they go into the document.

    models : in the order of PEERS; load : rows of markets by seeds and how eventful; seeds_of : `eventful` and `usual`
    """
    fused = fusion.shipped()
    shipped = limits(models, fused)
    seeds: dict[str, list[dict[str, float]]] = {name: [] for name in NAMES}
    diagrams: dict[str, list[Reliability]] = {name: [] for name in NAMES}
    counts = {name: [0, 0.0] for name in NAMES}
    usual_rows = 0
    manipulated = 0
    for seed in seeds_of["usual"]:
        scored = DetectorScores(models, fused, load((seed,), 1.0).rows)
        manipulated += int(np.count_nonzero(labels_of(scored.rows) == 1))
        usual_rows += len(scored.rows)
        for name in NAMES:
            episodes, days = false_alerts(name, scored, shipped[name])
            counts[name][0] += episodes
            counts[name][1] += days
        print(f"usual seed {seed} scored", file=sys.stderr)
    prior = manipulated / usual_rows
    for seed in seeds_of["eventful"]:
        part = load((seed,), EVENTFUL)
        scored = DetectorScores(models, fused, part.rows)
        for name in NAMES:
            one = separation(name, scored, part.scenarios)
            width, mass, even = reliabilities(name, scored, prior)
            seeds[name].append(one | {"ece": width.error, "ece_equal_mass": mass.error, "ece_even_odds": even.error})
            diagrams[name].append(even)
        print(f"eventful seed {seed} scored", file=sys.stderr)
    found = {name: _document(name, seeds[name], counts[name], diagrams[name]) for name in NAMES}
    document: dict[str, Any] = {
        "seeds": seeds_of,
        "manipulated_share": prior,
        "models": dict(zip(PEERS, (model.hash for model in models), strict=True)) | {"fusion": fused.hash},
        "limits": shipped,
        "detectors": found,
    }
    if recordings:
        document["recordings"] = _recorded(models, fused, recordings, shipped)
    return document


def _document(
    name: str, seeds: Sequence[Mapping[str, float]], counted: Sequence[float], diagrams: Sequence[Reliability]
) -> dict[str, Any]:
    """One detector's figures: intervals over the seeds, counts, and the reliability diagram of the first seed."""
    return {
        **{figure: interval([seed[figure] for seed in seeds]) for figure in seeds[0]},
        **rate_of(*counted),
        "reliability_even_odds": {
            "chance": [round(x, 4) for x in diagrams[0].chance],
            "share": [round(x, 4) for x in diagrams[0].share],
            "weight": [round(x, 4) for x in diagrams[0].weight],
        },
    }


def rate_of(episodes: float, days: float) -> dict[str, Any]:
    """False alerts, what was watched, and their rate with an exact Poisson interval."""
    rate = intervals.poisson_rate(int(episodes), days)
    return {
        "false_alerts_per_instrument_day": {key: round(value, 4) for key, value in rate.items()},
        "false_alerts": int(episodes),
        "instrument_days": round(days, 2),
    }


def _recorded(
    models: Sequence[Peer], fused: fusion.FusionModel, paths: Sequence[Path], shipped: Mapping[str, float]
) -> dict[str, Any]:
    """Alerts on real recordings, all of them taken to be false."""
    scored = DetectorScores(models, fused, recorded(paths))
    found: dict[str, Any] = {"files": [path.name for path in paths], "seconds": len(scored.rows)}
    for name in NAMES:
        episodes, days = false_alerts(name, scored, shipped[name])
        there = scored.scores[name][~np.isnan(scored.scores[name])]
        found[name] = {
            "alerts": episodes,
            "instrument_days": round(days, 4),
            "seconds_beyond_limit": float(np.mean(there >= shipped[name])) if len(there) else None,
            "scored_seconds": len(there),
        }
    return found


def main() -> int:
    """Measure and write the document."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.anomaly_peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python -m benchmarks.anomaly_peers --recording spot_btcusdt_20240808.gz",
    )
    parser.add_argument("--cache", type=Path, default=Path(".tapewatch/training"), help="keeps the markets' features")
    parser.add_argument("--recording", nargs="*", type=Path, default=[], metavar="FILE", help="real recordings")
    parser.add_argument(
        "--out",
        type=Path,
        default=ROOT / "docs" / "results" / "anomaly-peers.json",
        metavar="FILE",
        help="JSON to write",
    )
    args = parser.parse_args()
    models: list[Peer] = [kmeans.decode(KMEANS.read_bytes()), autoencoder.shipped("stock"), isolation.shipped()]

    def load(seeds: Sequence[int], eventful: float) -> LabelledSample:
        return markets(args.cache, seeds, eventful, rows_of)

    data = f"synthetic market at {', '.join(f'{rate:g}' for rate in RATES)} rows/s and instrument"
    document = {"data": data} | measured(models, load, {"eventful": TEST, "usual": USUAL}, args.recording)
    args.out.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")
    for name, figures in document["detectors"].items():
        shown = ("auroc", "event_recall_at_1pct", "ece", "ece_even_odds", "false_alerts_per_instrument_day")
        print(name, " ".join(f"{key} {figures[key]['mean']:.4g}" for key in shown), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
