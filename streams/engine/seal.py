"""Closing a second: accumulators become a feature row, a score and scenario steps, for every active instrument of the
partition.
"""

import numpy as np
import numpy.typing as npt

from detectors.book import features as book_features
from detectors.book import flow
from detectors.book import trees as book_trees
from detectors.kmeans.score import ALERT, BLOCK, Centres, distance, distances, probability
from detectors.pumps import features as pump_features
from detectors.pumps import trees
from detectors.scenarios import observation as x_
from streams.engine import output as o
from streams.engine import rings as r_
from streams.engine import state as s
from streams.engine.asking import ask_peers
from streams.engine.judging import BOOK_FIRST, KMEANS, KMEANS_CLASSIC, PUMPS, judge, score
from streams.engine.observing import clear, fold, forget_windows, observe
from streams.engine.output import Output
from streams.engine.rings import PRICE_LAGS, ring_rows, slide
from streams.engine.rules import Judges
from streams.engine.state import State
from tapewatch.kernels import inlined, kernel

F8 = npt.NDArray[np.float64]
F4 = npt.NDArray[np.float32]
I8 = npt.NDArray[np.int64]

MAX_SILENCE_S = 5
"""A partition without any row, heartbeats included, for longer was not watched: windows start anew after it."""

_MARK = 1_000_000_000
_RETURN_WINDOWS = 7


def _decay(half_life_s: float) -> float:
    """Weight of the newest second in an exponentially weighted mean of that half-life."""
    return float(1.0 - 2.0 ** (-1.0 / half_life_s))


_A60, _A300, _A600, _A1800 = _decay(60), _decay(300), _decay(600), _decay(1800)


@inlined
def reference_price(a: F8) -> float:
    """The mid of a two-sided quote, else the last trade, else the side that is there; NaN before any of them."""
    if a[s.BID] > 0.0 and a[s.ASK] > 0.0:
        return float(0.5 * (a[s.BID] + a[s.ASK]))
    if a[s.LAST] > 0.0:
        return float(a[s.LAST])
    if a[s.BID] > 0.0:
        return float(a[s.BID])
    return float(a[s.ASK])


@kernel
def restart_windows(a: F8) -> None:
    """Forget every window of an instrument: the seconds before were not watched."""
    a[s.AGE] = 0.0
    for field in range(s.VOL60, s.EWMA_R2 + 1):
        a[field] = 0.0
    a[s.VOL25] = a[s.SGN25] = 0.0
    a[s.M_SPREAD] = a[s.BAR_PREV_CLOSE] = a[s.BAR_PREV_VOLUME] = np.nan
    forget_windows(a)
    clear_second(a)


@kernel
def begin_watching(S: State) -> None:
    """Let every window begin anew: while no scenarios were run, nothing was kept for them. Their episodes are over."""
    for i in range(S.clock[s.COUNT]):
        restart_windows(S.acc[i])
        S.live[i] = 0
        S.acc[i, s.BUYS] = 0.0
        if S.acc[i, s.HAS_BOOK] > 0.0:
            S.flow[i, :] = 0.0
        if S.acc[i, s.TRADES_SEEN] > 0.0:
            S.pumps[i, :] = 0.0


@inlined
def clear_second(a: F8) -> None:
    """Empty the accumulators of the second."""
    a[s.VOL] = a[s.CNT] = a[s.SGN] = a[s.NOTIONAL] = a[s.RUSH] = 0.0
    a[s.OFI] = a[s.QUOTES] = a[s.ADDED] = a[s.REMOVED] = 0.0


@inlined
def _z(value: float, mean: float, variance: float) -> float:
    """Standard score against the seconds before; 0 where they never varied."""
    return float((value - mean) / np.sqrt(variance)) if variance > 0.0 else 0.0


@inlined
def _blend(a: F8, mean: int, variance: int, value: float, weight: float) -> None:
    """Move an exponentially weighted mean and variance on by one second."""
    if a[s.AGE] == 0.0:
        a[mean], a[variance] = value, 0.0
        return
    change = value - a[mean]
    a[mean] += weight * change
    a[variance] = (1.0 - weight) * (a[variance] + weight * change * change)


