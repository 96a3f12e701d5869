"""`python -m benchmarks.policy_validation --daily DIR`: how the daily policy's recipe was chosen, on rows before 2018.

Walk forward: each candidate learns from all instruments before a year and acts in that year, 2015 to 2017; its figure
is the mean difference of its Sharpe ratio to buying and holding. 2018 and 2019 are never read.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from detectors.commands.daily_files import SPLIT, TRAINING, read_bars
from detectors.ddqn.daily_account import LONG, account, sharpe
from detectors.ddqn.daily_market import WARM, Bars
from detectors.ddqn.daily_training import chosen, decide, train
from detectors.pytorch import require_torch

if TYPE_CHECKING:
    from detectors.ddqn.learner import Recipe

YEARS = (2015, 2016, 2017)
CANDIDATES: dict[str, dict[str, Any]] = {
    "hidden 16, decay 1": {},
    "hidden 16, decay 0.3": {"decay": 0.3},
    "hidden 16, decay 0.3, 25,000 decisions": {"decay": 0.3, "steps": 25_000},
    "hidden 32, decay 0.1": {"hidden": (32, 32), "decay": 0.1},
    "hidden 32, decay 1": {"hidden": (32, 32)},
    "hidden 32, decay 3": {"hidden": (32, 32), "decay": 3.0},
    "hidden 32, decay 1, 10 steps, uniform replay": {"hidden": (32, 32), "n_step": 10, "priority": 0.0},
    "hidden 32, decay 1, 20 steps, discount 0.98": {"hidden": (32, 32), "n_step": 20, "gamma": 0.98},
}
"""What was tried, as changes to the chosen recipe."""


def differences(bars: Mapping[str, Bars], year: int, recipe: "Recipe") -> list[float]:
    """Sharpe ratio of a policy in the year less that of holding, by instrument."""
    first_day = f"{year}-01-01"
    known = {name: one.before(first_day) for name, one in bars.items()}
    policy = train({name: one for name, one in known.items() if len(one) > WARM + 2}, recipe)
    found = []
    for name, one in bars.items():
        seen, first = one.before(f"{year + 1}-01-01"), len(known[name])
        held = account(seen.close, np.full(len(seen), LONG), max(first, 1))
        own = account(seen.close, decide(policy, seen, max(first, 1)), max(first, 1))
        found.append(sharpe(own.returns[first:]) - sharpe(held.returns[first:]))
    return found


def main() -> None:
    """Try all candidates and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--daily", type=Path, required=True, metavar="DIR", help=f"X{TRAINING}")
    parser.add_argument("--seeds", type=int, default=3, help="of each candidate and year (default: 3)")
    args = parser.parse_args()
    require_torch()
    paths = sorted(args.daily.glob(f"*{TRAINING}"))
    bars = {path.name.removesuffix(TRAINING): read_bars(path).before(SPLIT) for path in paths}
    found: dict[str, dict[str, Any]] = {}
    for name, changes in CANDIDATES.items():
        years = {}
        for year in YEARS:
            seeds = [
                np.mean(differences(bars, year, replace(chosen(), seed=seed, **changes)))
                for seed in range(1, args.seeds + 1)
            ]
            years[str(year)] = float(np.mean(seeds))
            print(f"{name}, {year}: {years[str(year)]:+.3f}", file=sys.stderr, flush=True)
        found[name] = {"difference_to_holding": float(np.mean(list(years.values()))), "years": years}
    print(msgspec.json.encode({"candidates": found, "seeds": args.seeds}).decode())


if __name__ == "__main__":
    main()
