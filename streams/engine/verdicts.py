"""What models say of a sealed second: K-means' distance, the pump model, the book model."""

import numpy as np
import numpy.typing as npt

from detectors.book import features as book_features
from detectors.book import flow
from detectors.book import trees as book_trees
from detectors.feeds import feed_of
from detectors.kmeans.score import Centres, probability
from detectors.pumps import features as pump_features
from detectors.pumps import trees
from detectors.scenarios import observation as x_
from streams.engine import output as o
from streams.engine import state as s
from streams.engine.judging import BOOK_FIRST, KMEANS, PUMPS, score
from streams.engine.output import Output
from streams.engine.rules import Judges
from streams.engine.state import State
from tapewatch.kernels import inlined, kernel

F8 = npt.NDArray[np.float64]


@inlined
def distance_score(i: int, second: int, offset: int, raw: float, model: Centres, out: Output) -> float:
    """Write the K-means score row of an instrument; returns its probability."""
    chance = probability(raw, model.knots)
    if model.index.size > 0:
        score(out, i, second, offset, KMEANS, raw, chance)
    return float(chance)


@inlined
def ask_models(
    S: State, i: int, second: int, offset: int, raw: float, chance: float, judges: Judges, x: F8, out: Output
) -> None:
    """Write what models say of an instrument into its observation, and the score rows of those that only scenarios
    ask.
    """
    x[x_.DISTANCE], x[x_.DISTANCE_PROBABILITY] = raw, chance
    x[x_.FUSED] = np.nan
    a = S.acc[i]
    feed = feed_of(a[s.HAS_TRADE], a[s.HAS_QUOTE], a[s.HAS_BOOK])
    x[x_.ALERT_DISTANCE], x[x_.PUMP_ALERT] = judges.kmeans.alerts[feed], judges.pumps.limits[trees.ALERT]
    x[x_.PUMP_CHANCE] = 0.0 if a[s.TRADES_SEEN] > 0.0 else np.nan
    if a[s.BUYS] > 0.0:
        a[s.BUYS] = 0.0
        x[x_.PUMP_CHANCE] = _pump_chance(S.pumps[i], second, judges.pumps)
        if x[x_.PUMP_CHANCE] > 0.0:
            score(out, i, second, offset, PUMPS, x[x_.PUMP_CHANCE], x[x_.PUMP_CHANCE])

    for column in range(x_.SPOOFING_CHANCE, x_.QUOTES_REVERTED + 1):
        x[column] = np.nan
    if a[s.HAS_BOOK] > 0.0:
        _book_chances(S.flow[i], i, second, offset, judges.book, x, out)


@kernel
def _book_chances(p: F8, slot: int, second: int, offset: int, model: book_trees.Trees, x: F8, out: Output) -> None:
    """Close a second for the book detector, write its score rows, and what it says and saw into the observation."""
    f, chances = out.flow, out.work[o.ODDS, : len(book_trees.SCENARIOS)]
    if not flow.close_second(p, second, f) or model.forest.roots.size == 0:
        return
    book_trees.score(f, model, chances)
    for each in range(chances.size):
        chance = chances[each]
        x[x_.SPOOFING_CHANCE + each], x[x_.SPOOFING_ALERT + each] = chance, model.alerts[each]
        score(out, slot, second, offset, BOOK_FIRST + each, np.log(chance / max(1.0 - chance, 1e-12)), chance)
    x[x_.STANDING_ORDER] = np.exp(f[book_features.STAND_SIZE]) if f[book_features.STAND_LARGEST] > 0.0 else 0.0
    x[x_.WITHDRAWN_20S] = f[book_features.LATELY]
    x[x_.WITHDRAWN_LEAN], x[x_.WITHDRAWN_TOGETHER] = f[book_features.LATELY_LEAN], f[book_features.HELD_TOGETHER]
    x[x_.QUOTES_REVERTED] = f[book_features.REVERTED_SHARE]


@kernel
def _pump_chance(p: F8, second: int, model: trees.Trees) -> float:
    """Close a second with buys for the pump detector, and ask it; see detectors.pumps.trees.chance."""
    pump_features.observe(p, second)
    return trees.chance(p, model)
