"""The report of `evaluate abnormal-days`: precision-recall and ROC curves of the scores."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import precision_recall_curve, roc_curve

from streams.evaluate import pump_page as page


def write_report(
    folder: Path,
    document: Mapping[str, Any],
    abnormal: npt.NDArray[np.bool_],
    scores: Mapping[str, npt.NDArray[np.float64]],
) -> Path:
    """Write abnormal_days.html; returns its path. scores : float64[rows] of the first seed, by name"""
    plt = page.pyplot()
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    for name, found in scores.items():
        precision, recall, _ = precision_recall_curve(abnormal, found)
        false, true, _ = roc_curve(abnormal, found)
        left.plot(recall[recall > 0.02], precision[recall > 0.02], label=name)
        right.plot(false, true, label=name)
    left.set(xlabel="recall", ylabel="precision")
    right.set(xlabel="false positive rate", ylabel="recall")
    left.legend()
    rows = [
        [
            name,
            *(f"{one[key]['mean']:.3f} ({one[key]['low']:.3f} to {one[key]['high']:.3f})" for key in ("auroc", "ap")),
        ]
        for name, one in document.items()
        if isinstance(one, Mapping)
    ]
    parts = [page.table(["score", "AUROC", "AP"], rows), page.picture(figure, "Precision-recall and ROC")]
    return page.write(folder, "abnormal_days.html", "Abnormal moves of the next day", parts)
