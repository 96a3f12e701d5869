"""Closing a second: accumulators become a feature row, a score and scenario steps, for every active instrument of the
partition.
"""

import numpy as np
import numpy.typing as npt

from detectors.kmeans.score import ALERT, BLOCK, Centres, distance, distances, probability
from detectors.scenarios import kmeans_anomaly, pump_and_dump
from detectors.scenarios.episode import (
    DECIDED,
    DECIDED_OFFSET,
    KMEANS_ANOMALY,
    NONE,
    ONSET,
    ONSET_OFFSET,
    PUMP_AND_DUMP,
    REVISION,
)
from streams.engine import output as o
from streams.engine import state as s
from streams.engine.output import Output
from streams.engine.rules import Rules
from streams.engine.state import State
from tapewatch.kernels import inlined, kernel

F8 = npt.NDArray[np.float64]
F4 = npt.NDArray[np.float32]
I8 = npt.NDArray[np.int64]

MAX_SILENCE_S = 5
"""A partition without any row, heartbeats included, for longer was not watched: windows start anew after it."""

_MARK = 1_000_000_000
KMEANS, KMEANS_CLASSIC = 0, 1
DETECTORS = ("kmeans", "kmeans_classic")
"""Detector names by the number that score rows carry."""


def _decay(half_life_s: float) -> float:
    """Weight of the newest second in an exponentially weighted mean of that half-life."""
    return float(1.0 - 2.0 ** (-1.0 / half_life_s))


_A60, _A300, _A600, _A1800 = _decay(60), _decay(300), _decay(600), _decay(1800)


# Rows of the rings, the same for every instrument of a second and so computed once: price now and 1, 5, 10, 30, 60,
# 300, 900, 25, 61, 301, 26 s ago; within each one-minute ring now and 10, 25, 60 s ago; Amihud now and 300 s ago; rush
# now and 25 s ago; within each depth ring now and 10 s ago.
_P, _P60, _P25, _P61, _P300, _P301, _P26 = 0, 5, 8, 9, 6, 10, 11
_M, _M10, _M25, _M60, _A, _A300_AGO, _R, _R25, _D, _D10 = range(12, 22)
_PRICE_LAGS = np.array([0, 1, 5, 10, 30, 60, 300, 900, 25, 61, 301, 26])
_RETURN_WINDOWS = 7


@kernel
def ring_rows(second: int, at: I8) -> None:
    """Fill `at`, int64[22], with the rows named above."""
    for lag in range(_PRICE_LAGS.size):
        at[lag] = s.PRICE + (second - _PRICE_LAGS[lag]) % s.RING_PRICE
    at[_M], at[_M10] = second % s.RING_MINUTE, (second - 10) % s.RING_MINUTE
    at[_M25], at[_M60] = (second - 25) % s.RING_MINUTE, (second - 60) % s.RING_MINUTE
    at[_A], at[_A300_AGO] = s.AMIHUD + second % s.RING_AMIHUD, s.AMIHUD + (second - 300) % s.RING_AMIHUD
    at[_R], at[_R25] = s.RUSHES + second % s.RING_RUSH, s.RUSHES + (second - 25) % s.RING_RUSH
    at[_D], at[_D10] = second % s.RING_DEPTH, (second - 10) % s.RING_DEPTH


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
    clear_second(a)


@inlined
def clear_second(a: F8) -> None:
    """Empty the accumulators of the second."""
    a[s.VOL] = a[s.CNT] = a[s.SGN] = a[s.NOTIONAL] = a[s.RUSH] = 0.0
    a[s.OFI] = a[s.QUOTES] = a[s.ADDED] = a[s.REMOVED] = 0.0