@inlined
def _returns(S: State, i: int, at: I8, lp: float, f: F4) -> float:
    """Columns 0 to 9: log returns and volatilities. Returns the 1 s log return (0 on the first second)."""
    a = S.acc[i]
    age = a[s.AGE]
    rings = S.rings
    rings[at[r_.P], i] = lp
    for column in range(_RETURN_WINDOWS):
        f[column] = lp - rings[at[column + 1], i] if age >= PRICE_LAGS[column + 1] else np.nan
    r = lp - rings[at[r_.P1], i] if age >= 1.0 else 0.0
    r2 = r * r
    a[s.R2_60] += r2
    a[s.R2_300] += r2
    if age >= 61:
        old = rings[at[r_.P60], i] - rings[at[r_.P61], i]
        a[s.R2_60] = max(a[s.R2_60] - old * old, 0.0)
    if age >= 301:
        old = rings[at[r_.P300], i] - rings[at[r_.P301], i]
        a[s.R2_300] = max(a[s.R2_300] - old * old, 0.0)
    a[s.EWMA_R2] += _A60 * (r2 - a[s.EWMA_R2])
    f[7] = np.sqrt(a[s.R2_60]) if age >= 60 else np.nan
    f[8] = np.sqrt(a[s.R2_300]) if age >= 300 else np.nan
    f[9] = np.sqrt(a[s.EWMA_R2]) if age >= 59 else np.nan
    return r


@inlined
def _trading(S: State, i: int, at: I8, r: float, f: F4) -> None:
    """Columns 10 to 20 (volumes, imbalance, z-scores, rush orders) and 34 (Amihud)."""
    a, rings = S.acc[i], S.rings
    age = a[s.AGE]
    a[s.VOL60] = slide(a[s.VOL60], rings, s.VOLUME + at[r_.M60], 60, i, age, a[s.VOL])
    a[s.VOL25] = slide(a[s.VOL25], rings, s.VOLUME + at[r_.M25], 25, i, age, a[s.VOL])
    a[s.CNT60] = slide(a[s.CNT60], rings, s.COUNTS + at[r_.M60], 60, i, age, a[s.CNT])
    a[s.SGN60] = slide(a[s.SGN60], rings, s.SIGNED + at[r_.M60], 60, i, age, a[s.SGN])
    a[s.SGN25] = slide(a[s.SGN25], rings, s.SIGNED + at[r_.M25], 25, i, age, a[s.SGN])
    a[s.RUSH25] = slide(a[s.RUSH25], rings, at[r_.R25], 25, i, age, a[s.RUSH])
    if a[s.CNT60] == 0.0:
        # Counts are exact: without a trade, what is left in the sums is rounding.
        a[s.VOL60] = a[s.VOL25] = a[s.SGN60] = a[s.SGN25] = 0.0
    rings[s.VOLUME + at[r_.M], i] = a[s.VOL]
    rings[s.COUNTS + at[r_.M], i] = a[s.CNT]
    rings[s.SIGNED + at[r_.M], i] = a[s.SGN]
    rings[at[r_.R], i] = a[s.RUSH]
    illiquidity = abs(r) / a[s.NOTIONAL] if a[s.NOTIONAL] > 0.0 and age >= 1 else -1.0
    if age >= 300:
        old = rings[at[r_.A300], i]
        if old >= 0.0:
            a[s.AMI_SUM] -= old
            a[s.AMI_N] -= 1.0
    rings[at[r_.A], i] = illiquidity
    if illiquidity >= 0.0:
        a[s.AMI_SUM] += illiquidity
        a[s.AMI_N] += 1.0
    if a[s.AMI_N] == 0.0:
        a[s.AMI_SUM] = 0.0
    trades = a[s.HAS_TRADE] > 0.0
    f[10], f[11], f[12] = a[s.VOL], a[s.CNT], a[s.SGN]
    f[13] = a[s.VOL60] if age >= 59 else np.nan
    f[14] = a[s.CNT60] if age >= 59 else np.nan
    f[15] = (a[s.SGN60] / a[s.VOL60] if a[s.VOL60] > 0.0 else 0.0) if age >= 59 else np.nan
    warm = age >= 299
    f[16] = _z(a[s.VOL], a[s.M_VOL], a[s.V_VOL]) if warm else np.nan
    f[17] = _z(a[s.CNT], a[s.M_CNT], a[s.V_CNT]) if warm else np.nan
    f[18] = _z(a[s.SGN], a[s.M_SGN], a[s.V_SGN]) if warm else np.nan
    f[19] = a[s.RUSH]
    f[20] = a[s.RUSH25] if age >= 24 else np.nan
    f[34] = max(a[s.AMI_SUM], 0.0) / a[s.AMI_N] if age >= 299 and a[s.AMI_N] > 0.0 else np.nan
    if not trades:
        for column in range(10, 21):
            f[column] = np.nan
    _blend(a, s.M_VOL, s.V_VOL, a[s.VOL], _A600)
    _blend(a, s.M_CNT, s.V_CNT, a[s.CNT], _A600)
    _blend(a, s.M_SGN, s.V_SGN, a[s.SGN], _A600)


