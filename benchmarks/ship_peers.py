"""Makes the shipped autoencoder, isolation forest and fusion from the synthetic market, with their cards: the same
command gives the same hashes.

Networks and trees are fitted to the markets that K-means was fitted to, limits come from its held-out ones. The
eventful calibration seeds are divided: one calibrates each detector, the other weighs them against each other; how to
fuse is chosen on a third. None of these seeds is used by `benchmarks.anomaly_peers`.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.ship_models import (
    CALIBRATE,
    EVENTFUL,
    FIT,
    HELD_OUT,
    INSTRUMENTS,
    MEASURE,
    RATES,
    ROOT,
    SECONDS,
    LabelledSample,
    markets,
)
from benchmarks.ship_models import _marked as marked
from benchmarks.training_data import START_NS, WARMUP_S, market_config
from detectors import calibration, fusion
from detectors.autoencoder import batch, inputs, training
from detectors.autoencoder.model import AutoencoderModel, Card, described
from detectors.autoencoder.score import WINDOW
from detectors.calibration import probabilities
from detectors.ensemble_card import markdown
from detectors.fusion import FusionModel
from detectors.isolation import training as isolation_training
from detectors.isolation.model import IsolationModel
from detectors.kmeans import model as kmeans
from detectors.kmeans import training as kmeans_training
from detectors.kmeans.model import KMeansModel
from detectors.kmeans.sample import Sample
from detectors.thresholds import Score, Thresholds, finished, thresholds
from producers.synthetic import SyntheticMarket
from tapewatch.clock import NANOS

F8 = npt.NDArray[np.float64]

COLUMNS = tuple(dict.fromkeys([*inputs.SOURCES, *kmeans_training.INPUTS]))
"""Features that any of the detectors needs."""
PEERS = ("kmeans", "autoencoder", "isolation")
KMEANS = ROOT / "detectors" / "kmeans" / "shipped" / "kmeans.json"
SHIPPED = {
    "autoencoder": ROOT / "detectors" / "autoencoder" / "shipped" / "stock.safetensors",
    "autoencoder_crypto": ROOT / "detectors" / "autoencoder" / "shipped" / "crypto.safetensors",
    "isolation": ROOT / "detectors" / "isolation" / "shipped" / "isolation.json",
    "fusion": ROOT / "detectors" / "shipped" / "fusion.json",
}
COMMAND = "python -m benchmarks.ship_peers"
STEPS = 2000

_LIMITS = {
    "autoencoder": (
        "Trained on the synthetic market alone: what is usual there is not usual everywhere. Retrain with `tapewatch "
        "train autoencoder` on the market's own features before relying on the alert limit. It needs 32 consecutive "
        "seconds. A manipulation that looks like usual trading second by second, and genuine news, are beyond it: see "
        "docs/calibration.md for what it finds of each kind."
    ),
    "isolation": (
        "Trained on the synthetic market alone, on single seconds without their past. Axis-parallel cuts: a row that "
        "is strange only in a combination of usual values is not set apart. A genuine news jump lies as far out as "
        "a pump."
    ),
    "fusion": (
        "Weighs the detectors as they were useful on the synthetic market's own manipulations; on other markets and "
        "other manipulations the weights may be wrong. What none of its inputs sees stays unseen."
    ),
}


def rows_of(features: pa.Table, _: pa.Table) -> LabelledSample:
    """Rows with every detector's inputs, from a window before the end of the warm-up on."""
    warm = features.filter(pa.array(features["ts"].to_numpy() > START_NS + (int(WARMUP_S) - WINDOW) * NANOS))
    return marked(warm, COLUMNS, np.column_stack([warm[name].to_numpy() for name in COLUMNS]), 1)


def data_hash(parts: Sequence[tuple[Sequence[int], float]]) -> str:
    """Names the markets of shares. parts : seeds and how eventful they are."""
    return hash_of(
        SyntheticMarket(market_config(INSTRUMENTS, SECONDS, eventful, rate), seed, START_NS)
        for seeds, eventful in parts
        for rate in RATES
        for seed in seeds
    )


