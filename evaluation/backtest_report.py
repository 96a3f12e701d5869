"""The report page of `tapewatch backtest`: figures with intervals, then a picture an instrument."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evaluation import equity_page
from evaluation import pump_page as page
from evaluation.equity_page import shown
from evaluation.strategies import POLICY, InstrumentResult

_PICTURES = 24
"""Instruments that get a picture."""


def write_report(folder: Path, document: dict[str, Any], tested: Sequence[InstrumentResult]) -> Path:
    """Write backtest.html; returns its path."""
    parts = [_policies(document), _means(document), _instruments(document)]
    parts += [equity_page.picture(one) for one in tested[:_PICTURES]]
    return page.write(folder, "backtest.html", f"Back-test, {document['backtest']}", parts)


def _policies(document: dict[str, Any]) -> str:
    rows = [[one["hash"], one["seed"], one["learnt_from"]] for one in document["policies"]]
    data = ", ".join(f"{name} {value}" for name, value in document["data"].items())
    return page.table(["policy", "seed", "learnt from"], rows) + page.table(["played on"], [[data]])


def _means(document: dict[str, Any]) -> str:
    """Every strategy's mean over instruments and policies."""
    names = ("return", "drawdown", "turnover", "trades")
    rows = [
        [name, shown(one["sharpe"]), *(f"{one[what]:.4g}" for what in names)] for name, one in document["mean"].items()
    ]
    rows.append(["policy less buy_and_hold, paired", shown(document["difference_to_buy_and_hold"]), *[""] * len(names)])
    ratio = f"Sharpe ratio of {document['sharpe_of']}, 95 % interval"
    return page.table(["mean of instruments", ratio, *names], rows)


def _instruments(document: dict[str, Any]) -> str:
    """Sharpe ratio by instrument: every policy's own, and each rule's; then the policies' other figures."""
    rows = []
    for name, one in document["instruments"].items():
        own = one[POLICY]
        ratios = ", ".join(f"{found['sharpe']:.2f}" for found in own)
        rules = [f"{found[0]['sharpe']:.2f}" for rule, found in one.items() if rule != POLICY]
        falls = ", ".join(f"{found['drawdown']:.4f}" for found in own)
        turnovers = ", ".join(f"{found['turnover']:.1f}" for found in own)
        rows.append([name, ratios, *rules, falls, turnovers])
    rules = [rule for rule in document["mean"] if rule != POLICY]
    return page.table(["Sharpe ratio", "policies", *rules, "drawdown of policies", "turnover of policies"], rows)
