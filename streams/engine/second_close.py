"""Closing a second: accumulators become a feature row, a score and scenario steps, for every active instrument of the
partition.

Minute bars of what was traded, and the classic pair's score.

What models say of a sealed second: K-means' distance, the pump model, the book model.
"""

import numpy as np
import numpy.typing as npt

from detectors.book import features as book_features
from detectors.book import flow
from detectors.book import trees as book_trees
from detectors.feeds import feed_of
from detectors.kmeans.score import BLOCK, Centres, distance, distances, probability
from detectors.pumps import features as pump_features
from detectors.pumps import trees
from detectors.scenarios import observation
from streams.engine import output, state
from streams.engine.columns import compute, reference_price
from streams.engine.decisions import decide
from streams.engine.detector_config import ActiveDetectors
from streams.engine.ensemble import score_ensemble
from streams.engine.observations import observe
from streams.engine.output import Output, opened
from streams.engine.rings import ring_rows
from streams.engine.scenario_evaluation import BOOK_FIRST, KMEANS, KMEANS_CLASSIC, PUMPS, evaluate_scenarios, score
from streams.engine.state import State
from streams.engine.windows import gather, restart_windows
from tapewatch.clock import NANOS
from tapewatch.kernels import inlined, kernel, spliced

F8 = npt.NDArray[np.float64]


@inlined
def distance_score(i: int, second: int, offset: int, raw: float, model: Centres, out: Output) -> float:
    """Write the K-means score row of an instrument; returns its probability."""
    chance = probability(raw, model.knots)
    if model.index.size > 0:
        score(out, i, second, offset, KMEANS, raw, chance)
    return float(chance)


@inlined
def score_models(
    S: State,
    i: int,
    second: int,
    offset: int,
    raw: float,
    chance: float,
    detectors: ActiveDetectors,
    x: F8,
    out: Output,
) -> None:
    """Write what models say of an instrument into its observation, and the score rows of those that only scenarios
    ask.
    """
    x[observation.DISTANCE], x[observation.DISTANCE_PROBABILITY] = raw, chance
    x[observation.FUSED] = np.nan
    a = S.acc[i]
    feed = feed_of(a[state.HAS_TRADE], a[state.HAS_QUOTE], a[state.HAS_BOOK])
    x[observation.ALERT_DISTANCE], x[observation.PUMP_ALERT] = (
        detectors.kmeans.alerts[feed],
        detectors.pumps.limits[trees.ALERT],
    )
    x[observation.PUMP_CHANCE] = 0.0 if a[state.TRADES_SEEN] > 0.0 else np.nan
    if a[state.BUYS] > 0.0:
        a[state.BUYS] = 0.0
        x[observation.PUMP_CHANCE] = _pump_chance(S.pumps[i], second, detectors.pumps)
        if x[observation.PUMP_CHANCE] > 0.0:
            score(out, i, second, offset, PUMPS, x[observation.PUMP_CHANCE], x[observation.PUMP_CHANCE])

    for column in range(observation.SPOOFING_CHANCE, observation.QUOTES_REVERTED + 1):
        x[column] = np.nan
    if a[state.HAS_BOOK] > 0.0:
        _book_chances(S.flow[i], i, second, offset, detectors.book, x, out)


@kernel
def _book_chances(p: F8, slot: int, second: int, offset: int, model: book_trees.Trees, x: F8, out: Output) -> None:
    """Close a second for the book detector, write its score rows, and what it says and saw into the observation."""
    f, chances = out.flow, out.work[output.ODDS, : len(book_trees.SCENARIOS)]
    if not flow.close_second(p, second, f) or model.forest.roots.size == 0:
        return
    book_trees.score(f, model, chances)
    for each in range(chances.size):
        chance = chances[each]
        x[observation.SPOOFING_CHANCE + each], x[observation.SPOOFING_ALERT + each] = chance, model.alerts[each]
        score(out, slot, second, offset, BOOK_FIRST + each, np.log(chance / max(1.0 - chance, 1e-12)), chance)
    x[observation.STANDING_ORDER] = np.exp(f[book_features.STAND_SIZE]) if f[book_features.STAND_LARGEST] > 0.0 else 0.0
    x[observation.WITHDRAWN_20S] = f[book_features.LATELY]
    x[observation.WITHDRAWN_LEAN], x[observation.WITHDRAWN_TOGETHER] = (
        f[book_features.LATELY_LEAN],
        f[book_features.HELD_TOGETHER],
    )
    x[observation.QUOTES_REVERTED] = f[book_features.REVERTED_SHARE]