def hash_of(markets_used: Iterable[SyntheticMarket]) -> str:
    """Names markets: version, settings, seeds and start of each."""
    digest = hashlib.sha256()
    for market in markets_used:
        digest.update(market.fingerprint.encode())
    return digest.hexdigest()[:16]


def fitted_network(
    recipe: training.Recipe, fit: Sample, held_out: Sample, labelled: Sample, prior: float, card: Card
) -> AutoencoderModel:
    """An autoencoder fitted to some rows and calibrated on others. card : without what is found here"""
    arrays = training.fit(fit, recipe, lambda done, loss: print(f"batch {done}: loss {loss:.4f}", file=sys.stderr))
    bare = AutoencoderModel(described(recipe.instrument_class), arrays)
    found = thresholds(score_of(bare), held_out, labelled, prior, recipe.per_day, training.TIERS)
    full = msgspec.structs.replace(card, rows=len(fit), calibration=found.calibration, budget=found.budget)
    return AutoencoderModel(finished(bare.described, found, full), arrays)


def _origin(name: str) -> Card:
    return Card(
        data=(
            f"synthetic market, {len(RATES) * INSTRUMENTS} instruments x {SECONDS // 60} minutes a seed, a third each "
            f"at {', '.join(f'{rate:g}' for rate in RATES)} rows/s: {len(FIT)} seeds to fit, {len(HELD_OUT)} for the "
            f"alert limit, {len(CALIBRATE)} with {EVENTFUL:g} times as many events for probabilities and fusion, one "
            "more of these to choose how to fuse"
        ),
        data_hash=data_hash(((FIT, 1.0), (HELD_OUT, 1.0), (CALIBRATE, EVENTFUL), (MEASURE[:1], EVENTFUL))),
        command=COMMAND,
        limits=_LIMITS[name],
    )


def _card(name: str, rows: int, found: Thresholds) -> Card:
    return msgspec.structs.replace(_origin(name), rows=rows, calibration=found.calibration, budget=found.budget)


def make_isolation(fit: Sample, held_out: Sample, labelled: Sample, prior: float) -> IsolationModel:
    """Fit and calibrate the isolation forest."""
    recipe = isolation_training.Recipe()
    bare = isolation_training.fit(fit, recipe)
    found = thresholds(score_of(bare), held_out, labelled, prior, recipe.per_day, kmeans_training.TIERS)
    return finished(bare, found, _card("isolation", bare.card.rows, found))


Peer = KMeansModel | AutoencoderModel | IsolationModel


def score_of(model: Peer) -> Score:
    """The raw score of a detector as a function of a sample."""
    if isinstance(model, AutoencoderModel):
        return lambda rows: batch.score_rows(model.network(rows.names), rows)
    if isinstance(model, IsolationModel):
        return lambda rows: isolation_training.score_rows(model, rows)
    return lambda rows: kmeans_training.score_rows(model, rows)


def knots_of(model: Peer) -> calibration.Knots:
    """The knots of a detector's probability."""
    return model.described.knots if isinstance(model, AutoencoderModel) else model.knots


def chances(models: Sequence[Peer], rows: Sample) -> F8:
    """Calibrated probabilities of every detector, float64[rows, detectors]."""
    return np.column_stack([probabilities(score_of(model)(rows), knots_of(model)) for model in models])


def make_fusion(models: Sequence[Peer], held_out: Sample, weigh: Sample, choose: Sample, prior: float) -> FusionModel:
    """Weigh the detectors, calibrate their sum, and compare it with what it replaces on rows of another seed."""
    given, labels = chances(models, weigh), weigh.labels
    known = (labels >= 0) & ~np.isnan(given).all(axis=1) if labels is not None else np.zeros(len(weigh), dtype=bool)
    positive = labels[known] == 1 if labels is not None else known
    weight = calibration.prior_weights(positive, prior)
    bare = fusion.stacked(given[known], positive, weight, PEERS, tuple(model.hash for model in models))

    def score(rows: Sample) -> F8:
        return fusion.fused(chances(models, rows), bare)

    found = thresholds(score, held_out, weigh, prior, 1.0, {"trades, quotes and books": ()})
    card = _card("fusion", int(known.sum()), found)
    made = finished(bare, found, card)
    figures = compared(models, made, held_out, weigh, choose, prior)
    return msgspec.structs.replace(made, card=msgspec.structs.replace(card, metrics=figures))


