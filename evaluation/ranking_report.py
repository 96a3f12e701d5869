"""The report of `evaluate ranking`: reliability, prices with averages, lines and regimes, results by regime; the
pictures as PNG files beside the page too.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detectors.coin_features import windows
from detectors.regime.model import RegimeModel
from detectors.regime.rules import HOURS
from evaluation import pump_page as page

if TYPE_CHECKING:
    from evaluation.ranking_figures import CoinHistory, HeldOutMinutes

_BULL, _BEAR, _LINE = "#2a9d55", "#c8452f", "#3b6fd4"
_SHOWN = ("1h", "12h", "1d", "7d")
"""Windows whose average is drawn."""
_DAY = windows.NAMES.index("1d")


def write_report(
    folder: Path,
    document: dict[str, Any],
    coins: Sequence["CoinHistory"],
    judged: Sequence["HeldOutMinutes"],
    model: RegimeModel,
) -> Path:
    """Write ranking.html and its pictures; returns the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = [_ranking_table(document)]
    parts += [_reliability(folder, one, found) for one, found in zip(document["ranking"], judged, strict=True)]
    parts += [_regime_table(document)]
    for coin in coins:
        parts += [_prices(folder, coin), _calls(folder, coin, model), _volumes(folder, coin)]
    parts += [_results(folder, document)]
    return page.write(folder, "ranking.html", "Coin desk: ranking and regimes on held-out weeks", parts)


def _keep(folder: Path, name: str, figure: Any, caption: str) -> str:
    """The figure in the page, and as a file beside it."""
    figure.savefig(folder / f"{name}.png", dpi=110, bbox_inches="tight")
    return page.picture(figure, caption)


def _asked(one: dict[str, Any]) -> str:
    return f"{one['coin']}, {one['target']:+.2%} before {one['stop']:+.2%} in {one['horizon_s'] // 60} min"


def _ranking_table(document: dict[str, Any]) -> str:
    head = ["", "minutes", "reached", "ECE", "AUC", "Brier", "of the base rate", "without drift"]
    rows = [
        [
            _asked(one), f"{one['minutes']:,}", f"{one['reached']:.3f}", _shown(one["ece"]), _shown(one["auc"]),
            _shown(one["brier"]), f"{one['brier_base_rate']['mean']:.4f}", f"{one['brier_naive']['mean']:.4f}",
        ]
        for one in document["ranking"]
    ]  # fmt: skip
    return page.table(head, rows)


def _regime_table(document: dict[str, Any]) -> str:
    head = ["coin, hours, rule", "in force", "next return", "next log volatility", "nats", "less naive", "turns a day"]
    rows = [
        [
            f"{one['coin']} {one['hours']} h {rule}", "yes" if rule == one["in_force"] else "",
            *(_shown(each[name]) for name in ("next_return", "next_log_volatility", "nats", "nats_less_naive")),
            f"{each['turns_a_day']:.1f}",
        ]
        for one in document["regimes"]
        for rule, each in one["rules"].items()
    ]  # fmt: skip
    planted = [
        [f"{hours} h", *(_shown(share) for share in rules.values())]
        for hours, rules in document["planted_regimes"].items()
    ]
    return (
        "<h2>Regimes: bull less bear, held-out days</h2>\n"
        + page.table(head, rows)
        + "<h2>Planted regimes called right</h2>\n"
        + page.table(["", *next(iter(document["planted_regimes"].values()))], planted)
    )


def _shown(found: dict[str, float] | None) -> str:
    return "n/a" if found is None else f"{found['mean']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


def _reliability(folder: Path, one: dict[str, Any], found: "HeldOutMinutes") -> str:
    figure, (top, bottom) = page.pyplot().subplots(2, 1, figsize=(5, 5), sharex=True, height_ratios=(3, 1))
    held = one["reliability"]
    top.plot([0, 1], [0, 1], color="#999", linewidth=0.8)
    top.plot(held["probability"], held["share"], "o-", color=_LINE, markersize=4)
    bottom.hist(found.chance, bins=60, range=(0, 1), color=_LINE, alpha=0.6)
    top.set(ylabel="share that reached it", xlim=(0, 1), ylim=(0, 1))
    bottom.set(xlabel="probability", ylabel="minutes")
    name = f"reliability_{one['coin']}_{one['target'] * 1e4:.0f}bp"
    return _keep(folder, name, figure, f"Reliability: {_asked(one)}")


def _times(coin: "CoinHistory") -> Any:
    return coin.seen.minutes.astype("datetime64[m]")


