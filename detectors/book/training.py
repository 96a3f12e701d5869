"""Training the book model: boosted trees for each scenario, their calibration, and alert levels within a budget."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from detectors.book import features
from detectors.book.model import SCENARIOS, Booster
from detectors.boosted.training import TreeBuilder, baseline, first_within, trees_of

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

MARGIN_S = 5.0
"""Seconds around a manipulation that are no example of ordinary trading."""
SHOWS_S = 1.4
"""An order that is withdrawn shows as such up to so long after the end of spoofing or layering."""
GATE = 2.0
"""Largest withdrawal of a second beyond which a second set of trees speaks; see state.WEIGHT for the unit."""
LIFT = 3.0
"""Log odds that these trees begin with: so that a doubtful withdrawal adds nothing to what the others say."""
STUFFING = SCENARIOS.index("quote_stuffing")

RISING = frozenset(
    {
        features.STAND, features.STAND_LEAN, features.STAND_LARGEST, features.STAND_SECOND, features.STAND_COUNT,
        features.STAND_TOGETHER, features.STAND_TOGETHER_SUM,
        features.STAND_UNUSUAL, features.STAND_MOVES, features.PRESENT, features.PRESENT_LEAN, features.GONE,
        features.GONE_LARGEST, features.GONE_COUNT, features.GONE_UNUSUAL,
        features.HELD, features.HELD_TOGETHER, features.HELD_UNUSUAL, features.HELD_MOVES,
    }
)  # fmt: skip
"""More of these never lowers the probability of spoofing or layering: size, company, one-sidedness."""
FALLING = frozenset(
    {features.STAND_OTHER, features.STAND_FILLED, features.STAND_MIRRORED, features.STAND_REPLACES,
    features.PRESENT_OTHER, features.GONE_OTHER, features.HELD_FILLED,
     features.HELD_AGE, features.HELD_APART, features.HELD_MIRRORED, features.HELD_REPLACED, features.BEFORE}
)  # fmt: skip
"""More of these never raises it: the other side does the same, orders were filled or replaced, it is long ago."""
SUMS = frozenset(
    {
        features.ADDED, features.REMOVED, features.ADDED_UNUSUAL, features.REMOVED_UNUSUAL, features.LARGEST_ADDED,
        features.LARGEST_REMOVED, features.TAKEN, features.CHANGES,
        features.TRADES_PER_QUOTE, features.QUOTES, features.VOLUME, features.LATELY, features.LATELY_OTHER,
        features.LATELY_LEAN, features.LONG, features.LONG_OTHER, features.MOVE,
        features.DEPTH, features.LEAN_CHANGE,
    }
)  # fmt: skip
"""What came and went in the second and before, whoever did it."""
ORDERS = tuple(
    sorted(
        RISING | FALLING | SUMS
        | {features.STAND_AGE, features.STAND_OPPOSITE, features.STAND_SIZE, features.STAND_PLACE,
        features.STAND_LEVEL, features.STAND_BASE}
        | {features.STAND_PARTS, features.STAND_CUTS}
        | {features.HELD_LIFE, features.HELD_OPPOSITE, features.HELD_SIZE, features.HELD_LEVEL, features.HELD_PARTS,
        features.HELD_CUTS}
    )
)  # fmt: skip
"""What spoofing and layering are judged by."""

WITHDRAWN = (
    features.GONE, features.GONE_OTHER, features.GONE_LARGEST, features.GONE_COUNT, features.HELD_MIRRORED,
    features.HELD_REPLACED, features.BEFORE, features.HELD_APART,
    features.HELD_LEVEL, features.HELD_LIFE, features.HELD_PARTS, features.HELD_CUTS, features.HELD_MOVES,
)  # fmt: skip
"""What a withdrawal is judged by."""

RATES = (
    features.QUOTES, features.RESIZED, features.REVERTED, features.REVERTED_SHARE, features.RETURNED_SHARE,
    features.RECENT_QUOTES, features.RECENT_REVERTED,
    features.TRADES_PER_QUOTE, features.VOLUME, features.CHANGES, features.FLEETING, features.MOVE,
)  # fmt: skip
"""What stuffing is judged by."""
RATES_RISING = frozenset(
    {features.QUOTES, features.RESIZED, features.REVERTED, features.RECENT_QUOTES, features.RECENT_REVERTED}
)
RATES_FALLING = frozenset({features.TRADES_PER_QUOTE})


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train.

    trees, rate, leaves, least_rows, shrinkage, bins : of the gradient boosting
    proof_trees, proof_leaves, proof_rows : number, leaves and rows a leaf of the trees that judge withdrawals
    budget : false alerts of all scenarios together an instrument-hour; parts : each scenario's share of it; margins :
    log odds by which each scenario's level is raised above what its part asks, since the levels of spoofing do not
    carry over from one recording to another
    gap_s : an alert within so many seconds of the last of its scenario is the same one
    """

    seed: int = 0
    trees: int = 80
    rate: float = 0.07
    leaves: int = 6
    least_rows: int = 40
    shrinkage: float = 1.0
    bins: int = 64
    proof_trees: int = 60
    proof_leaves: int = 5
    proof_rows: int = 30
    budget: float = 0.5
    parts: tuple[float, ...] = (0.1, 0.2, 0.7)
    margins: tuple[float, ...] = (0.8, 0.0, 0.0)
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

    def shown(self, name: str) -> Flags:
        """Which seconds show how orders of an event were withdrawn."""
        ends = [(name, end, end) for own, _, end in self.events if own == name]
        about = Example(self.source, self.strength, self.second, self.x, ends).during((name,), 0.0, SHOWS_S)
        return np.asarray(about & self.warm & _withdrawing(self.x))


