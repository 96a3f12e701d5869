"""The report of `evaluate ddqn`: Sharpe ratios, and money over time on every instrument, a line for each seed."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detectors.ddqn.daily_account import FIRST, LONG
from streams.evaluate import pump_page as page

if TYPE_CHECKING:
    from streams.evaluate.ddqn import Traded

_COLOURS = {"buy_and_hold": "#222", "sell_and_hold": "#999", "trend_following": "#d98c00", "mean_reversion": "#2a9d55"}
_POLICY = "#3b6fd4"


def write_report(folder: Path, document: dict[str, Any], traded: Sequence["Traded"]) -> Path:
    """Write ddqn.html; returns its path."""
    parts = [_ratios(document), _difference(document)]
    parts += [_instrument(one) for one in traded]
    return page.write(folder, "ddqn.html", "Double DQN on daily bars, 2018 and 2019", parts)


def _ratios(document: dict[str, Any]) -> str:
    """Sharpe ratios by instrument, and their means with intervals."""
    rules = list(_COLOURS)
    rows: list[list[str]] = []
    for name, one in document["instruments"].items():
        seeds = ", ".join(f"{ratio:.2f}" for ratio in one["policy"]["by_seed"])
        trades = f"{np.mean(one['trades']):.0f}"
        rows.append([name, f"{one['policy']['mean']:.3f} ({seeds})", *(f"{one[rule]:.3f}" for rule in rules), trades])
    means = [_shown(document["mean"][name]) for name in ("policy", *rules)]
    return page.table(["Sharpe ratio", "policy (by seed)", *rules, "trades"], [*rows, ["mean", *means, ""]])


def _difference(document: dict[str, Any]) -> str:
    rows = [
        ["policy less buy-and-hold, paired", _shown(document["difference_to_buy_and_hold"])],
        ["policy on shuffled futures, no cost", _shown(document["shuffled_future"])],
    ]
    return page.table(["", "Sharpe ratio, 95 % interval"], rows)


def _shown(found: dict[str, float]) -> str:
    return f"{found['mean']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


def _instrument(one: "Traded") -> str:
    """Money of all strategies over the days; below, the policy's drawdown and the share of seeds that are long."""
    plt = page.pyplot()
    dates = one.instrument.test.dates
    figure, (top, middle, bottom) = plt.subplots(3, 1, figsize=(10, 5), sharex=True, height_ratios=(4, 1, 1))
    for own in one.policy:
        top.plot(dates, own.money, linewidth=0.6, color=_POLICY, alpha=0.7)
        middle.plot(dates, own.money / np.maximum.accumulate(own.money) - 1.0, linewidth=0.6, color=_POLICY)
    for name, colour in _COLOURS.items():
        top.plot(dates, one.rules[name].money, linewidth=0.9, color=colour, label=name)
    share = np.mean([found == LONG for found in one.actions], axis=0)
    bottom.fill_between(dates[FIRST:], share[FIRST:], step="post", color=_POLICY, alpha=0.5)
    top.legend(fontsize=7, loc="upper left")
    top.set(ylabel="money")
    middle.set(ylabel="drawdown")
    bottom.set(ylim=(0, 1), ylabel="long")
    return page.picture(figure, f"{one.instrument.name}: policy (blue, a line a seed) and the four strategies")