def _prices(folder: Path, coin: "CoinHistory") -> str:
    figure, (top, middle, bottom) = page.pyplot().subplots(3, 1, figsize=(11, 6), sharex=True, height_ratios=(4, 1, 1))
    times, seen = _times(coin), coin.known.windows
    top.plot(times, coin.seen.bars[:, 2], color="#222", linewidth=0.5, label="price")
    for name in _SHOWN:
        top.plot(times, seen[:, windows.NAMES.index(name), windows.AVERAGE], linewidth=0.8, label=f"average {name}")
    top.plot(times, seen[:, _DAY, windows.HIGH_LINE], color=_BULL, linewidth=0.7, linestyle="--", label="high line 1d")
    top.plot(times, seen[:, _DAY, windows.LOW_LINE], color=_BEAR, linewidth=0.7, linestyle="--", label="low line 1d")
    top.legend(fontsize=7, ncol=4)
    middle.plot(times, seen[:, _DAY, windows.POSITION], color=_LINE, linewidth=0.5)
    middle.set(ylabel="position", ylim=(0, 1))
    for name in ("1h", "1d"):
        level = 1e4 * seen[:, windows.NAMES.index(name), windows.VOLATILITY]
        bottom.plot(times, level, linewidth=0.6, label=name)
    bottom.set(ylabel="volatility, bp/min")
    bottom.legend(fontsize=7)
    return _keep(
        folder, f"lines_{coin.seen.name}", figure, f"{coin.seen.name}: averages, high and low line, volatility"
    )


def _calls(folder: Path, coin: "CoinHistory", model: RegimeModel) -> str:
    figure, axes = page.pyplot().subplots(len(HOURS), 1, figsize=(11, 8), sharex=True)
    times, price = _times(coin), coin.seen.bars[:, 2]
    for horizon, (axis, place) in enumerate(zip(axes, model.places(), strict=True)):
        calls = coin.known.calls[:, horizon, place]
        axis.plot(times, price, color="#222", linewidth=0.5)
        for call, colour in ((1.0, _BULL), (-1.0, _BEAR)):
            axis.fill_between(
                times, price.min(), price.max(), where=calls == call, color=colour, alpha=0.18, linewidth=0
            )
        axis.set(ylabel=f"{HOURS[horizon]} h, {model.in_force[horizon]}", ylim=(price.min(), price.max()))
    return _keep(folder, f"regimes_{coin.seen.name}", figure, f"{coin.seen.name}: bull (green) and bear (red) in force")


def _volumes(folder: Path, coin: "CoinHistory") -> str:
    figure, axis = page.pyplot().subplots(figsize=(11, 2.5))
    for name in ("1h", "12h", "1d"):
        place = windows.NAMES.index(name)
        rate = coin.known.windows[:, place, windows.S_VOLUME] / coin.known.windows[:, place, windows.S_MINUTES]
        axis.plot(_times(coin), rate, linewidth=0.6, label=f"{name}")
    axis.set(ylabel="volume a minute", yscale="log")
    axis.legend(fontsize=7)
    return _keep(folder, f"volumes_{coin.seen.name}", figure, f"{coin.seen.name}: volume over windows")


def _results(folder: Path, document: dict[str, Any]) -> str:
    rows = document["by_regime"]
    coins = list(dict.fromkeys(row["coin"] for row in rows))
    figure, axes = page.pyplot().subplots(1, len(coins), figsize=(5.5 * len(coins), 3), squeeze=False)
    for axis, coin in zip(axes[0], coins, strict=True):
        for offset, name, colour in ((-0.2, "bull", _BULL), (0.2, "bear", _BEAR)):
            own = [row for row in rows if row["coin"] == coin and row["regime"] == name]
            at = [HOURS.index(row["hours"]) + offset for row in own]
            axis.bar(at, [row["win_rate"] for row in own], width=0.38, color=colour, label=name)
            axis.plot(at, [row["probability"] for row in own], "k_", markersize=14)
        axis.set_xticks(np.arange(len(HOURS)), [f"{hours} h" for hours in HOURS])
        axis.set(title=coin, ylabel="win rate (line: probability)")
        axis.legend(fontsize=7)
    table = page.table(
        ["coin", "hours", "regime", "minutes", "win rate", "probability", "return of the hour before"],
        [
            [row["coin"], row["hours"], row["regime"], f"{row['minutes']:,}", f"{row['win_rate']:.3f}",
             f"{row['probability']:.3f}", f"{row['hourly_return']:+.4%}"]
            for row in rows
        ],
    )  # fmt: skip
    return _keep(folder, "results_by_regime", figure, "Win rate by regime in force") + table
