"""Training the book model: boosted trees for each scenario, their calibration, and alert levels within a budget."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from detectors.book import features as f
from detectors.book.model import SCENARIOS, Booster
from detectors.boosted.training import exported, first_within

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

MARGIN_S = 5.0
"""Seconds around a manipulation that are no example of ordinary trading."""
AFTER_S = 1.4
"""What an order was shows when it is withdrawn: so long after the end of spoofing or layering, seconds are theirs."""
STUFFING = SCENARIOS.index("quote_stuffing")

RISING = frozenset(
    {
        f.STAND, f.STAND_LEAN, f.STAND_LARGEST, f.STAND_LEVELS, f.STAND_COUNT, f.STAND_TOGETHER, f.STAND_TOGETHER_QTY,
        f.STAND_UNUSUAL, f.STAND_MOVES, f.GONE, f.GONE_LARGEST, f.GONE_COUNT, f.GONE_UNUSUAL, f.HELD, f.HELD_TOGETHER,
        f.HELD_UNUSUAL, f.HELD_MOVES, f.LATELY_LEAN, f.DEPTH, f.LEAN_CHANGE,
    }
)  # fmt: skip
"""More of these never lowers the probability of spoofing or layering: size, company, one-sidedness."""
FALLING = frozenset({f.STAND_OTHER, f.STAND_FILLED, f.GONE_OTHER, f.HELD_FILLED, f.HELD_AGE})
"""More of these never raises it: the other side does the same, orders were filled, it is long ago."""
SUMS = frozenset(
    {
        f.ADDED, f.REMOVED, f.ADDED_UNUSUAL, f.REMOVED_UNUSUAL, f.LARGEST_ADDED, f.LARGEST_REMOVED, f.TAKEN, f.CHANGES,
        f.TRADES_PER_QUOTE, f.QUOTES, f.VOLUME, f.LATELY,
    }
)  # fmt: skip
"""What came and went in the second, whoever did it."""
ORDERS = tuple(sorted(RISING | FALLING | SUMS | {f.STAND_AGE, f.STAND_OPPOSITE, f.HELD_LIFE, f.HELD_OPPOSITE}))
"""What spoofing and layering are judged by."""

RATES = (
    f.QUOTES, f.RESIZED, f.REVERTED, f.REVERTED_SHARE, f.RETURNED_SHARE, f.RECENT_QUOTES, f.RECENT_REVERTED,
    f.TRADES_PER_QUOTE, f.VOLUME, f.CHANGES, f.FLEETING, f.MOVE,
)  # fmt: skip
"""What stuffing is judged by."""
RATES_RISING = frozenset({f.QUOTES, f.RESIZED, f.REVERTED, f.RECENT_QUOTES, f.RECENT_REVERTED})
RATES_FALLING = frozenset({f.TRADES_PER_QUOTE})


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train.

    trees, rate, leaves, least_rows, shrinkage, bins : of the gradient boosting
    evidence : what a second in which orders are withdrawn weighs, over one in which they stand
    budget : false alerts of all scenarios together an instrument-hour
    gap_s : an alert within so many seconds of the last of its scenario is the same one
    """

    seed: int = 0
    trees: int = 80
    rate: float = 0.07
    leaves: int = 6
    least_rows: int = 40
    shrinkage: float = 1.0
    bins: int = 64
    evidence: float = 4.0
    budget: float = 0.5
    gap_s: int = 60


@dataclass(frozen=True, slots=True)
class Example:
    """The seconds of one instrument with what is known to have happened in them.

    source : recording or market that it stems from; strength : of the manipulation in it, 0 where it is mixed
    second : int64[n], UTC s; x : float64[n, features.COUNT], NaN where not warm; events : (scenario, begin s, end s)
    weight : of one of its seconds in training
    """

    source: str
    strength: float
    second: I8
    x: F8
    events: Sequence[tuple[str, float, float]]
    weight: float = 1.0

    @property
    def warm(self) -> Flags:
        """Which seconds have features."""
        return np.isfinite(self.x[:, 0])

    def during(self, names: Sequence[str], before: float = 0.0, after: float = 0.0) -> Flags:
        """Which seconds overlap an event of these scenarios, widened."""
        found = np.zeros(len(self.second), dtype=bool)
        for name, begin, end in self.events:
            if name in names:
                found |= (self.second + 1 > begin - before) & (self.second < end + after)
        return found

    def ordinary(self) -> Flags:
        """Which warm seconds are far from any event."""
        return np.asarray(~self.during(SCENARIOS, MARGIN_S, MARGIN_S) & self.warm)

    def ending(self, name: str) -> Flags:
        """Which seconds tell of the end of an event."""
        ends = [(name, end, end) for own, _, end in self.events if own == name]
        return Example(self.source, self.strength, self.second, self.x, ends).during((name,), 0.0, AFTER_S)


