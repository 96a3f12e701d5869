"""The report of `evaluate onset`: precision-recall and ROC curves, and what tells the files apart."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import precision_recall_curve, roc_curve

from evaluation import pump_page as page


def write_report(
    folder: Path,
    document: dict[str, Any],
    labels: npt.NDArray[np.int64],
    predictions: Mapping[str, npt.NDArray[np.float64]],
) -> Path:
    """Write onset.html; returns its path. predictions : model -> float64[seeds, rows]"""
    plt = page.pyplot()
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    for name, predicted in predictions.items():
        precision, recall, _ = precision_recall_curve(labels, predicted.mean(axis=0))
        false, true, _ = roc_curve(labels, predicted.mean(axis=0))
        left.plot(recall, precision, label=name)
        right.plot(false, true, label=name)
    left.set(xlabel="recall", ylabel="precision", ylim=(0.5, 1.01))
    right.set(xlabel="false positive rate", ylabel="recall", xlim=(-0.005, 0.2))
    left.legend()
    rows = [
        [name, *(f"{one[key]['mean']:.3f} ({one[key]['low']:.3f} to {one[key]['high']:.3f})" for key in ("ap", "f1"))]
        for name, one in {**document["models"], **document["explained"]}.items()
    ]
    parts = [page.table(["model or input", "AP", "F1 at .5"], rows), page.picture(figure, "Precision-recall and ROC")]
    return page.write(folder, "onset.html", "Pump onsets against natural spikes", parts)
