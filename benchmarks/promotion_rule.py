"""How often a promotion rule takes an equal player for a better one, and how soon it finds a better one.

`python -m benchmarks.promotion_rule --out docs/results/promotion.json`
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from detectors.ddqn.sequential import PROMOTE, REFUSE, Rule, chances, walk
from evaluation.intervals import share

I8 = npt.NDArray[np.int64]

SHARES = (0.45, 0.48, 0.5, 0.52, 0.55, 0.6, 0.65, 0.7)
"""Of pairs won by the challenger."""
DATA = (100, 200, 500, 1000, 2000)
"""Pairs that there are."""
_OLD_PAIRS, _OLD_WINS = 40, 24
_PAIRS = 2000
"""Of each simulated player, ties among them."""


def main() -> None:
    """Measure, and write the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--players", type=int, default=100_000, help="equal players that are simulated")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    text = msgspec.json.format(msgspec.json.encode(figures(args.players, args.seed)), indent=2)
    print(text.decode())
    if args.out:
        args.out.write_bytes(text + b"\n")


def figures(players: int, seed: int) -> dict[str, Any]:
    """Exact chances of the rule, and simulated ones of it and of the rules it replaces."""
    random = np.random.default_rng(seed)
    rule = Rule()
    return {
        "rule": msgspec.to_builtins(rule),
        "exact": {f"{wins:g}": chances(rule, wins)._asdict() for wins in SHARES},
        "promoted_with_fewer_pairs": {
            str(pairs): {f"{wins:g}": chances(Rule(pairs=pairs), wins).promoted for wins in SHARES} for pairs in DATA
        },
        "equal_players_simulated": {
            "players": players,
            "seed": seed,
            "fair coins": _sequential(_coins((-1, 1), players, random), rule),
            "half of the pairs are ties": _sequential(_coins((-1, 0, 0, 1), players, random), rule),
            "coin tossers in a market of clustered swings": _sequential(_tossers(players, random), rule),
            "24 of 40 wins": _old_rule(players, random),
            "24 of 40 wins, up to five tries": _old_rule(players, random, tries=5),
            "p < 0.025 by a binomial test, looked at after every pair up to 500": _peeked(players // 10, 500, random),
        },
        "24 of 40 wins, exact": float(binom.sf(_OLD_WINS - 1, _OLD_PAIRS, 0.5)),
    }


def _coins(faces: tuple[int, ...], players: int, random: np.random.Generator) -> Iterator[I8]:
    """Outcomes of each player's pairs, all faces as likely as each other."""
    return (random.choice(np.array(faces), _PAIRS) for _ in range(players))


def _tossers(players: int, random: np.random.Generator) -> Iterator[I8]:
    """Outcomes of two players who take positions by chance, in markets with heavy tails and swings in clusters."""
    for _ in range(players):
        loud = np.exp(np.cumsum(random.normal(0.0, 0.05, _PAIRS)))
        sides = random.choice(np.array([-1.0, 1.0]), (2, _PAIRS))
        yield np.sign((sides[1] - sides[0]) * loud * random.standard_t(3, _PAIRS)).astype(np.int64)


def _sequential(outcomes: Iterator[I8], rule: Rule) -> dict[str, Any]:
    verdicts = Counter(walk(each, rule).verdict for each in outcomes)
    return {"promoted": share(verdicts[PROMOTE], verdicts.total()), "refused": verdicts[REFUSE]}


def _old_rule(players: int, random: np.random.Generator, tries: int = 1) -> dict[str, Any]:
    wins = random.binomial(_OLD_PAIRS, 0.5, (players, tries)) >= _OLD_WINS
    return {"promoted": share(int(wins.any(axis=1).sum()), players)}


def _peeked(players: int, pairs: int, random: np.random.Generator) -> dict[str, Any]:
    played = np.arange(1, pairs + 1)
    needed = binom.isf(0.025, played, 0.5) + 1
    wins = np.cumsum(random.random((players, pairs)) < 0.5, axis=1)
    return {"promoted": share(int((wins >= needed).any(axis=1).sum()), players)}


if __name__ == "__main__":
    main()
