"""How far a random split flatters a forecast of overlapping labels: the same network, split at random and in time.

    python -m benchmarks.overlap_inflation [--walks N] [--days N] [--steps N]

Prices are random walks, so nothing foretells a rise and an honest judge finds a balanced accuracy of a half.
Neighbouring images share 55 of 56 days and neighbouring labels 13 of 14 bars: a random split puts near copies of its
test images, with their labels, among those that are learnt from. One JSON document on standard output.
"""

import argparse
import sys

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.forecast.inception.fitting import fit
from detectors.forecast.inception.images import Images, images
from detectors.forecast.inception.model import factors
from detectors.forecast.judging import balanced_accuracy
from detectors.forecast.series import Panel, Series
from detectors.forecast.walk import Fold

F8 = npt.NDArray[np.float64]

CHANNELS = ("one", "two")
_DAY_NS = 86_400_000_000_000
_SHARES = (0.5, 0.65)
"""Where fitting ends and where judging begins, of the images in either order."""


def random_walks(days: int, seed: int) -> Panel:
    """Daily bars of two indices whose returns are drawn, .9 correlated, as Chinese indices are."""
    rng = np.random.default_rng(seed)
    common = rng.normal(0.0, 0.012, days)
    return Panel({name: _bars(name, common, rng) for name in CHANNELS})


def _bars(name: str, common: F8, rng: np.random.Generator) -> Series:
    moves = 0.95 * common + rng.normal(0.0, 0.004, len(common))
    close = 1000.0 * np.exp(np.cumsum(moves))
    opened = np.concatenate([[1000.0], close[:-1]])
    beyond = np.exp(np.abs(rng.normal(0.0, 0.004, (2, len(common)))))
    at = (np.arange(len(common), dtype=np.int64) + 15_000) * _DAY_NS
    high, low = np.maximum(opened, close) * beyond[0], np.minimum(opened, close) / beyond[1]
    return Series(name, at, opened, high, low, close, np.exp(rng.normal(16.0, 0.3, len(common))))


def split_at_random(found: Images, seed: int) -> Fold:
    """Rows dealt out at random, as a shuffled split does."""
    rows = np.flatnonzero(found.labelled)
    dealt = np.random.default_rng(seed).permutation(rows)
    first, second = (int(len(rows) * share) for share in _SHARES)
    return Fold(*(_marked(found, part) for part in (dealt[:first], dealt[first:second], dealt[second:])))


def split_in_time(found: Images) -> Fold:
    """Rows in order, none learnt from whose label was not known when the next part began."""
    rows = np.flatnonzero(found.labelled)
    middle, end = (found.at[rows[int(len(rows) * share)]] for share in _SHARES)
    labelled = found.labelled
    return Fold(
        labelled & (found.known < middle),
        labelled & (found.at >= middle) & (found.known < end),
        labelled & (found.at >= end),
    )


def _marked(found: Images, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    marked = np.zeros(len(found.at), dtype=np.bool_)
    marked[rows] = True
    return marked


def accuracy(found: Images, fold: Fold, seed: int, steps: int) -> float:
    """Balanced accuracy of the network's decisions on the test rows: a trend of the test rows gives nobody more."""
    fitted = fit(found.pixels, found.up, fold, seed, steps=steps)
    up = found.up[fold.test]
    cell = up.astype(np.int64) * 2 + (fitted.probabilities(found.pixels[fold.test]) > 0.5)
    return float(balanced_accuracy(np.bincount(cell, minlength=4).reshape(2, 2).astype(np.float64)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--walks", type=int, default=4, help="random walks, each judged by both splits")
    parser.add_argument("--days", type=int, default=1200, help="bars of each")
    parser.add_argument("--steps", type=int, default=120, help="of 64 images at most, a fit")
    args = parser.parse_args()
    rows = []
    for seed in range(args.walks):
        found = images(random_walks(args.days, seed), CHANNELS, factors)
        splits = {"random_split": split_at_random(found, seed), "in_time": split_in_time(found)}
        rows.append({name: accuracy(found, fold, seed, args.steps) for name, fold in splits.items()})
        print(f"walk {seed}: {rows[-1]}", file=sys.stderr)
    mean = {name: _mean([row[name] for row in rows]) for name in rows[0]}
    print(msgspec.json.encode({"days": args.days, "steps": args.steps, "walks": rows, "mean": mean}).decode())


def _mean(found: list[float]) -> dict[str, float]:
    """Mean over walks with plus and minus two standard errors."""
    half = 2.0 * float(np.std(found, ddof=1)) / len(found) ** 0.5 if len(found) > 1 else float("nan")
    middle = float(np.mean(found))
    return {"mean": middle, "low": middle - half, "high": middle + half}


if __name__ == "__main__":
    main()
