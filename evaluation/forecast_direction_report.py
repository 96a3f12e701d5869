"""The report of a seven-class forecast: figures beside the naive ones, years, confusion and reliability."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from detectors.forecast.classes import CLASSES
from detectors.forecast.direction.naive import NAMES
from evaluation import pump_page as page

_FIGURES = ("accuracy", "macro_f1", "kappa", "auc", "size_auc", "sign_auc", "sign_auc_big", "log_loss")
_YEAR = ("year", "fitted", "rows", "commonest", "accuracy", "auc", "size_auc", "sign_auc")


def write_report(folder: Path, document: Mapping[str, Any]) -> Path:
    """Write forecast_<model>.html; returns its path."""
    name = str(document["model"])
    figures = [
        [each, _shown(document.get(each)), *(_shown(document[one].get(each)) for one in NAMES)] for each in _FIGURES
    ]
    parts = [
        page.table(["figure", name, *NAMES], figures),
        "".join(page.table(["what it says"], [[line] for line in document["verdicts"]])),
        page.picture(_confusion(document["confusion"]), "What happened (rows) and what was forecast: share of the row"),
        page.picture(_reliability(document["reliability"]), "Reliability: all classes' probabilities"),
        page.picture(_years(document["by_year"]), "Year by year"),
        page.table(list(_YEAR), [[year[each] for each in _YEAR] for year in document["by_year"]]),
    ]
    title = f"Next day in seven classes: {name}, {', '.join(document['data'])}"
    return page.write(folder, f"forecast_{name}.html", title, parts)


def _shown(figure: Mapping[str, float] | None) -> str:
    return f"{figure['mean']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})" if figure else ""


def _confusion(counts: list[list[int]]) -> Any:
    shares = np.array(counts, dtype=np.float64)
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1.0)
    figure, axes = page.pyplot().subplots(figsize=(6.5, 5.5))
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    for (row, column), share in np.ndenumerate(shares):
        axes.text(column, row, f"{share:.2f}", ha="center", va="center", color="white" if share > 0.5 else "black")
    axes.set_xticks(range(len(CLASSES)), CLASSES, rotation=45, ha="right")
    axes.set_yticks(range(len(CLASSES)), CLASSES)
    axes.set(xlabel="forecast", ylabel="happened")
    return figure


def _reliability(found: Mapping[str, Any]) -> Any:
    figure, axes = page.pyplot().subplots(figsize=(5.5, 5))
    axes.plot([0.0, 1.0], [0.0, 1.0], color="#bbb")
    axes.plot(found["probability"], found["share"], "o-", label=f"calibration error {found['ece']:.3f}")
    axes.set(xlabel="probability", ylabel="share that came true")
    axes.legend()
    return figure


def _years(rows: list[dict[str, Any]]) -> Any:
    figure, axes = page.pyplot().subplots(figsize=(8, 4))
    years = [row["year"] for row in rows]
    for name in ("auc", "sign_auc", "accuracy", "commonest"):
        axes.plot(years, [row[name] for row in rows], "o-", label=name.replace("_", " "))
    axes.axhline(0.5, color="#bbb")
    axes.legend()
    return figure
