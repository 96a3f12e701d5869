"""Detectors on coins that nothing was fitted, calibrated or chosen on: K-means, isolation forest and fusion of shares,
with the autoencoder of coins and, for comparison, with that of shares.

Run as `python -m benchmarks.coin_peers --recording spot_btcusdt_20240808.gz`; recordings are real trading of a coin, in
which every alert counts as false.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import coin_market
from benchmarks.anomaly_peers import measured
from benchmarks.ship_models import ROOT, Marked
from benchmarks.ship_peers import KMEANS, Peer
from detectors.autoencoder import model as autoencoder
from detectors.isolation import model as isolation
from detectors.kmeans import model as kmeans

TEST, USUAL = (6401, 6402), (6501, 6502)
"""Seeds of the eventful and of the usual markets: apart from those of the model."""
_SHOWN = ("auroc", "event_recall_at_1pct", "ece", "ece_even_odds", "false_alerts_per_instrument_day")


def document(cache: Path, recordings: Sequence[Path]) -> dict[str, Any]:
    """All figures: those of coins, and the two detectors that differ where shares' network is asked instead."""
    forest, centres = isolation.shipped(), kmeans.decode(KMEANS.read_bytes())

    def load(seeds: Sequence[int], eventful: float) -> Marked:
        return coin_market.rows(cache, seeds, eventful)

    found = {}
    for name in autoencoder.CLASSES:
        models: list[Peer] = [centres, autoencoder.shipped(name), forest]
        found[name] = measured(models, load, {"eventful": TEST, "usual": USUAL}, recordings)
    ours, theirs = found["crypto"], found["stock"]
    for part in ("models", "limits", "detectors"):
        ours[part][autoencoder.CRYPTO_DETECTOR] = ours[part].pop(autoencoder.DETECTOR)
    busy = ", ".join(f"{count} at {rate:g} rows/s" for rate, count in coin_market.MARKETS)
    other = {name: theirs["detectors"][name] for name in (autoencoder.DETECTOR, "fusion")}
    with_shares = {"detectors": other} | ({"recordings": theirs["recordings"]} if recordings else {})
    return {"data": f"synthetic markets of coins, {busy}"} | ours | {"with_the_network_of_shares": with_shares}


def main() -> int:
    """Measure and write the document."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.coin_peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python -m benchmarks.coin_peers --recording spot_btcusdt_20240808.gz",
    )
    parser.add_argument("--cache", type=Path, default=Path(".tapewatch/training"), help="keeps the markets' features")
    parser.add_argument("--recording", nargs="*", type=Path, default=[], metavar="FILE", help="real recordings")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "coins.json", metavar="FILE")
    args = parser.parse_args()
    made = document(args.cache, args.recording)
    args.out.write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n")
    for name, figures in [*made["detectors"].items(), *made["with_the_network_of_shares"]["detectors"].items()]:
        print(name, " ".join(f"{key} {figures[key]['mean']:.4g}" for key in _SHOWN), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
