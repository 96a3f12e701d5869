"""`evaluate forecast --model lstm`: next closes year by year, each by an LSTM fitted to the years before, beside
saying that nothing changes (persistence), that the mean of the years before goes on (drift) and that the last month's
does (momentum).
"""

import argparse
import html
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.forecast.lstm.forecasting import Rows, fit_fold, rows_of
from detectors.forecast.lstm.inputs import INPUTS
from detectors.forecast.lstm.training import Recipe
from detectors.forecast.series import Panel
from detectors.forecast.walk import folds, years
from evaluation import pump_page
from tapewatch.desk.day_blocks import drawn, interval
from tapewatch.errors import TapewatchError

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

BLOCK = 20
"""Trading days in a row that stay together in a draw: a month."""
RECIPE = Recipe()
"""Chosen beforehand by what a run may cost, never by what it gives here."""
_DAY_NS = 86_400_000_000_000
_NAIVE = ("persistence", "drift", "momentum")
_MONTH = 20
"""Bars whose mean return momentum says goes on."""

_COUNT, _FORECASTERS = 0, (*_NAIVE, "model", "ensemble")
"""A day's sums: rows, then for each forecaster squared and absolute errors of price and of log return."""
_MEASURES = ("price_squared", "price_absolute", "return_squared", "return_absolute")


def judge(panel: Panel, name: str, args: argparse.Namespace) -> dict[str, Any]:
    """The figures. args : `seeds`, `first_year`; of `model` errors are the mean over seeds, `ensemble` is one forecast,
    the seeds' mean
    """
    try:
        rows = rows_of(panel)
    except ValueError as error:
        raise TapewatchError(f"cannot judge: {error}", "Give folders with more daily bars.") from error
    judged, forecasts, drift = _walked(rows, args.first_year, args.seeds)
    sums = _daily(rows, judged, forecasts, drift)
    draws = drawn(len(sums), BLOCK)
    document = _figures(sums, draws, "model")
    document["ensemble"] = _figures(sums, draws, "ensemble")
    document |= {
        "rows": int(judged.sum()), "test_days": len(sums), "block_days": BLOCK, "epochs": RECIPE.epochs,
        "batch": RECIPE.batch, "units": RECIPE.units, "dropout": RECIPE.dropout,
        "by_seed": [_ratio_of(rows, judged, each) for each in forecasts],
        "years": _by_year(rows, judged, forecasts, drift),
    }  # fmt: skip
    return document | {"verdicts": verdicts(name, document)}


def _walked(rows: Rows, first_year: int, seeds: int) -> tuple[npt.NDArray[np.bool_], F8, F8]:
    """Which rows were judged, and for every row: log returns forecast by each seed, float64[seeds, rows], and drift."""
    judged = np.zeros(len(rows), dtype=np.bool_)
    forecasts, drift = np.zeros((seeds, len(rows))), np.zeros(len(rows))
    actual = np.log(rows.close / rows.reference)
    for fold in folds(rows.at, rows.known, years(rows.at, first_year)):
        judged |= fold.test
        drift[fold.test] = actual[fold.fit | fold.calibrate].mean()
        for seed in range(seeds):
            forecasts[seed, fold.test] = fit_fold(rows, fold, replace(RECIPE, seed=seed))
        year = np.datetime64(int(rows.at[fold.test].min()), "ns").astype("datetime64[Y]")
        print(f"{year}: {int(fold.test.sum())} windows judged", file=sys.stderr, flush=True)
    if not judged.any():
        raise TapewatchError(f"no bars from {first_year} on with bars before them", "Choose another --first-year.")
    return judged, forecasts, drift


def _errors(rows: Rows, chosen: npt.NDArray[np.bool_], expected: F8) -> F8:
    """Squared and absolute errors of price and of log return, float64[chosen, 4]. expected : log returns of all rows"""
    reference, close, said = rows.reference[chosen], rows.close[chosen], expected[chosen]
    price, change = reference * np.exp(said) - close, said - np.log(close / reference)
    return np.column_stack([price**2, np.abs(price), change**2, np.abs(change)])


