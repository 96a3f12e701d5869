"""Figures of `evaluate ddqn`: Sharpe ratios, intervals over instruments and blocks of time, and a shuffled future."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from detectors.commands.daily_files import Instrument
from detectors.ddqn.daily_account import FIRST, YEAR, account, sharpe
from detectors.ddqn.daily_market import Bars
from detectors.ddqn.daily_training import decide
from detectors.ddqn.model import Policy

F8 = npt.NDArray[np.float64]
Interval = dict[str, float]

BLOCK = 20
"""Consecutive days that are drawn together, so that what is alike from day to day stays so."""
DRAWS = 2000


def intervals(
    returns: Mapping[str, F8], policy: str, benchmark: str, seed: int, block: int = BLOCK, year: int = YEAR
) -> tuple[dict[str, Interval], Interval]:
    """Mean Sharpe ratio of every strategy, and of the policy less the benchmark, with 95 % bootstrap intervals.

    returns : by strategy, float64[instruments, seeds, days]; a strategy without chance has one seed
    block : days drawn together; year : of days, in what a ratio is stated for (a day may be any stretch of time)
    Each draw takes instruments and circular blocks of days with replacement, the same ones for all strategies, so that
    the difference is paired and what instruments have in common on a day stays in common; seeds, where
    there are several, are drawn too.
    """
    random = np.random.default_rng(seed)
    instruments, _, days = next(iter(returns.values())).shape
    draws: dict[str, list[float]] = {name: [] for name in returns}
    for _ in range(DRAWS):
        starts = random.integers(0, days, -(-days // block))
        rows = ((starts[:, None] + np.arange(block)) % days).ravel()[:days]
        taken = random.integers(0, instruments, instruments)
        for name, found in returns.items():
            seeds = random.integers(0, found.shape[1], found.shape[1])
            draws[name].append(float(ratios(found[taken][:, seeds][:, :, rows], year).mean()))
    means = {name: float(ratios(found, year).mean()) for name, found in returns.items()}
    apart = np.array(draws[policy]) - np.array(draws[benchmark])
    return (
        {name: _interval(means[name], np.array(found)) for name, found in draws.items()},
        _interval(means[policy] - means[benchmark], apart),
    )


def ratios(returns: F8, year: int = YEAR) -> F8:
    """Sharpe ratios over the last axis, annualised by default; 0 where nothing moved. year : returns in a year"""
    spread = returns.std(axis=-1, ddof=1)
    safe = np.where(spread > 0.0, spread, 1.0)
    found: F8 = np.where(spread > 0.0, np.sqrt(year) * returns.mean(axis=-1) / safe, 0.0)
    return found


def _interval(mean: float, draws: F8) -> Interval:
    # Twelve digits: a policy that does what the benchmark does differs by nothing, not by the order of a sum.
    low, high = np.quantile(draws, [0.025, 0.975])
    return {name: round(float(value), 12) + 0.0 for name, value in (("mean", mean), ("low", low), ("high", high))}


def shuffled(one: Instrument, random: np.random.Generator) -> Bars:
    """The instrument's bars with the days of the test in another order and without their mean return.

    Past and future of a day have nothing to do with each other then: who gains there has seen the future.
    """
    whole, first = one.whole, one.begins
    order = random.permutation(np.arange(first, len(whole)))
    change = np.diff(whole.close, prepend=whole.close[0])[order] / whole.close[order - 1]
    close = whole.close.copy()
    close[first:] = close[first - 1] * np.cumprod(1.0 + change - change.mean())
    volume = whole.volume.copy()
    volume[first:] = whole.volume[order]
    ratios_to_close = [getattr(whole, name) / whole.close for name in ("open", "high", "low")]
    for ratio in ratios_to_close:
        ratio[first:] = ratio[order]
    moved = [ratio * close for ratio in ratios_to_close]
    return Bars(whole.dates, moved[0], moved[1], moved[2], close, volume)


def shuffled_skill(instruments: Sequence[Instrument], policies: Sequence[Policy], draws: int, seed: int) -> Interval:
    """Sharpe ratio of the policies without cost on shuffled futures: around 0 unless something leaks.

    The interval is of the mean over draws (1.96 standard errors).
    """
    random = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        each = []
        for one in instruments:
            bars = shuffled(one, random)
            for policy in policies:
                actions = decide(policy, bars, one.begins + FIRST)[one.begins :]
                each.append(sharpe(account(bars.close[one.begins :], actions, cost=0.0).returns))
        found.append(np.mean(each))
    mean, error = float(np.mean(found)), float(np.std(found, ddof=1) / np.sqrt(draws))
    return {"mean": mean, "low": mean - 1.96 * error, "high": mean + 1.96 * error}
