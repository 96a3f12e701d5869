"""Feature columns: an instrument's second becomes one row (docs/features.md has each formula)."""

import numpy as np
import numpy.typing as npt

from streams.engine import features as feature
from streams.engine import output as o
from streams.engine import rings as r_
from streams.engine import state as s
from streams.engine.output import Output
from streams.engine.rings import PRICE_LAGS, slide
from streams.engine.state import State
from streams.engine.windows import A60, A300, A600, blend
from tapewatch.clock import NANOS
from tapewatch.kernels import inlined

F8 = npt.NDArray[np.float64]
F4 = npt.NDArray[np.float32]
I8 = npt.NDArray[np.int64]

_RETURN_WINDOWS = 7


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


@inlined
def _z(value: float, mean: float, variance: float) -> float:
    """Standard score against the seconds before; 0 where they never varied."""
    return float((value - mean) / np.sqrt(variance)) if variance > 0.0 else 0.0


@inlined
def _returns(S: State, i: int, at: I8, lp: float, f: F4) -> float:
    """Log returns and volatilities. Returns the 1 s log return (0 on the first second)."""
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
    a[s.EWMA_R2] += A60 * (r2 - a[s.EWMA_R2])
    f[feature.RV_60S] = np.sqrt(a[s.R2_60]) if age >= 60 else np.nan
    f[feature.RV_300S] = np.sqrt(a[s.R2_300]) if age >= 300 else np.nan
    f[feature.EWMA_VOL] = np.sqrt(a[s.EWMA_R2]) if age >= 59 else np.nan
    return r


@inlined
def _trading(S: State, i: int, at: I8, r: float, f: F4) -> None:
    """Volumes, imbalance, z-scores, rush orders, Amihud's illiquidity."""
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
    f[feature.VOLUME_1S], f[feature.TRADES_1S], f[feature.SIGNED_VOLUME_1S] = a[s.VOL], a[s.CNT], a[s.SGN]
    f[feature.VOLUME_60S] = a[s.VOL60] if age >= 59 else np.nan
    f[feature.TRADES_60S] = a[s.CNT60] if age >= 59 else np.nan
    f[feature.IMBALANCE_60S] = (a[s.SGN60] / a[s.VOL60] if a[s.VOL60] > 0.0 else 0.0) if age >= 59 else np.nan
    warm = age >= 299
    f[feature.VOLUME_Z] = _z(a[s.VOL], a[s.M_VOL], a[s.V_VOL]) if warm else np.nan
    f[feature.TRADES_Z] = _z(a[s.CNT], a[s.M_CNT], a[s.V_CNT]) if warm else np.nan
    f[feature.IMBALANCE_Z] = _z(a[s.SGN], a[s.M_SGN], a[s.V_SGN]) if warm else np.nan
    f[feature.RUSH_1S] = a[s.RUSH]
    f[feature.RUSH_25S] = a[s.RUSH25] if age >= 24 else np.nan
    f[feature.AMIHUD_300S] = max(a[s.AMI_SUM], 0.0) / a[s.AMI_N] if age >= 299 and a[s.AMI_N] > 0.0 else np.nan
    if not trades:
        for column in range(feature.VOLUME_1S, feature.RUSH_25S + 1):
            f[column] = np.nan
    blend(a, s.M_VOL, s.V_VOL, a[s.VOL], A600)
    blend(a, s.M_CNT, s.V_CNT, a[s.CNT], A600)
    blend(a, s.M_SGN, s.V_SGN, a[s.SGN], A600)