def _daily(rows: Rows, judged: npt.NDArray[np.bool_], forecasts: F8, drift: F8) -> F8:
    """Sums by day, float64[days, 1 + 4 * forecasters], in the order of _FORECASTERS."""
    by_seed = np.mean([_errors(rows, judged, each) for each in forecasts], axis=0)
    alone = [_errors(rows, judged, each) for each in (np.zeros(len(rows)), drift, _lately(rows))]
    columns = np.column_stack([np.ones(len(by_seed)), *alone, by_seed, _errors(rows, judged, forecasts.mean(axis=0))])
    _, day = np.unique(rows.at[judged] // _DAY_NS, return_inverse=True)
    return np.column_stack([np.bincount(day, column) for column in columns.T])


def _lately(rows: Rows) -> F8:
    """Mean log return of the newest _MONTH bars of each window, float64[rows]."""
    returns: F8 = rows.inputs[:, -_MONTH:, INPUTS.index("return")].mean(axis=1, dtype=np.float64) * rows.volatility
    return returns


def _place(forecaster: str, measure: str) -> int:
    """The column of a sum."""
    return 1 + 4 * _FORECASTERS.index(forecaster) + _MEASURES.index(measure)


def _mean(forecaster: str, measure: str) -> Callable[[F8], float]:
    """RMSE of squared errors, MAE of absolute ones."""
    column = _place(forecaster, measure)
    root = 0.5 if measure.endswith("squared") else 1.0
    return lambda total: float((total[column] / total[_COUNT]) ** root)


def _ratio(forecaster: str, measure: str, naive: str) -> Callable[[F8], float]:
    """A forecaster's error over a naive one's."""
    column, base = _place(forecaster, measure), _place(naive, measure)
    root = 0.5 if measure.endswith("squared") else 1.0
    return lambda total: float((total[column] / total[base]) ** root)


def _figures(sums: F8, draws: I8, forecaster: str) -> dict[str, Any]:
    """Errors of a forecaster on prices, and on returns; and over persistence's and drift's."""
    kinds = {"price": _of_kind(sums, draws, forecaster, "price"), "return": _of_kind(sums, draws, forecaster, "return")}
    return kinds["price"] | {"returns": kinds["return"]}


def _of_kind(sums: F8, draws: I8, forecaster: str, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for figure, measure in (("rmse", f"{kind}_squared"), ("mae", f"{kind}_absolute")):
        found[figure] = interval(sums, draws, _mean(forecaster, measure))
        found[f"{figure}_ratio"] = interval(sums, draws, _ratio(forecaster, measure, "persistence"))
        for naive in ("drift", "momentum"):
            found[f"{figure}_ratio_to_{naive}"] = interval(sums, draws, _ratio(forecaster, measure, naive))
        for naive in _NAIVE:
            found.setdefault(naive, {})[figure] = _mean(naive, measure)(sums.sum(axis=0))
    return found


def _ratio_of(rows: Rows, chosen: npt.NDArray[np.bool_], expected: F8) -> dict[str, float]:
    """One forecast's RMSE over persistence's, on prices and on returns."""
    found, naive = (_errors(rows, chosen, each).sum(axis=0) for each in (expected, np.zeros(len(rows))))
    ratios = np.sqrt(found / naive)
    return {"rmse_ratio": float(ratios[0]), "return_rmse_ratio": float(ratios[2])}


def _by_year(rows: Rows, judged: npt.NDArray[np.bool_], forecasts: F8, drift: F8) -> dict[str, dict[str, Any]]:
    """RMSE ratios of each judged year, with the interval."""
    year = rows.at.astype("datetime64[ns]").astype("datetime64[Y]")
    found = {}
    for each in np.unique(year[judged]):
        sums = _daily(rows, judged & (year == each), forecasts, drift)
        draws = drawn(len(sums), BLOCK)
        found[str(each)] = {
            "rows": int(sums[:, _COUNT].sum()),
            "rmse_ratio": interval(sums, draws, _ratio("model", "price_squared", "persistence")),
            "return_rmse_ratio": interval(sums, draws, _ratio("model", "return_squared", "persistence")),
        }
    return found


def verdicts(name: str, document: Mapping[str, Any]) -> list[str]:
    """What the intervals say, in words. Skill is to beat both naive forecasts: the mean return alone is none."""
    told = (("closes", document), ("log returns", document["returns"]))
    return [f"{name} on {what}: {_verdict(found['rmse_ratio'], found['rmse_ratio_to_drift'])}" for what, found in told]


def _verdict(ratio: Mapping[str, float], to_drift: Mapping[str, float]) -> str:
    shown = f"RMSE {_shown(ratio)} of persistence's, {_shown(to_drift)} of drift's"
    if ratio["low"] > 1.0:
        return f"worse than persistence, {shown}"
    if ratio["high"] >= 1.0:
        return f"no skill shown, {shown}"
    return f"it has skill, {shown}" if to_drift["high"] < 1.0 else f"no skill shown beyond drift, {shown}"


def page(folder: Path, document: dict[str, Any]) -> Path:
    """Write lstm.html with its pictures; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = [_table(document), *(f"<p>{html.escape(each)}</p>" for each in document["verdicts"])]
    parts += [_years_picture(document, key, of) for key, of in _PICTURES.items()]
    return pump_page.write(folder, "lstm.html", "LSTM: next close, judged year by year", parts)


_PICTURES = {"rmse_ratio": "closes", "return_rmse_ratio": "log returns"}


def _table(document: dict[str, Any]) -> str:
    head = ["", "model (mean of seeds)", *_NAIVE, *(f"over {naive}" for naive in _NAIVE)]
    kinds = (("close", document), ("log return", document["returns"]))
    return pump_page.table(head, [_row(what, found, figure) for what, found in kinds for figure in ("rmse", "mae")])


def _row(what: str, found: Mapping[str, Any], figure: str) -> list[str]:
    naive = [f"{found[each][figure]:.5g}" for each in _NAIVE]
    ratios = [_shown(found[f"{figure}_ratio{suffix}"]) for suffix in ("", "_to_drift", "_to_momentum")]
    return [f"{figure.upper()} of the {what}", _shown(found[figure]), *naive, *ratios]


def _shown(figure: Mapping[str, float]) -> str:
    return f"{figure['mean']:.5g} ({figure['low']:.5g} to {figure['high']:.5g})"


def _years_picture(document: dict[str, Any], key: str, of: str) -> str:
    """The ratio of each year with its interval."""
    figure, axes = pump_page.pyplot().subplots(figsize=(8.0, 3.2))
    names = list(document["years"])
    found = [document["years"][year][key] for year in names]
    middle = np.array([each["mean"] for each in found])
    spans = np.array([[each["mean"] - each["low"], each["high"] - each["mean"]] for each in found]).T
    axes.errorbar(names, middle, yerr=spans, fmt="o", color="#3b6fd4", capsize=3)
    axes.axhline(1.0, color="#888888", linewidth=0.8)
    axes.set_ylabel("RMSE over persistence's")
    return pump_page.picture(figure, f"RMSE of {of} over that of persistence by year; below 1 is better")
