"""Figures of the book model on seconds that the judged trees never saw, beside boosting on simple features."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from detectors.book import features
from detectors.book.training import MARGIN_S, Example
from detectors.book.trees import SCENARIOS

F8 = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Score = Callable[[Example], F8]
"""Score of each of an example's seconds; NaN where there is none."""

SIMPLE = (
    features.ADDED, features.REMOVED, features.ADDED_UNUSUAL, features.REMOVED_UNUSUAL, features.LARGEST_ADDED,
    features.LARGEST_REMOVED, features.TAKEN, features.QUOTES,
    features.TRADES_PER_QUOTE, features.VOLUME, features.CHANGES, features.MOVE, features.LEAN_CHANGE, features.DEPTH,
)  # fmt: skip
"""What a second shows without following any order: sums and counts of changes, trades, price and depth."""


def simple(examples: Sequence[Example], names: Sequence[str], seed: int) -> Score:
    """Gradient boosting on the simple features, for any of these scenarios."""
    rows, flags = [], []
    for one in examples:
        own = one.during(names) & one.warm
        used = own | one.ordinary()
        rows.append(one.x[used][:, SIMPLE])
        flags.append(own[used])
    model = HistGradientBoostingClassifier(
        max_iter=150, learning_rate=0.06, max_leaf_nodes=15, min_samples_leaf=20, l2_regularization=1.0,
        class_weight="balanced", random_state=seed,
    )  # fmt: skip
    with threadpool_limits(1):
        model.fit(np.concatenate(rows), np.concatenate(flags))

    def score(one: Example) -> F8:
        found = np.full(len(one.second), np.nan)
        with threadpool_limits(1):
            found[one.warm] = model.predict_proba(one.x[one.warm][:, SIMPLE])[:, 1]
        return found

    return score


def auroc(score: F8, positive: Flags, negative: Flags) -> float:
    """Area under the ROC curve of positive against negative seconds."""
    used = positive | negative
    ranks = rankdata(score[used])
    count = int(positive.sum())
    return float((ranks[positive[used]].sum() - count * (count + 1) / 2) / (count * (int(used.sum()) - count)))


def separation(examples: Sequence[Example], scores: Sequence[F8], names: Sequence[str]) -> tuple[float, float, int]:
    """AUROC over seconds, event recall at 1 % of the ordinary seconds, and the number of events.

    As `tapewatch evaluate scenarios` counts: seconds within 5 s of any event are not ordinary, and an event is found by
    what is said up to 5 s after its end. One threshold for all examples.
    """
    parts = [np.where(np.isnan(score), -np.inf, score) for score in scores]
    whole = np.concatenate(parts)
    positive = np.concatenate([one.during(names) for one in examples])
    negative = np.concatenate([~one.during(SCENARIOS, MARGIN_S, MARGIN_S) for one in examples])
    ordered = np.sort(whole[negative])
    level = ordered[len(ordered) - 1 - int(0.01 * len(ordered))]
    hits = events = 0
    for one, score in zip(examples, parts, strict=True):
        for name, begin, end in one.events:
            if name in names:
                near = (one.second + 1 > begin) & (one.second < end + MARGIN_S)
                hits += bool((score[near] > level).any())
                events += 1
    return auroc(whole, positive, negative), hits / max(1, events), events


def calibration_error(probability: F8, happened: Flags, bins: int = 15) -> float:
    """Expected calibration error over bins of equal width."""
    place = np.minimum((probability * bins).astype(int), bins - 1)
    total = 0.0
    for each in range(bins):
        own = place == each
        if own.any():
            total += abs(float(probability[own].mean()) - float(happened[own].mean())) * int(own.sum())
    return total / len(probability)