@inlined
def _quoting(S: State, i: int, at: I8, f: F4) -> None:
    """Columns 21 to 33: spread, microprice, depth, order flow, quote rates."""
    a, rings = S.acc[i], S.rings
    age = a[s.AGE]
    for column in range(21, 34):
        f[column] = np.nan
    if a[s.BID] > 0.0 and a[s.ASK] > 0.0:
        spread, mid = a[s.ASK] - a[s.BID], 0.5 * (a[s.BID] + a[s.ASK])
        f[21] = spread / mid * 10_000.0
        if age >= 59 and a[s.M_SPREAD] > 0.0:
            f[22] = spread / a[s.M_SPREAD]
        a[s.M_SPREAD] = spread if np.isnan(a[s.M_SPREAD]) else a[s.M_SPREAD] + _A300 * (spread - a[s.M_SPREAD])
        both = a[s.BID_QTY] + a[s.ASK_QTY]
        if both > 0.0:
            f[23] = ((a[s.ASK] * a[s.BID_QTY] + a[s.BID] * a[s.ASK_QTY]) / both - mid) / mid * 10_000.0
            f[24] = (a[s.BID_QTY] - a[s.ASK_QTY]) / both
    if a[s.HAS_BOOK] > 0.0:
        if a[s.BID5] + a[s.ASK5] > 0.0:
            f[25] = (a[s.BID5] - a[s.ASK5]) / (a[s.BID5] + a[s.ASK5])
        if a[s.BID10] + a[s.ASK10] > 0.0:
            f[26] = (a[s.BID10] - a[s.ASK10]) / (a[s.BID10] + a[s.ASK10])
    a[s.OFI10] = slide(a[s.OFI10], rings, s.OFIS + at[r_.M10], 10, i, age, a[s.OFI])
    a[s.OFI60] = slide(a[s.OFI60], rings, s.OFIS + at[r_.M60], 60, i, age, a[s.OFI])
    a[s.QTS60] = slide(a[s.QTS60], rings, s.UPDATES + at[r_.M60], 60, i, age, a[s.QUOTES])
    a[s.ADD10] = slide(a[s.ADD10], rings, s.ADDS + at[r_.D10], 10, i, age, a[s.ADDED])
    a[s.REM10] = slide(a[s.REM10], rings, s.REMOVALS + at[r_.D10], 10, i, age, a[s.REMOVED])
    rings[s.OFIS + at[r_.M], i] = a[s.OFI]
    rings[s.UPDATES + at[r_.M], i] = a[s.QUOTES]
    rings[s.ADDS + at[r_.D], i] = a[s.ADDED]
    rings[s.REMOVALS + at[r_.D], i] = a[s.REMOVED]
    if a[s.HAS_QUOTE] > 0.0 or a[s.HAS_BOOK] > 0.0:
        f[27] = a[s.OFI]
        f[32] = a[s.QUOTES]
        if age >= 9:
            f[28] = a[s.OFI10]
            f[30], f[31] = max(a[s.ADD10], 0.0), max(a[s.REM10], 0.0)
        if age >= 59:
            f[29] = a[s.OFI60]
            f[33] = a[s.QTS60] / 60.0