@kernel
def _pump_chance(p: F8, second: int, model: trees.Trees) -> float:
    """Close a second with buys for the pump detector, and ask it; see detectors.pumps.trees.chance."""
    pump_features.observe(p, second)
    return trees.chance(p, model)


@inlined
def close_bar(S: State, i: int, second: int, offset: int, price: float, classic: Centres, out: Output) -> None:
    """Write the bar of the second's minute, flat at the price where nothing traded, and the classic pair's score."""
    pair = out.work[output.ODDS, :2]
    a = S.acc[i]
    last = second - second % 60 + 59
    if np.isnan(a[state.BAR_OPEN]):
        a[state.BAR_OPEN] = a[state.BAR_HIGH] = a[state.BAR_LOW] = a[state.BAR_CLOSE] = price
    row = out.counts[output.BARS]
    out.counts[output.BARS] = row + 1
    keys, bars = out.bar_keys, out.bars
    keys[0, row], keys[1, row], keys[2, row] = i, (last + 1) * NANOS, offset
    bars[0, row], bars[1, row], bars[2, row] = a[state.BAR_OPEN], a[state.BAR_HIGH], a[state.BAR_LOW]
    bars[3, row], bars[4, row], bars[5, row] = a[state.BAR_CLOSE], a[state.BAR_VOLUME], a[state.BAR_TRADES]
    bars[6, row], bars[7, row] = a[state.BAR_BUYS], a[state.BAR_SELLS]
    pair[0] = (a[state.BAR_CLOSE] / a[state.BAR_PREV_CLOSE] - 1.0) * 100.0
    pair[1] = (
        (a[state.BAR_VOLUME] / a[state.BAR_PREV_VOLUME] - 1.0) * 100.0 if a[state.BAR_PREV_VOLUME] > 0.0 else np.nan
    )
    if classic.index.size > 0:
        # Both changes are needed: a minute after one without volume has no score.
        raw = distance(pair, classic) if pair[0] - pair[0] == 0.0 and pair[1] - pair[1] == 0.0 else np.nan
        score(out, i, last, offset, KMEANS_CLASSIC, raw, probability(raw, classic.knots))
    a[state.BAR_PREV_CLOSE], a[state.BAR_PREV_VOLUME] = a[state.BAR_CLOSE], a[state.BAR_VOLUME]
    a[state.BAR_OPEN] = a[state.BAR_HIGH] = a[state.BAR_LOW] = a[state.BAR_CLOSE] = np.nan
    a[state.BAR_VOLUME] = a[state.BAR_TRADES] = a[state.BAR_BUYS] = a[state.BAR_SELLS] = 0.0


I8 = npt.NDArray[np.int64]

MAX_SILENCE_S = 5
"""A partition without any row, heartbeats included, for longer was not watched: windows start anew after it."""


@spliced
def _features_of_block(context: I8, start: int, count: int, second: int, offset: int) -> int:
    """Write the feature rows of `count` instruments from `start` on, and of each which row it has among them, -1 for
    none; returns how many there are.
    """
    S, _, out = opened(context)
    rows, at, prices = out.places[:BLOCK], out.places[output.RING_ROWS_AT :], out.work[output.PRICES]
    begin = out.counts[output.FEATURES]
    for each in range(count):
        a = S.acc[start + each]
        rows[each] = -1
        if a[state.PHASE_OF] != state.ACTIVE and a[state.PHASE_OF] != state.IN_AUCTION:
            continue
        price = reference_price(a)
        if np.isnan(price):
            # Where no second is closed the rings hold nothing: windows may not reach over it.
            restart_windows(a)
            continue
        prices[each] = price
        rows[each] = compute(S, start + each, at, price, second, offset, out) - begin
    return int(out.counts[output.FEATURES] - begin)


@spliced
def _scenarios_of_block(
    context: I8, start: int, count: int, begin: int, second: int, offset: int, ends_minute: bool
) -> None:
    """Say of each instrument of the block what models and rules need to know, end its minute, and go on to the next
    second. begin : the block's first feature row
    """
    S, detectors, out = opened(context)
    rows, at = out.places[:BLOCK], out.places[output.RING_ROWS_AT :]
    raw, prices = out.work[output.RAW], out.work[output.PRICES]
    for each in range(count):
        i = start + each
        a = S.acc[i]
        row = rows[each]
        if row < 0:
            if ends_minute and not np.isnan(a[state.BAR_OPEN]):
                close_bar(S, i, second, offset, a[state.BAR_CLOSE], detectors.classic, out)
            continue
        chance = distance_score(i, second, offset, raw[row], detectors.kmeans, out)
        if detectors.watch:
            x = out.observations[row]
            out.slots[row], out.classes[row] = i, S.klass[i]
            observe(S, i, at, second, prices[each], out.features[:, begin + row], x)
            score_models(S, i, second, offset, raw[row], chance, detectors, x, out)
        if ends_minute:
            close_bar(S, i, second, offset, prices[each], detectors.classic, out)
        gather(S, i, at)


