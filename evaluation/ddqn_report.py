"""The report of `evaluate ddqn`: Sharpe ratios, and money over time on every instrument, a line for each seed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluation import equity_page
from evaluation import pump_page as page
from evaluation.strategies import RULES, EvaluatedInstrument, of_days


def write_report(folder: Path, document: dict[str, Any], traded: Sequence[EvaluatedInstrument]) -> Path:
    """Write ddqn.html; returns its path."""
    parts = [_ratios(document), _difference(document)]
    parts += [equity_page.picture(of_days(one)) for one in traded]
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