def _withdrawing(x: F8) -> Flags:
    """Seconds in which something unusual was withdrawn; not those without features."""
    return np.asarray(np.nan_to_num(x[:, features.GONE_LARGEST]) > GATE)


@dataclass(frozen=True, slots=True)
class ScenarioBoosters:
    """The boosters of one scenario. during : judges any second; proof : adds to it where something was withdrawn"""

    scenario: int
    during: HistGradientBoostingClassifier
    proof: HistGradientBoostingClassifier | None

    def log_odds(self, x: F8) -> F8:
        """float64[n] of features float64[n, features.COUNT]."""
        with threadpool_limits(1):
            found = np.asarray(self.during.decision_function(x[:, inputs_of(self.scenario)]))
            if self.proof is not None:
                found += np.where(_withdrawing(x), LIFT + self.proof.decision_function(x[:, WITHDRAWN]), 0.0)
        return found


def inputs_of(scenario: int) -> tuple[int, ...]:
    """Places of the features that a scenario's trees see."""
    return RATES if scenario == STUFFING else ORDERS


def _classifier(
    places: Sequence[int], up: frozenset[int], down: frozenset[int], trees: int, leaves: int, rows: int, recipe: Recipe
) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(
        max_iter=trees,
        learning_rate=recipe.rate,
        max_leaf_nodes=leaves,
        min_samples_leaf=rows,
        l2_regularization=recipe.shrinkage,
        max_bins=recipe.bins,
        monotonic_cst=[int(place in up) - int(place in down) for place in places],
        early_stopping=False,
        random_state=recipe.seed,
    )


def classifier(scenario: int, recipe: Recipe) -> HistGradientBoostingClassifier:
    """The booster that judges any second, untrained."""
    up, down = (RATES_RISING, RATES_FALLING) if scenario == STUFFING else (RISING, FALLING)
    return _classifier(inputs_of(scenario), up, down, recipe.trees, recipe.leaves, recipe.least_rows, recipe)


def proof_classifier(recipe: Recipe) -> HistGradientBoostingClassifier:
    """The booster that judges withdrawals, untrained."""
    return _classifier(WITHDRAWN, RISING, FALLING, recipe.proof_trees, recipe.proof_leaves, recipe.proof_rows, recipe)


def fit(examples: Sequence[Example], scenario: int, recipe: Recipe) -> ScenarioBoosters:
    """Train one scenario on its seconds against ordinary ones; seconds of other scenarios are left out."""
    name = SCENARIOS[scenario]
    during = [one.during((name,)) & one.warm for one in examples]
    ordinary = [one.ordinary() for one in examples]
    first = _trained(classifier(scenario, recipe), inputs_of(scenario), examples, during, ordinary)
    if scenario == STUFFING:
        return ScenarioBoosters(scenario, first, None)
    shown = [one.shown(name) for one in examples]
    gone = [flags & _withdrawing(one.x) for one, flags in zip(examples, ordinary, strict=True)]
    return ScenarioBoosters(scenario, first, _trained(proof_classifier(recipe), WITHDRAWN, examples, shown, gone))


def _trained(
    booster: HistGradientBoostingClassifier,
    places: Sequence[int],
    examples: Sequence[Example],
    positive: Sequence[Flags],
    negative: Sequence[Flags],
) -> HistGradientBoostingClassifier:
    rows, labels, weights = [], [], []
    for one, own, other in zip(examples, positive, negative, strict=True):
        used = own | other
        rows.append(one.x[used][:, places])
        labels.append(own[used])
        weights.append(np.full(int(used.sum()), one.weight))
    with threadpool_limits(1):
        return booster.fit(np.concatenate(rows), np.concatenate(labels), sample_weight=np.concatenate(weights))


def said(fitted: ScenarioBoosters, one: Example) -> F8:
    """Log odds of each second, float64[n]; NaN where not warm."""
    found = np.full(len(one.second), np.nan)
    if one.warm.any():
        found[one.warm] = fitted.log_odds(one.x[one.warm])
    return found


def export(fitted: ScenarioBoosters) -> Booster:
    """The trees as flat arrays, uncalibrated and silent.

    A tree that judges withdrawals hangs below a node that asks for one, with nothing on its other side.
    """
    flat = TreeBuilder()
    flat.add(fitted.during, inputs_of(fitted.scenario))
    if fitted.proof is not None:
        _gate(flat)
        flat.node(-1, value=LIFT + baseline(fitted.proof))
        for nodes in trees_of(fitted.proof):
            _gate(flat)
            flat.tree(nodes, WITHDRAWN)
    return Booster(
        scenario=SCENARIOS[fitted.scenario], slope=1.0, shift=0.0, alert=1.0, **flat.exported(baseline(fitted.during))
    )


def _gate(flat: TreeBuilder) -> None:
    """A root that leads to nothing up to GATE, and beyond to what is added next."""
    root = flat.root()
    flat.node(features.GONE_LARGEST, GATE, root + 1, root + 2)
    flat.node(-1)


def calibration(examples: Sequence[Example], scores: Sequence[Sequence[F8]]) -> tuple[float, float]:
    """Slope and shift that turn log odds into ones that hold: the same for all scenarios, so that the largest
    probability of a second ranks seconds as the largest log odds do.

    scores : of each scenario, of each example, by models that have not seen the example
    """
    x, y = [], []
    for scenario, name in enumerate(SCENARIOS):
        for one, score in zip(examples, scores[scenario], strict=True):
            own = one.during((name,)) & one.warm
            if scenario != STUFFING:
                own = own | one.shown(name)
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