@inlined
def _session(S: State, i: int, at: I8, price: float, lp: float, f: F4) -> None:
    """Columns 35 to 39: distances to the session's VWAP, high and low, and the one-minute changes."""
    a, rings = S.acc[i], S.rings
    age = a[s.AGE]
    a[s.SES_HIGH] = price if np.isnan(a[s.SES_HIGH]) else max(a[s.SES_HIGH], price)
    a[s.SES_LOW] = price if np.isnan(a[s.SES_LOW]) else min(a[s.SES_LOW], price)
    f[35] = np.nan
    if a[s.SES_VOLUME] > 0.0:
        vwap = a[s.SES_NOTIONAL] / a[s.SES_VOLUME]
        f[35] = (price - vwap) / vwap * 10_000.0
    f[36] = (price / a[s.SES_HIGH] - 1.0) * 10_000.0
    f[37] = (price / a[s.SES_LOW] - 1.0) * 10_000.0
    f[38] = f[39] = np.nan
    if age >= 60:
        f[38] = (np.exp(lp - rings[at[r_.P60], i]) - 1.0) * 100.0
    if age >= 119:
        before = rings[s.VOLUME60 + at[r_.M60], i]
        if before > 0.0:
            f[39] = (a[s.VOL60] / before - 1.0) * 100.0
    rings[s.VOLUME60 + at[r_.M], i] = a[s.VOL60]


@inlined
def _baselines(S: State, i: int, at: I8) -> None:
    """Move the half-hour means on that scenarios compare with; a plain mean until as much has been seen.

    They take each second 25 s late, when it leaves the scenarios' window, so that what is judged is not part of its own
    measure.
    """
    a, rings = S.acc[i], S.rings
    seen = a[s.AGE] - 25.0
    if seen < 1.0:
        return
    weight = max(_A1800, 1.0 / seen)
    r = rings[at[r_.P25], i] - rings[at[r_.P26], i]
    a[s.BASE_VOLUME] += weight * (rings[s.VOLUME + at[r_.M25], i] - a[s.BASE_VOLUME])
    a[s.BASE_RUSH] += weight * (rings[at[r_.R25], i] - a[s.BASE_RUSH])
    a[s.BASE_R2] += weight * (r * r - a[s.BASE_R2])
    traded = 1.0 if rings[s.COUNTS + at[r_.M25], i] > 0.0 else 0.0
    a[s.BASE_TRADED] += weight * (traded - a[s.BASE_TRADED])


@inlined
def _close_bar(S: State, i: int, second: int, offset: int, price: float, classic: Centres, out: Output) -> None:
    """Write the bar of the second's minute, flat at the price where nothing traded, and the classic pair's score."""
    pair = out.work[o.ODDS, :2]
    a = S.acc[i]
    last = second - second % 60 + 59
    if np.isnan(a[s.BAR_OPEN]):
        a[s.BAR_OPEN] = a[s.BAR_HIGH] = a[s.BAR_LOW] = a[s.BAR_CLOSE] = price
    row = out.counts[o.BARS]
    out.counts[o.BARS] = row + 1
    keys, bars = out.bar_keys, out.bars
    keys[0, row], keys[1, row], keys[2, row] = i, (last + 1) * _MARK, offset
    bars[0, row], bars[1, row], bars[2, row] = a[s.BAR_OPEN], a[s.BAR_HIGH], a[s.BAR_LOW]
    bars[3, row], bars[4, row], bars[5, row] = a[s.BAR_CLOSE], a[s.BAR_VOLUME], a[s.BAR_TRADES]
    pair[0] = (a[s.BAR_CLOSE] / a[s.BAR_PREV_CLOSE] - 1.0) * 100.0
    pair[1] = (a[s.BAR_VOLUME] / a[s.BAR_PREV_VOLUME] - 1.0) * 100.0 if a[s.BAR_PREV_VOLUME] > 0.0 else np.nan
    if classic.index.size > 0:
        # Both changes are needed: a minute after one without volume has no score.
        raw = distance(pair, classic) if pair[0] - pair[0] == 0.0 and pair[1] - pair[1] == 0.0 else np.nan
        score(out, i, last, offset, KMEANS_CLASSIC, raw, probability(raw, classic.knots))
    a[s.BAR_PREV_CLOSE], a[s.BAR_PREV_VOLUME] = a[s.BAR_CLOSE], a[s.BAR_VOLUME]
    a[s.BAR_OPEN] = a[s.BAR_HIGH] = a[s.BAR_LOW] = a[s.BAR_CLOSE] = np.nan
    a[s.BAR_VOLUME] = a[s.BAR_TRADES] = 0.0