@inlined
def _slide(total: float, rings: F8, old: int, window: int, i: int, age: float, value: float) -> float:
    """A sum over `window` seconds after this second's value; `old` is the row of the value that leaves."""
    if age >= window:
        return float(total + value - rings[old, i])
    return total + value


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
    rings[at[_P], i] = lp
    for column in range(_RETURN_WINDOWS):
        f[column] = lp - rings[at[column + 1], i] if age >= _PRICE_LAGS[column + 1] else np.nan
    r = lp - rings[at[1], i] if age >= 1.0 else 0.0
    r2 = r * r
    a[s.R2_60] += r2
    a[s.R2_300] += r2
    if age >= 61:
        old = rings[at[_P60], i] - rings[at[_P61], i]
        a[s.R2_60] = max(a[s.R2_60] - old * old, 0.0)
    if age >= 301:
        old = rings[at[_P300], i] - rings[at[_P301], i]
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
    a[s.VOL60] = _slide(a[s.VOL60], rings, s.VOLUME + at[_M60], 60, i, age, a[s.VOL])
    a[s.VOL25] = _slide(a[s.VOL25], rings, s.VOLUME + at[_M25], 25, i, age, a[s.VOL])
    a[s.CNT60] = _slide(a[s.CNT60], rings, s.COUNTS + at[_M60], 60, i, age, a[s.CNT])
    a[s.SGN60] = _slide(a[s.SGN60], rings, s.SIGNED + at[_M60], 60, i, age, a[s.SGN])
    a[s.SGN25] = _slide(a[s.SGN25], rings, s.SIGNED + at[_M25], 25, i, age, a[s.SGN])
    a[s.RUSH25] = _slide(a[s.RUSH25], rings, at[_R25], 25, i, age, a[s.RUSH])
    if a[s.CNT60] == 0.0:
        # Counts are exact: without a trade, what is left in the sums is rounding.
        a[s.VOL60] = a[s.VOL25] = a[s.SGN60] = a[s.SGN25] = 0.0
    rings[s.VOLUME + at[_M], i] = a[s.VOL]
    rings[s.COUNTS + at[_M], i] = a[s.CNT]
    rings[s.SIGNED + at[_M], i] = a[s.SGN]
    rings[at[_R], i] = a[s.RUSH]
    illiquidity = abs(r) / a[s.NOTIONAL] if a[s.NOTIONAL] > 0.0 and age >= 1 else -1.0
    if age >= 300:
        old = rings[at[_A300_AGO], i]
        if old >= 0.0:
            a[s.AMI_SUM] -= old
            a[s.AMI_N] -= 1.0
    rings[at[_A], i] = illiquidity
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
    a[s.OFI10] = _slide(a[s.OFI10], rings, s.OFIS + at[_M10], 10, i, age, a[s.OFI])
    a[s.OFI60] = _slide(a[s.OFI60], rings, s.OFIS + at[_M60], 60, i, age, a[s.OFI])
    a[s.QTS60] = _slide(a[s.QTS60], rings, s.UPDATES + at[_M60], 60, i, age, a[s.QUOTES])
    a[s.ADD10] = _slide(a[s.ADD10], rings, s.ADDS + at[_D10], 10, i, age, a[s.ADDED])
    a[s.REM10] = _slide(a[s.REM10], rings, s.REMOVALS + at[_D10], 10, i, age, a[s.REMOVED])
    rings[s.OFIS + at[_M], i] = a[s.OFI]
    rings[s.UPDATES + at[_M], i] = a[s.QUOTES]
    rings[s.ADDS + at[_D], i] = a[s.ADDED]
    rings[s.REMOVALS + at[_D], i] = a[s.REMOVED]
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
        f[38] = (np.exp(lp - rings[at[_P60], i]) - 1.0) * 100.0
    if age >= 119:
        before = rings[s.VOLUME60 + at[_M60], i]
        if before > 0.0:
            f[39] = (a[s.VOL60] / before - 1.0) * 100.0
    rings[s.VOLUME60 + at[_M], i] = a[s.VOL60]


@inlined
def _event(out: Output, scenario: int, kind: int, slot: int, e: F8, second: int, offset: int, values: F8) -> None:
    """Write a scenario's event."""
    row = out.counts[o.EVENTS]
    out.counts[o.EVENTS] = row + 1
    event = out.events[row]
    event[0], event[1], event[2] = scenario, kind, slot
    event[3], event[4], event[5] = np.int64(e[ONSET]) * _MARK, np.int64(e[DECIDED]) * _MARK, (second + 1) * _MARK
    event[6], event[7] = np.int64(e[REVISION]), np.int64(e[ONSET_OFFSET])
    out.event_offsets[row, 0], out.event_offsets[row, 1] = np.int64(e[DECIDED_OFFSET]), offset
    for j in range(values.size):
        out.event_values[row, j] = values[j]