def compared(
    models: Sequence[Peer], made: FusionModel, held_out: Sample, weigh: Sample, choose: Sample, prior: float
) -> dict[str, float]:
    """Log loss on rows of a seed that nothing was fitted to: each detector, Stouffer's sum, and stacking."""
    figures = {}
    given = chances(models, choose)
    scores = {name: (given[:, j], None) for j, name in enumerate(PEERS)}
    usual = [score_of(model)(held_out)[held_out.normal] for model in models]
    levels = [calibration.conformal_levels(each[~np.isnan(each)]) for each in usual]
    counts = [int(np.count_nonzero(~np.isnan(each))) for each in usual]

    def summed(rows: Sample) -> F8:
        p = [calibration.p_values(score_of(m)(rows), levels[j], counts[j]) for j, m in enumerate(models)]
        return fusion.stouffer(np.column_stack(p))

    knots = thresholds(summed, held_out, weigh, prior, 1.0, {"all": ()}).knots
    found = {name: chance for name, (chance, _) in scores.items()}
    found["stouffer"] = probabilities(summed(choose), knots)
    found["stacking"] = probabilities(fusion.fused(given, made), made.knots)
    labels = choose.labels if choose.labels is not None else np.zeros(len(choose), dtype=np.int8)
    known = (labels >= 0) & ~np.isnan(np.column_stack(list(found.values()))).any(axis=1)
    positive = labels[known] == 1
    weight = calibration.prior_weights(positive, prior)
    for name, chance in found.items():
        figures[f"log_loss_{name}"] = round(calibration.log_loss(chance[known], positive, weight), 6)
    return figures


def kept(name: str, model: AutoencoderModel | IsolationModel | FusionModel, check: bool) -> bool:
    """Write a model and its card unless they are only checked; whether the file was the same before."""
    path, data = SHIPPED[name], model.encoded()
    same = path.is_file() and path.read_bytes() == data
    if not check:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        (ROOT / "docs" / "cards" / f"{name}.md").write_text(markdown(model))
    print(f"{name} {model.hash}", file=sys.stderr)
    return same


def main() -> int:
    """Write the shipped models and their cards."""
    parser = argparse.ArgumentParser(
        prog=COMMAND, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--cache", type=Path, default=Path(".tapewatch/training"), help="folder that keeps the markets' features"
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where a hash differs")
    parser.epilog = f"example: {COMMAND}"
    args = parser.parse_args()

    def take(seeds: Sequence[int], eventful: float) -> Sample:
        return markets(args.cache, seeds, eventful, rows_of).rows

    fit, held_out = take(FIT, 1.0), take(HELD_OUT, 1.0)
    calibrate, weigh, choose = take(CALIBRATE[:1], EVENTFUL), take(CALIBRATE[1:], EVENTFUL), take(MEASURE[:1], EVENTFUL)
    prior = float(np.mean(held_out.labels == 1)) if held_out.labels is not None else 0.0
    autoencoder = fitted_network(
        training.Recipe("stock", STEPS), fit, held_out, calibrate, prior, _origin("autoencoder")
    )
    same = kept("autoencoder", autoencoder, args.check)
    isolation = make_isolation(fit, held_out, calibrate, prior)
    same = kept("isolation", isolation, args.check) and same
    models: list[Peer] = [kmeans.decode(KMEANS.read_bytes()), autoencoder, isolation]
    same = kept("fusion", make_fusion(models, held_out, weigh, choose, prior), args.check) and same
    return 0 if same or not args.check else 1


if __name__ == "__main__":
    sys.exit(main())