@inlined
def _compute(S: State, i: int, at: I8, price: float, second: int, offset: int, out: Output) -> int:
    """Write the feature row of an instrument; returns which one it is."""
    row = out.counts[o.FEATURES]
    out.counts[o.FEATURES] = row + 1
    keys = out.feature_keys
    keys[0, row], keys[1, row], keys[2, row] = i, (second + 1) * _MARK, offset
    f = out.features[:, row]
    lp = np.log(price)
    r = _returns(S, i, at, lp, f)
    _trading(S, i, at, r, f)
    _quoting(S, i, at, f)
    _session(S, i, at, price, lp, f)
    return int(row)


@inlined
def _distance_score(i: int, second: int, offset: int, raw: float, model: Centres, out: Output) -> float:
    """Write the K-means score row of an instrument; returns its probability."""
    chance = probability(raw, model.knots)
    if model.index.size > 0:
        score(out, i, second, offset, KMEANS, raw, chance)
    return float(chance)


@inlined
def _models(
    S: State, i: int, second: int, offset: int, raw: float, chance: float, judges: Judges, x: F8, out: Output
) -> None:
    """Write what models say of an instrument into its observation, and the score rows of those that only scenarios
    ask.
    """
    x[x_.DISTANCE], x[x_.DISTANCE_PROBABILITY] = raw, chance
    x[x_.FUSED] = np.nan
    x[x_.ALERT_DISTANCE], x[x_.PUMP_ALERT] = judges.kmeans.limits[ALERT], judges.pumps.limits[trees.ALERT]
    a = S.acc[i]
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


@inlined
def _gather(S: State, i: int, at: I8) -> None:
    """Take the second into what is usual for the instrument, once it was judged by what was usual before."""
    a = S.acc[i]
    _baselines(S, i, at)
    if a[s.HAS_QUOTE] > 0.0 or a[s.HAS_BOOK] > 0.0:
        _blend(a, s.M_QTS, s.V_QTS, a[s.QUOTES], _A600)
    fold(a)
    clear(a)
    clear_second(a)
    a[s.AGE] += 1.0