@spliced
def close_second(context: I8, second: int, offset: int, ends_minute: bool) -> None:
    """Close `second` for every active instrument; `out` must have room for all of them.

    ends_minute : no later second of the minute will be closed: its bars are written, those of instruments that were
    halted or closed on the way too

    Instruments go through in blocks, so that one instruction measures several distances and what a block touches stays
    in the cache.
    """
    S, detectors, out = opened(context)
    ring_rows(second, out.places[output.RING_ROWS_AT :])
    first_row = out.counts[output.FEATURES]
    for start in range(0, S.clock[state.COUNT], BLOCK):
        count = min(S.clock[state.COUNT] - start, BLOCK)
        begin = out.counts[output.FEATURES]
        observed = _features_of_block(context, start, count, second, offset)
        if detectors.decide:
            decide(context, start, count, observed, begin, second, offset)
        distances(out.features, begin, observed, detectors.kmeans, out.work, out.work[output.RAW])
        _scenarios_of_block(context, start, count, begin, second, offset, ends_minute)
        if detectors.ask:
            score_ensemble(context, observed, begin, second, offset)
        if detectors.watch:
            evaluate_scenarios(context, observed, second, offset)
    row = out.counts[output.SEALED]
    out.counts[output.SEALED] = row + 1
    out.sealed[0, row], out.sealed[2, row] = (second + 1) * NANOS, offset
    out.sealed[1, row] = out.counts[output.FEATURES] - first_row
    S.clock[state.SEALED] += 1


@inlined
def has_room(S: State, out: Output) -> bool:
    """Whether one more second of every instrument fits."""
    count = S.clock[state.COUNT]
    return bool(
        out.counts[output.FEATURES] + count <= out.feature_keys.shape[1]
        and out.counts[output.SCORES] + output.SCORES_EACH * count <= out.score_keys.shape[1]
        and out.counts[output.BARS] + count <= out.bar_keys.shape[1]
        and out.counts[output.SEALED] < out.sealed.shape[1]
        and out.counts[output.EVENTS] + state.SCENARIOS * count <= out.events.shape[0]
        and out.counts[output.SIGNALS] + output.SIGNALS_EACH * count <= out.signals.shape[0]
        and out.counts[output.COVERAGE] + count + 1 <= out.coverage.shape[1]
    )


@inlined
def cover(out: Output, slot: int, start: int, end: int, reason: int, offset: int, instruments: int) -> None:
    """Record seconds that were not watched, of one instrument or of all so far: [start, end), seconds of the epoch."""
    row = out.counts[output.COVERAGE]
    out.counts[output.COVERAGE] = row + 1
    record = out.coverage
    record[0, row], record[1, row], record[2, row], record[3, row], record[4, row] = slot, start, end, reason, offset
    record[5, row] = instruments


@inlined
def _is_open(S: State) -> bool:
    """Whether a session runs: what says nothing while every instrument is closed has missed nothing."""
    if S.clock[state.PHASE] != state.CLOSED:
        return True
    for i in range(S.clock[state.COUNT]):  # noqa: SIM110 - kernels know no generators
        if S.acc[i, state.PHASE_OF] != state.CLOSED:
            return True
    return False


@spliced
def advance(context: I8, second: int, offset: int) -> bool:
    """Move the partition's clock to `second`, closing those before it; False when `out` ran full on the way (drain and
    call again).
    """
    S, _, out = opened(context)
    clock = S.clock
    if clock[state.SECOND] < 0:
        clock[state.SECOND] = second
        return True
    while clock[state.SECOND] < second:
        if not has_room(S, out):
            out.counts[output.FULL] = 1
            return False
        silent = second - clock[state.SECOND] > MAX_SILENCE_S + 1
        ends_minute = (clock[state.SECOND] + 1) % 60 == 0 or (silent and second // 60 > clock[state.SECOND] // 60)
        close_second(context, clock[state.SECOND], offset, ends_minute)
        if silent:
            if _is_open(S):
                cover(out, -1, clock[state.SECOND] + 1, second, output.SILENCE, offset, clock[state.COUNT])
            for i in range(clock[state.COUNT]):
                restart_windows(S.acc[i])
            clock[state.SECOND] = second
        else:
            clock[state.SECOND] += 1
    return True
