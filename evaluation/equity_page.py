"""Pictures of what strategies did on an instrument: equity, trades drawn on the price, drawdown, position.

The report of `evaluate ddqn`: Sharpe ratios, and money over time on every instrument, a line for each seed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluation import pump_page as page
from evaluation.strategies import RULES, EvaluatedInstrument, InstrumentResult, Line, of_days

_COLOURS = dict(zip(RULES, ("#222", "#999", "#d98c00", "#2a9d55"), strict=True))
_POLICY, _BOUGHT, _SOLD = "#3b6fd4", "#1a8f3c", "#c0392b"
_MARKS = 400
"""Trades of a policy that are drawn at most."""


def picture(one: InstrumentResult) -> str:
    """One instrument, a line a policy in every part."""
    plt = page.pyplot()
    figure, axes = plt.subplots(4, 1, figsize=(10, 8), sharex=True, height_ratios=(4, 4, 1.5, 1.5))
    equity, price, drawdown, held = axes
    for line in one.policies:
        equity.plot(one.ts, line.equity, linewidth=0.9, color=_POLICY, alpha=0.7, zorder=3)
        drawdown.plot(one.ts, line.drawdown, linewidth=0.6, color=_POLICY)
    for name, colour in _COLOURS.items():
        equity.plot(one.ts, one.rules[name].equity, linewidth=0.9, color=colour, label=name)
    price.plot(one.ts, one.price, linewidth=0.6, color="#555")
    for line in one.policies:
        _trades(price, one, line, 0.9 / len(one.policies) + 0.1)
    mean = np.mean([line.held for line in one.policies], axis=0)
    held.fill_between(one.ts, mean, step="post", color=_POLICY, alpha=0.5)
    equity.legend(fontsize=7, loc="upper left")
    equity.set(ylabel="equity")
    price.set(ylabel="price, bought, sold")
    drawdown.set(ylabel="drawdown")
    held.set(ylabel="position")
    return page.picture(figure, f"{one.name}: policy (blue, a line a seed) and the four strategies")


def _trades(axis: Any, one: InstrumentResult, line: Line, strength: float) -> None:
    """Where the position went up or down, on the price."""
    change = np.diff(line.held, prepend=0.0)
    for sign, marker, colour in ((1.0, "^", _BOUGHT), (-1.0, "v", _SOLD)):
        rows = np.flatnonzero(np.sign(change) == sign)[:_MARKS]
        axis.plot(one.ts[rows], one.price[rows], marker, markersize=3.5, color=colour, alpha=strength)


def write_report(folder: Path, document: dict[str, Any], traded: Sequence[EvaluatedInstrument]) -> Path:
    """Write ddqn.html; returns its path."""
    parts = [_ratios(document), _difference(document)]
    parts += [picture(of_days(one)) for one in traded]
    return page.write(folder, "ddqn.html", "Double DQN on daily bars, 2018 and 2019", parts)


def _ratios(document: dict[str, Any]) -> str:
    """Sharpe ratios by instrument, and their means with intervals."""
    rows: list[list[str]] = []
    for name, one in document["instruments"].items():
        seeds = ", ".join(f"{ratio:.2f}" for ratio in one["policy"]["by_seed"])
        trades = f"{np.mean(one['trades']):.0f}"
        rows.append([name, f"{one['policy']['mean']:.3f} ({seeds})", *(f"{one[rule]:.3f}" for rule in RULES), trades])
    means = [shown(document["mean"][name]) for name in ("policy", *RULES)]
    return page.table(["Sharpe ratio", "policy (by seed)", *RULES, "trades"], [*rows, ["mean", *means, ""]])


def _difference(document: dict[str, Any]) -> str:
    rows = [
        ["policy less buy-and-hold, paired", shown(document["difference_to_buy_and_hold"])],
        ["policy on shuffled futures, no cost", shown(document["shuffled_future"])],
    ]
    return page.table(["", "Sharpe ratio, 95 % interval"], rows)


def shown(found: dict[str, float]) -> str:
    """A mean with its interval."""
    return f"{found['mean']:.3f} ({found['low']:.3f} to {found['high']:.3f})"
