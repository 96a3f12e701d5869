"""The report of `evaluate promotion` as a page: the wealth pair by pair, what both earned, and the verdict."""

from pathlib import Path

import numpy as np

from detectors.ddqn.promotion import Report
from evaluation import pump_page as page


def write_report(folder: Path, report: Report) -> Path:
    """Write promotion.html; returns its path."""
    parts = [_verdict(report), _players(report), _wealth(report)]
    return page.write(folder, "promotion.html", f"Challenger {report.challenger.policy}: {report.decision}", parts)


def _verdict(report: Report) -> str:
    rows: list[list[object]] = [
        ["decision", report.decision],
        ["because", "; ".join(report.reasons)],
        ["p, whenever one stops", f"{report.p_value:.4f}"],
        ["pairs", f"{len(report.outcomes)} of {report.slot}"],
        ["won, lost, the same", ", ".join(str(report.outcomes.count(sign)) for sign in (1, -1, 0))],
        ["data", ", ".join(f"{name} {value}" for name, value in report.data.items())],
        ["command", report.command],
    ]
    return page.table(["", ""], rows)


def _players(report: Report) -> str:
    rows = [
        [name, one.policy, f"{one.result:+.5f}", f"{one.worst_drawdown:.5f}", f"{one.mean_drawdown:.5f}"]
        for name, one in (("champion", report.champion), ("challenger", report.challenger))
    ]
    return page.table(["", "policy", "earned, of capital", "worst drawdown", "mean drawdown"], rows)


def _wealth(report: Report) -> str:
    plt = page.pyplot()
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(10, 6), sharex=True)
    top.plot(report.e_values, color="#3b6fd4")
    top.axhline(1.0 / report.rule.level, color="#2a9d55", linewidth=0.8, label="promoted from here on")
    top.set(yscale="log", ylabel="wealth of a bet on the challenger")
    top.legend(fontsize=8)
    gains = np.cumsum(np.array(report.gains).reshape(-1, 2), axis=0)
    bottom.plot(gains[:, 0], color="#222", label=f"champion {report.champion.policy}")
    bottom.plot(gains[:, 1], color="#3b6fd4", label=f"challenger {report.challenger.policy}")
    bottom.set(xlabel="pair", ylabel="earned, of capital")
    bottom.legend(fontsize=8)
    return page.picture(figure, "Wealth and earnings, pair by pair")
