"""The report of `evaluate drift`: scores against the reference's bins, the index by hour, and the discoveries."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detectors.drift import MODERATE, STRONG
from evaluation import pump_page as page


def write_report(folder: Path, document: dict[str, Any]) -> Path:
    """Write drift.html; returns its path. document : what the command prints as JSON"""
    head = ["history", "span", "feature rows"]
    values = [document["history"], f"{document['from']} to {document['to']}", f"{document['feature_rows']:,}"]
    parts = [page.table(["what", ""], [list(each) for each in zip(head, values, strict=True)])]
    plt = page.pyplot()
    for name, found in document["detectors"].items():
        index = found["stability_index"]
        facts = [
            ["model", found["model"]],
            ["stability index", "no score" if index is None else f"{index:.3f}: {found['verdict']} drift"],
            ["mean moved at", ", ".join(found["mean_moved"]) or "never"],
            ["discoveries", f"{len(found['discoveries'])} of {found['tests']:,} blocks of ten minutes"],
        ]
        parts.append(page.table([name, ""], facts))
        if found["rows"]:
            parts.append(_picture(plt, found))
        rows = [
            [one["from"], one["instrument"], f"{one['p']:.2g}", f"{one['score']:.4g}"] for one in found["discoveries"]
        ]
        if rows:
            parts.append(page.table(["from", "instrument", "p-value", "score"], rows))
    return page.write(folder, "drift.html", "Drift: what the detectors see, and what they were made on", parts)


def _discoveries(found: Sequence[dict[str, Any]]) -> str:
    rows = [[one["from"], one["instrument"], f"{one['p']:.2g}", f"{one['score']:.4g}"] for one in found]
    return page.table(["from", "instrument", "p-value", "score"], rows)


def _picture(plt: Any, found: dict[str, Any]) -> str:
    figure, (bins, hours) = plt.subplots(1, 2, figsize=(10, 3))
    place = np.arange(len(found["shares"]))
    bins.bar(place - 0.2, found["reference"], width=0.4, label="reference")
    bins.bar(place + 0.2, found["shares"], width=0.4, label="this history")
    bins.set_xlabel("bin of the score, lowest first")
    bins.set_ylabel("share of rows")
    bins.legend(fontsize=8)
    hours.plot([hour["stability_index"] for hour in found["hours"]], "o-", lw=1, ms=3)
    for limit in (MODERATE, STRONG):
        hours.axhline(limit, color="#c0392b", lw=0.8, ls="--")
    hours.set_xlabel("hour of the history")
    hours.set_ylabel("stability index")
    return page.picture(figure, "scores against the reference, and the index by hour")
