"""The autoencoder of coins beside that of shares, on synthetic coins that nothing was fitted, calibrated or chosen on.

Run as `python -m benchmarks.coin_peers --out docs/results/coins.json`; `--rates` takes some of the markets only.
Intervals are Student's over five groups of coins.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import coin_market
from benchmarks.anomaly_peers import auroc, false_alerts_of, labels_of, rate_of
from benchmarks.document import give
from benchmarks.sequence_networks import interval
from benchmarks.ship_models import EVENTFUL, LabelledSample
from benchmarks.ship_peers import knots_of, score_of
from detectors import calibration
from detectors.autoencoder import model as autoencoder
from detectors.autoencoder.model import AutoencoderModel
from detectors.feeds import by_feed
from producers.synthetic.config import MANIPULATIONS

F8 = npt.NDArray[np.float64]

TEST, USUAL = (6401,), (6501,)
"""Seeds of the eventful and of the usual markets: apart from those of the model."""
GROUPS = 5


def separation(found: F8, part: LabelledSample) -> dict[str, dict[str, float]]:
    """AUROC over all manipulated seconds and for each manipulation, over groups of coins."""
    rows, labels = part.rows, labels_of(part.rows)
    group = np.repeat(np.arange(len(rows.starts) - 1), np.diff(rows.starts)) % GROUPS
    there = ~np.isnan(found)
    usual, bad = there & (labels == 0), there & (labels == 1)
    kinds = {"auroc": bad} | {f"auroc_{name}": bad & (part.scenarios == name) for name in MANIPULATIONS}
    figures = {}
    for name, of in kinds.items():
        each = [auroc(found, usual & (group == number), of & (group == number)) for number in range(GROUPS)]
        known = [value for value in each if not np.isnan(value)]
        if len(known) > 1:
            figures[name] = interval(known)
    return figures


def judged(model: AutoencoderModel, eventful: LabelledSample, usual: LabelledSample) -> dict[str, Any]:
    """Separation, calibration and false alerts at the limit of feeds with trades, quotes and books."""
    found = score_of(model)(eventful.rows)
    labels = labels_of(eventful.rows)
    known = ~np.isnan(found) & (labels >= 0)
    positive = labels[known] == 1
    prior = float(np.mean(labels_of(usual.rows) == 1))
    chance = np.clip(calibration.probabilities(found[known], knots_of(model)), 1e-9, 1.0 - 1e-9)
    reliability = calibration.reliability(chance, positive, calibration.prior_weights(positive, prior))
    limit = by_feed(model.described.alerts, model.described.alert)[0]
    counted = false_alerts_of(score_of(model)(usual.rows), usual.rows, limit)
    return separation(found, eventful) | rate_of(*counted) | {"calibration_error": round(reliability.error, 5)}


def document(cache: Path, rates: Sequence[float]) -> dict[str, Any]:
    """All figures, of both networks on the same rows."""
    eventful = coin_market.rows(cache, TEST, EVENTFUL, rates)
    usual = coin_market.rows(cache, USUAL, 1.0, rates)
    models = {autoencoder.DETECTORS[name]: autoencoder.shipped(name) for name in autoencoder.CLASSES}
    shown = ", ".join(
        f"{count} at {rate:g} rows/s" for rate, count in coin_market.MARKETS if not rates or rate in rates
    )
    return {
        "data": f"synthetic markets of coins, {shown}",
        "seeds": {"eventful": TEST, "usual": USUAL},
        "groups": GROUPS,
        "models": {name: model.hash for name, model in models.items()},
        "detectors": {name: judged(model, eventful, usual) for name, model in models.items()},
    }


def main() -> int:
    """Measure and write the document."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.coin_peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python -m benchmarks.coin_peers --rates 10 --out docs/results/coins.json",
    )
    parser.add_argument("--cache", type=Path, default=Path(".tapewatch/training"), help="keeps the markets' features")
    parser.add_argument("--rates", type=float, nargs="*", default=[], help="rows/s of the markets (default: all)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the JSON document to a file too")
    args = parser.parse_args()
    give(document(args.cache, args.rates), args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
