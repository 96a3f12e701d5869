"""Makes the coin desk's shipped models, `ranking` and `regime`, and their cards: the same command over the same files
gives the same hashes.

They learn from the first fortnight of each file; what lies behind it is for `tapewatch evaluate ranking`.
"""

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.ship_trees import ship
from detectors.boosted.model import Card
from detectors.coin_features.batch import History
from detectors.commands import minute_files
from detectors.ranking import model as ranking
from detectors.ranking import training as ranking_training
from detectors.regime import model as regime
from detectors.regime import training as regime_training

DAYS = 14
"""Whole UTC days of a file that are learnt from, behind its first, broken one."""

_RANKING_LIMITS = (
    "Two instruments and one fortnight. It knows volatility, not direction: momentum, position and volume hardly "
    "change the log loss on days left out, so it goes without them, and of two coins it ranks the livelier one first. "
    "Costs are not in it: a target must exceed spread and fees. A minute that touches both barriers counts as the "
    "stop. Targets beyond twice a coin's usual deviation over the horizon, and stops beyond twice or below half the "
    "target, were not trained."
)
_REGIME_LIMITS = (
    "Two instruments and one fortnight, of which the longer horizons have few that do not overlap. Bull is the calmer "
    "state, bear the one that moves more. What a call was worth on the weeks after it is in "
    "[the coin desk](../coin-desk.md), with intervals: it tells volatility; no rule told the next return's direction."
)


def learnt_from(folder: Path) -> list[History]:
    """Each file up to where its fortnight ends."""
    histories = minute_files.read_all(files(folder))
    return [seen.cut(0, seen.day_begins(DAYS)) for seen in histories]


def files(folder: Path) -> list[Path]:
    """The folder's minute bars by name."""
    return sorted(folder.glob("*_1m_*.csv.gz"))


def origin(folder: Path, what: str, limits: str) -> Card:
    """The card before training."""
    paths, sha = files(folder), hashlib.sha256()
    for path in paths:
        sha.update(path.read_bytes())
    return Card(
        data=f"{', '.join(path.name for path in paths)}: their first {DAYS} days",
        data_hash=sha.hexdigest()[:16],
        command=f"python -m benchmarks.desk_training {what} --minutes DIR",
        limits=limits,
    )


def make_ranking(args: argparse.Namespace) -> ranking.RankingModel:
    """The ranking model of these files."""
    card = origin(args.minutes, ranking.DETECTOR, _RANKING_LIMITS)
    return ranking_training.train(learnt_from(args.minutes), ranking_training.Recipe(seed=args.seed), card)


def make_regime(args: argparse.Namespace) -> regime.RegimeModel:
    """The regime rules of these files."""
    return regime_training.train(learnt_from(args.minutes), origin(args.minutes, regime.DETECTOR, _REGIME_LIMITS))


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a shipped model and its card."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.desk_training", description=__doc__)
    parser.add_argument("what", choices=(ranking.DETECTOR, regime.DETECTOR), help="which model")
    parser.add_argument("--minutes", type=Path, required=True, metavar="DIR", help="folder of minute bars, CSV")
    parser.add_argument("--seed", type=int, default=0, help="of everything drawn (default: 0)")
    parser.epilog = "example: python -m benchmarks.desk_training ranking --minutes minute/ --check"
    words = sys.argv[1:] if arguments is None else arguments
    if regime.DETECTOR in words[:1]:
        return ship(regime.DETECTOR, parser, make_regime, regime.markdown, words)
    return ship(ranking.DETECTOR, parser, make_ranking, ranking.markdown, words)


if __name__ == "__main__":
    sys.exit(main())
