"""The report of `evaluate sentiment`: figures with intervals, and who took which class for which."""

from pathlib import Path
from typing import Any

import numpy as np

from detectors.sentiment.scorer import CLASSES
from evaluation import pump_page as page


def write_report(folder: Path, document: dict[str, Any]) -> Path:
    """Write sentiment.html; returns its path. document : what the command prints as JSON"""
    judged = {document["kind"]: document, **document["baselines"]}
    facts = [
        ["data", ", ".join(document["data"])],
        ["texts", f"{document['rows']:,} ({document['language']}) in {document['groups']:,} groups"],
        ["classes", ", ".join(f"{count:,} {name}" for name, count in document["classes"].items())],
        ["folds", f"{document['folds']}, drawn {document['repeats']} times from seed {document['seed']}"],
        ["macro F1 less plain TF-IDF's", _shown(document["macro_f1_less_tfidf"])],
    ]
    figures = [
        [name, _shown(one["accuracy"]), _shown(one["macro_f1"]), f"{one['calibration_error']:.3f}"]
        for name, one in judged.items()
    ]
    parts = [
        page.table(["what", ""], facts),
        page.table(["classifier", "accuracy", "macro F1", "calibration error"], figures),
        _confusions(page.pyplot(), {name: one["confusion"] for name, one in judged.items()}),
    ]
    return page.write(folder, "sentiment.html", "Sentiment of labelled texts, in grouped folds", parts)


def _shown(figure: dict[str, float]) -> str:
    return f"{figure['mean']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"


def _confusions(plt: Any, confusions: dict[str, list[list[float]]]) -> str:
    figure, axes = plt.subplots(1, len(confusions), figsize=(4 * len(confusions), 3.8), squeeze=False)
    for axis, (name, rows) in zip(axes[0], confusions.items(), strict=True):
        counts = np.array(rows)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
        axis.imshow(shares, vmin=0.0, vmax=1.0, cmap="Blues")
        for (truth, said), share in np.ndenumerate(shares):
            color = "white" if share > 0.5 else "black"
            axis.text(said, truth, f"{counts[truth, said]:.0f}\n{share:.0%}", ha="center", va="center", color=color)
        axis.set_title(name)
        axis.set_xticks(range(len(CLASSES)), CLASSES)
        axis.set_yticks(range(len(CLASSES)), CLASSES)
        axis.set_xlabel("said")
        axis.set_ylabel("is")
    figure.tight_layout()
    return page.picture(figure, "how often which class was taken for which")