def inputs_of(scenario: int) -> tuple[int, ...]:
    """Places of the features that a scenario's trees see."""
    return RATES if scenario == STUFFING else ORDERS


def classifier(scenario: int, recipe: Recipe) -> HistGradientBoostingClassifier:
    """The booster of one scenario, untrained."""
    up, down = (RATES_RISING, RATES_FALLING) if scenario == STUFFING else (RISING, FALLING)
    return HistGradientBoostingClassifier(
        max_iter=recipe.trees,
        learning_rate=recipe.rate,
        max_leaf_nodes=recipe.leaves,
        min_samples_leaf=recipe.least_rows,
        l2_regularization=recipe.shrinkage,
        max_bins=recipe.bins,
        monotonic_cst=[int(place in up) - int(place in down) for place in inputs_of(scenario)],
        early_stopping=False,
        random_state=recipe.seed,
    )


def fit(examples: Sequence[Example], scenario: int, recipe: Recipe) -> HistGradientBoostingClassifier:
    """Train one scenario on its seconds against ordinary ones; seconds of other scenarios are left out."""
    name, after = SCENARIOS[scenario], 0.0 if scenario == STUFFING else AFTER_S
    rows, labels, weights = [], [], []
    for one in examples:
        own = one.during((name,), 0.0, after) & one.warm
        used = own | one.ordinary()
        heavy = own & one.ending(name) if scenario != STUFFING else np.zeros_like(own)
        rows.append(one.x[used][:, inputs_of(scenario)])
        labels.append(own[used])
        weights.append(one.weight * np.where(heavy, recipe.evidence, 1.0)[used])
    with threadpool_limits(1):
        return classifier(scenario, recipe).fit(
            np.concatenate(rows), np.concatenate(labels), sample_weight=np.concatenate(weights)
        )


def said(fitted: HistGradientBoostingClassifier, scenario: int, one: Example) -> F8:
    """Log odds of each second, float64[n]; NaN where not warm."""
    found = np.full(len(one.second), np.nan)
    if one.warm.any():
        with threadpool_limits(1):
            found[one.warm] = fitted.decision_function(one.x[one.warm][:, inputs_of(scenario)])
    return found


def export(fitted: HistGradientBoostingClassifier, scenario: int) -> Booster:
    """The trees as flat arrays, uncalibrated and silent."""
    trees = exported(fitted, inputs_of(scenario))
    return Booster(scenario=SCENARIOS[scenario], slope=1.0, shift=0.0, alert=1.0, **trees)


def calibration(examples: Sequence[Example], scores: Sequence[F8], scenario: int) -> tuple[float, float]:
    """Slope and shift that turn log odds into ones that hold. scores : of models that have not seen the examples"""
    name = SCENARIOS[scenario]
    x, y = [], []
    for one, score in zip(examples, scores, strict=True):
        own = one.during((name,)) & one.warm
        used = own | one.ordinary()
        x.append(score[used])
        y.append(own[used])
    line = LogisticRegression(C=1e6).fit(np.concatenate(x)[:, None], np.concatenate(y))
    return float(f"{max(0.0, line.coef_[0, 0]):.6g}"), float(f"{line.intercept_[0]:.6g}")


def openings(second: I8, score: F8, ordinary: Flags, level: float, gap_s: int) -> int:
    """False alerts: times at which the score comes to `level` in an ordinary second, `gap_s` after the last one."""
    count, last = 0, -(1 << 60)
    for when in second[ordinary & (score >= level)].tolist():
        if when - last >= gap_s:
            count += 1
            last = when
    return count


def alert_level(examples: Sequence[Example], scores: Sequence[F8], allowed: float, gap_s: int) -> float:
    """The smallest score at which ordinary seconds open at most `allowed` false alerts an hour."""
    ordinary = [one.ordinary() & ~np.isnan(score) for one, score in zip(examples, scores, strict=True)]
    hours = sum(int(flags.sum()) for flags in ordinary) / 3600.0
    levels = np.unique(np.concatenate([score[flags] for score, flags in zip(scores, ordinary, strict=True)]))

    def opened(level: float) -> int:
        return sum(
            openings(one.second, score, flags, level, gap_s)
            for one, score, flags in zip(examples, scores, ordinary, strict=True)
        )

    place = first_within(levels, opened, allowed * hours)
    return float(levels[place]) if place < len(levels) else float(levels[-1]) + 1e-6
