"""Makes the shipped autoencoder of coins from synthetic markets of coins, with its card: the same command gives the
same hash. `python -m benchmarks.coin_peers` measures it on seeds that are not used here.
"""

import argparse
import sys
from itertools import chain
from pathlib import Path

import numpy as np

from benchmarks import coin_market
from benchmarks.ship_models import EVENTFUL, SECONDS
from benchmarks.ship_peers import fitted_network, hash_of, kept
from detectors.autoencoder.model import Card
from detectors.autoencoder.training import Recipe

FIT, HELD_OUT, CALIBRATE = (6001, 6002), (6101, 6102), (6201,)
"""Seeds: to fit, for the alert limit, and eventful ones for the probability."""
STEPS = 1200
COMMAND = "python -m benchmarks.ship_coins"
_LIMITS = (
    "Trained on synthetic coins alone: what is usual there is not usual everywhere. Retrain with `tapewatch train "
    "autoencoder --class crypto` on the market's own features before relying on the alert limit. It needs 32 "
    "consecutive seconds. K-means, isolation forest and the weights of the fusion are those of shares. A manipulation "
    "that looks like usual trading second by second, and genuine news, are beyond it."
)


def origin() -> Card:
    """The card before anything was fitted."""
    busy = ", ".join(f"{count} at {rate:g} rows/s" for rate, count in coin_market.MARKETS)
    parts = ((FIT, 1.0), (HELD_OUT, 1.0), (CALIBRATE, EVENTFUL))
    return Card(
        data=(
            f"synthetic markets of coins, {SECONDS // 60} minutes a seed, {busy}: {len(FIT)} seeds to fit, "
            f"{len(HELD_OUT)} for the alert limit, {len(CALIBRATE)} with {EVENTFUL:g} times as many events for the "
            "probability"
        ),
        data_hash=hash_of(chain.from_iterable(coin_market.markets(*part) for part in parts)),
        command=COMMAND,
        limits=_LIMITS,
    )


def main() -> int:
    """Write the shipped model and its card."""
    parser = argparse.ArgumentParser(
        prog=COMMAND, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, default=Path(".tapewatch/training"), help="keeps the markets' features")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where the hash differs")
    parser.epilog = f"example: {COMMAND}"
    args = parser.parse_args()
    fit, held_out = (coin_market.rows(args.cache, seeds, 1.0).rows for seeds in (FIT, HELD_OUT))
    labelled = coin_market.rows(args.cache, CALIBRATE, EVENTFUL).rows
    prior = float(np.mean(held_out.labels == 1)) if held_out.labels is not None else 0.0
    model = fitted_network(Recipe("crypto", STEPS), fit, held_out, labelled, prior, origin())
    return 0 if kept("autoencoder_crypto", model, args.check) or not args.check else 1


if __name__ == "__main__":
    sys.exit(main())