@kernel
def seal_second(S: State, second: int, offset: int, ends_minute: bool, judges: Judges, out: Output) -> None:
    """Close `second` for every active instrument; `out` must have room for all of them.

    ends_minute : no later second of the minute will be closed: its bars are written, those of instruments that were
    halted or closed on the way too

    Instruments go through in blocks, so that one instruction measures several distances and what a block touches stays
    in the cache.
    """
    rows, at = out.places[:BLOCK], out.places[o.RING_ROWS_AT :]
    raw, prices = out.work[o.RAW], out.work[o.PRICES]
    ring_rows(second, at)
    first_row = out.counts[o.FEATURES]
    for start in range(0, S.clock[s.COUNT], BLOCK):
        count = min(S.clock[s.COUNT] - start, BLOCK)
        begin = out.counts[o.FEATURES]
        for each in range(count):
            a = S.acc[start + each]
            rows[each] = -1
            if a[s.PHASE_OF] != s.ACTIVE and a[s.PHASE_OF] != s.IN_AUCTION:
                continue
            price = reference_price(a)
            if np.isnan(price):
                # Where no second is closed the rings hold nothing: windows may not reach over it.
                restart_windows(a)
                continue
            prices[each] = price
            rows[each] = _compute(S, start + each, at, price, second, offset, out) - begin
        observed = out.counts[o.FEATURES] - begin
        distances(out.features, begin, observed, judges.kmeans, out.work, raw)
        for each in range(count):
            i = start + each
            a = S.acc[i]
            row = rows[each]
            if row < 0:
                if ends_minute and not np.isnan(a[s.BAR_OPEN]):
                    _close_bar(S, i, second, offset, a[s.BAR_CLOSE], judges.classic, out)
                continue
            chance = _distance_score(i, second, offset, raw[row], judges.kmeans, out)
            if judges.watch:
                x = out.observations[row]
                out.slots[row], out.classes[row] = i, S.klass[i]
                observe(S, i, at, second, prices[each], out.features[:, begin + row], x)
                _models(S, i, second, offset, raw[row], chance, judges, x, out)
            if ends_minute:
                _close_bar(S, i, second, offset, prices[each], judges.classic, out)
            _gather(S, i, at)
        if judges.ask:
            ask_peers(S.codes, observed, begin, second, offset, judges.peers, judges.floors, out)
        if judges.watch:
            judge(S, observed, second, offset, judges.rules, out)
    row = out.counts[o.SEALED]
    out.counts[o.SEALED] = row + 1
    out.sealed[0, row], out.sealed[2, row] = (second + 1) * _MARK, offset
    out.sealed[1, row] = out.counts[o.FEATURES] - first_row
    S.clock[s.SEALED] += 1


@inlined
def has_room(S: State, out: Output) -> bool:
    """Whether one more second of every instrument fits."""
    count = S.clock[s.COUNT]
    return bool(
        out.counts[o.FEATURES] + count <= out.feature_keys.shape[1]
        and out.counts[o.SCORES] + o.SCORES_EACH * count <= out.score_keys.shape[1]
        and out.counts[o.BARS] + count <= out.bar_keys.shape[1]
        and out.counts[o.SEALED] < out.sealed.shape[1]
        and out.counts[o.EVENTS] + s.SCENARIOS * count <= out.events.shape[0]
        and out.counts[o.COVERAGE] + count + 1 <= out.coverage.shape[1]
    )


@inlined
def cover(out: Output, slot: int, start: int, end: int, reason: int, offset: int, instruments: int) -> None:
    """Record seconds that were not watched, of one instrument or of all so far: [start, end), seconds of the epoch."""
    row = out.counts[o.COVERAGE]
    out.counts[o.COVERAGE] = row + 1
    record = out.coverage
    record[0, row], record[1, row], record[2, row], record[3, row], record[4, row] = slot, start, end, reason, offset
    record[5, row] = instruments


@kernel
def advance(S: State, second: int, offset: int, judges: Judges, out: Output) -> bool:
    """Move the partition's clock to `second`, closing those before it; False when `out` ran full on the way (drain and
    call again).
    """
    clock = S.clock
    if clock[s.SECOND] < 0:
        clock[s.SECOND] = second
        return True
    while clock[s.SECOND] < second:
        if not has_room(S, out):
            out.counts[o.FULL] = 1
            return False
        silent = second - clock[s.SECOND] > MAX_SILENCE_S + 1
        ends_minute = (clock[s.SECOND] + 1) % 60 == 0 or (silent and second // 60 > clock[s.SECOND] // 60)
        seal_second(S, clock[s.SECOND], offset, ends_minute, judges, out)
        if silent:
            cover(out, -1, clock[s.SECOND] + 1, second, o.SILENCE, offset, clock[s.COUNT])
            for i in range(clock[s.COUNT]):
                restart_windows(S.acc[i])
            clock[s.SECOND] = second
        else:
            clock[s.SECOND] += 1
    return True