@inlined
def _scenarios(
    S: State, i: int, at: I8, second: int, offset: int, price: float, raw: float, chance: float,
    model: Centres, rules: Rules, out: Output,
) -> None:  # fmt: skip
    """Step every scenario of an instrument."""
    x, values = out.work[o.ODDS, :8], out.work[o.ODDS, 8 : 8 + o.EVENT_VALUES]
    a = S.acc[i]
    e = S.episodes[i, KMEANS_ANOMALY]
    kind = kmeans_anomaly.step(e, raw, chance, model.limits[ALERT], second, offset, rules.anomaly, values)
    if kind != NONE:
        _event(out, KMEANS_ANOMALY, kind, i, e, second, offset, values)
    if a[s.HAS_TRADE] == 0.0:
        return
    rings = S.rings
    warm = a[s.AGE] >= pump_and_dump.WINDOW_S
    x[pump_and_dump.RISE] = rings[at[_P], i] - rings[at[_P25], i] if warm else np.nan
    x[pump_and_dump.RUSH] = a[s.RUSH25]
    usual = a[s.BASE_VOLUME] * pump_and_dump.WINDOW_S
    x[pump_and_dump.VOLUME_RATIO] = a[s.VOL25] / usual if usual > 0.0 else 0.0
    x[pump_and_dump.BUY_SHARE] = a[s.SGN25] / a[s.VOL25] if a[s.VOL25] > 0.0 else 0.0
    x[pump_and_dump.DEVIATION] = np.sqrt(a[s.BASE_R2] * pump_and_dump.WINDOW_S)
    x[pump_and_dump.RUSH_RATIO] = a[s.BASE_RUSH] * pump_and_dump.WINDOW_S
    x[pump_and_dump.PRICE], x[pump_and_dump.AGE] = price, a[s.AGE]
    e = S.episodes[i, PUMP_AND_DUMP]
    kind = pump_and_dump.step(e, x, second, offset, rules.pump, values)
    if kind != NONE:
        _event(out, PUMP_AND_DUMP, kind, i, e, second, offset, values)


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
    r = rings[at[_P25], i] - rings[at[_P26], i]
    a[s.BASE_VOLUME] += weight * (rings[s.VOLUME + at[_M25], i] - a[s.BASE_VOLUME])
    a[s.BASE_RUSH] += weight * (rings[at[_R25], i] - a[s.BASE_RUSH])
    a[s.BASE_R2] += weight * (r * r - a[s.BASE_R2])


@inlined
def _score(out: Output, slot: int, second: int, offset: int, detector: int, raw: float, chance: float) -> None:
    """Write a score row."""
    row = out.counts[o.SCORES]
    out.counts[o.SCORES] = row + 1
    keys = out.score_keys
    keys[0, row], keys[1, row], keys[2, row], keys[3, row] = slot, (second + 1) * _MARK, offset, detector
    out.scores[0, row], out.scores[1, row] = raw, chance


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
        _score(out, i, last, offset, KMEANS_CLASSIC, raw, probability(raw, classic.knots))
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
def _judge(
    S: State, i: int, at: I8, second: int, offset: int, price: float, raw: float,
    model: Centres, rules: Rules, out: Output,
) -> None:  # fmt: skip
    """Write the score row of an instrument and step its scenarios."""
    chance = probability(raw, model.knots)
    if model.index.size > 0:
        _score(out, i, second, offset, KMEANS, raw, chance)
    _scenarios(S, i, at, second, offset, price, raw, chance, model, rules, out)
    _baselines(S, i, at)


@kernel
def seal_second(
    S: State, second: int, offset: int, ends_minute: bool, model: Centres, classic: Centres, rules: Rules, out: Output
) -> None:
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
        distances(out.features, begin, out.counts[o.FEATURES] - begin, model, out.work, raw)
        for each in range(count):
            i = start + each
            a = S.acc[i]
            if rows[each] < 0:
                if ends_minute and not np.isnan(a[s.BAR_OPEN]):
                    _close_bar(S, i, second, offset, a[s.BAR_CLOSE], classic, out)
                continue
            _judge(S, i, at, second, offset, prices[each], raw[rows[each]], model, rules, out)
            if ends_minute:
                _close_bar(S, i, second, offset, prices[each], classic, out)
            clear_second(a)
            a[s.AGE] += 1.0
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
        and out.counts[o.SCORES] + 2 * count <= out.score_keys.shape[1]
        and out.counts[o.BARS] + count <= out.bar_keys.shape[1]
        and out.counts[o.SEALED] < out.sealed.shape[1]
        and out.counts[o.EVENTS] + 2 * count <= out.events.shape[0]
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
def advance(S: State, second: int, offset: int, model: Centres, classic: Centres, rules: Rules, out: Output) -> bool:
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
        seal_second(S, clock[s.SECOND], offset, ends_minute, model, classic, rules, out)
        if silent:
            cover(out, -1, clock[s.SECOND] + 1, second, o.SILENCE, offset, clock[s.COUNT])
            for i in range(clock[s.COUNT]):
                restart_windows(S.acc[i])
            clock[s.SECOND] = second
        else:
            clock[s.SECOND] += 1
    return True