@inlined
def _quoting(S: State, i: int, at: I8, f: F4) -> None:
    """Spread, microprice, depth, order flow, quote rates."""
    a, rings = S.acc[i], S.rings
    age = a[s.AGE]
    for column in range(feature.SPREAD_BPS, feature.QUOTE_RATE_60S + 1):
        f[column] = np.nan
    if a[s.BID] > 0.0 and a[s.ASK] > 0.0:
        spread, mid = a[s.ASK] - a[s.BID], 0.5 * (a[s.BID] + a[s.ASK])
        f[feature.SPREAD_BPS] = spread / mid * 10_000.0
        if age >= 59 and a[s.M_SPREAD] > 0.0:
            f[feature.SPREAD_RATIO] = spread / a[s.M_SPREAD]
        a[s.M_SPREAD] = spread if np.isnan(a[s.M_SPREAD]) else a[s.M_SPREAD] + A300 * (spread - a[s.M_SPREAD])
        both = a[s.BID_QTY] + a[s.ASK_QTY]
        if both > 0.0:
            f[feature.MICROPRICE_DEV_BPS] = (
                ((a[s.ASK] * a[s.BID_QTY] + a[s.BID] * a[s.ASK_QTY]) / both - mid) / mid * 10_000.0
            )
            f[feature.DEPTH_IMB_1] = (a[s.BID_QTY] - a[s.ASK_QTY]) / both
    if a[s.HAS_BOOK] > 0.0:
        if a[s.BID5] + a[s.ASK5] > 0.0:
            f[feature.DEPTH_IMB_5] = (a[s.BID5] - a[s.ASK5]) / (a[s.BID5] + a[s.ASK5])
        if a[s.BID10] + a[s.ASK10] > 0.0:
            f[feature.DEPTH_IMB_10] = (a[s.BID10] - a[s.ASK10]) / (a[s.BID10] + a[s.ASK10])
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
        f[feature.OFI_1S] = a[s.OFI]
        f[feature.QUOTE_RATE_1S] = a[s.QUOTES]
        if age >= 9:
            f[feature.OFI_10S] = a[s.OFI10]
            f[feature.DEPTH_ADDED_10S], f[feature.DEPTH_REMOVED_10S] = max(a[s.ADD10], 0.0), max(a[s.REM10], 0.0)
        if age >= 59:
            f[feature.OFI_60S] = a[s.OFI60]
            f[feature.QUOTE_RATE_60S] = a[s.QTS60] / 60.0


@inlined
def _session(S: State, i: int, at: I8, price: float, lp: float, f: F4) -> None:
    """Distances to the session's VWAP, high and low, and the one-minute changes."""
    a, rings = S.acc[i], S.rings
    age = a[s.AGE]
    a[s.SES_HIGH] = price if np.isnan(a[s.SES_HIGH]) else max(a[s.SES_HIGH], price)
    a[s.SES_LOW] = price if np.isnan(a[s.SES_LOW]) else min(a[s.SES_LOW], price)
    f[feature.VWAP_DEV_BPS] = np.nan
    if a[s.SES_VOLUME] > 0.0:
        vwap = a[s.SES_NOTIONAL] / a[s.SES_VOLUME]
        f[feature.VWAP_DEV_BPS] = (price - vwap) / vwap * 10_000.0
    f[feature.HIGH_DIST_BPS] = (price / a[s.SES_HIGH] - 1.0) * 10_000.0
    f[feature.LOW_DIST_BPS] = (price / a[s.SES_LOW] - 1.0) * 10_000.0
    f[feature.PRICE_CHANGE_1M_PCT] = f[feature.VOLUME_CHANGE_1M_PCT] = np.nan
    if age >= 60:
        f[feature.PRICE_CHANGE_1M_PCT] = (np.exp(lp - rings[at[r_.P60], i]) - 1.0) * 100.0
    if age >= 119:
        before = rings[s.VOLUME60 + at[r_.M60], i]
        if before > 0.0:
            f[feature.VOLUME_CHANGE_1M_PCT] = (a[s.VOL60] / before - 1.0) * 100.0
    rings[s.VOLUME60 + at[r_.M], i] = a[s.VOL60]


@inlined
def compute(S: State, i: int, at: I8, price: float, second: int, offset: int, out: Output) -> int:
    """Write the feature row of an instrument; returns which one it is."""
    row = out.counts[o.FEATURES]
    out.counts[o.FEATURES] = row + 1
    keys = out.feature_keys
    keys[0, row], keys[1, row], keys[2, row] = i, (second + 1) * NANOS, offset
    f = out.features[:, row]
    lp = np.log(price)
    r = _returns(S, i, at, lp, f)
    _trading(S, i, at, r, f)
    _quoting(S, i, at, f)
    _session(S, i, at, price, lp, f)
    return int(row)
