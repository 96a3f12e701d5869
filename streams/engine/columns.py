"""Feature columns: an instrument's second becomes one row (docs/features.md has each formula)."""

import numpy as np
import numpy.typing as npt

from streams.engine import features as feature
from streams.engine import output, state
from streams.engine import rings as ring
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
    if a[state.BID] > 0.0 and a[state.ASK] > 0.0:
        return float(0.5 * (a[state.BID] + a[state.ASK]))
    if a[state.LAST] > 0.0:
        return float(a[state.LAST])
    if a[state.BID] > 0.0:
        return float(a[state.BID])
    return float(a[state.ASK])


@inlined
def _z(value: float, mean: float, variance: float) -> float:
    """Standard score against the seconds before; 0 where they never varied."""
    return float((value - mean) / np.sqrt(variance)) if variance > 0.0 else 0.0


@inlined
def _returns(S: State, i: int, at: I8, lp: float, f: F4) -> float:
    """Log returns and volatilities. Returns the 1 s log return (0 on the first second)."""
    a = S.acc[i]
    age = a[state.AGE]
    rings = S.rings
    rings[at[ring.P], i] = lp
    for column in range(_RETURN_WINDOWS):
        f[column] = lp - rings[at[column + 1], i] if age >= PRICE_LAGS[column + 1] else np.nan
    r = lp - rings[at[ring.P1], i] if age >= 1.0 else 0.0
    r2 = r * r
    a[state.R2_60] += r2
    a[state.R2_300] += r2
    if age >= 61:
        old = rings[at[ring.P60], i] - rings[at[ring.P61], i]
        a[state.R2_60] = max(a[state.R2_60] - old * old, 0.0)
    if age >= 301:
        old = rings[at[ring.P300], i] - rings[at[ring.P301], i]
        a[state.R2_300] = max(a[state.R2_300] - old * old, 0.0)
    a[state.EWMA_R2] += A60 * (r2 - a[state.EWMA_R2])
    f[feature.RV_60S] = np.sqrt(a[state.R2_60]) if age >= 60 else np.nan
    f[feature.RV_300S] = np.sqrt(a[state.R2_300]) if age >= 300 else np.nan
    f[feature.EWMA_VOL] = np.sqrt(a[state.EWMA_R2]) if age >= 59 else np.nan
    return r


@inlined
def _trading(S: State, i: int, at: I8, r: float, f: F4) -> None:
    """Volumes, imbalance, z-scores, rush orders, Amihud's illiquidity."""
    a, rings = S.acc[i], S.rings
    age = a[state.AGE]
    a[state.VOL60] = slide(a[state.VOL60], rings, state.VOLUME + at[ring.M60], 60, i, age, a[state.VOL])
    a[state.VOL25] = slide(a[state.VOL25], rings, state.VOLUME + at[ring.M25], 25, i, age, a[state.VOL])
    a[state.CNT60] = slide(a[state.CNT60], rings, state.COUNTS + at[ring.M60], 60, i, age, a[state.CNT])
    a[state.SGN60] = slide(a[state.SGN60], rings, state.SIGNED + at[ring.M60], 60, i, age, a[state.SGN])
    a[state.SGN25] = slide(a[state.SGN25], rings, state.SIGNED + at[ring.M25], 25, i, age, a[state.SGN])
    a[state.RUSH25] = slide(a[state.RUSH25], rings, at[ring.R25], 25, i, age, a[state.RUSH])
    if a[state.CNT60] == 0.0:
        # Counts are exact: without a trade, what is left in the sums is rounding.
        a[state.VOL60] = a[state.VOL25] = a[state.SGN60] = a[state.SGN25] = 0.0
    rings[state.VOLUME + at[ring.M], i] = a[state.VOL]
    rings[state.COUNTS + at[ring.M], i] = a[state.CNT]
    rings[state.SIGNED + at[ring.M], i] = a[state.SGN]
    rings[at[ring.R], i] = a[state.RUSH]
    illiquidity = abs(r) / a[state.NOTIONAL] if a[state.NOTIONAL] > 0.0 and age >= 1 else -1.0
    if age >= 300:
        old = rings[at[ring.A300], i]
        if old >= 0.0:
            a[state.AMI_SUM] -= old
            a[state.AMI_N] -= 1.0
    rings[at[ring.A], i] = illiquidity
    if illiquidity >= 0.0:
        a[state.AMI_SUM] += illiquidity
        a[state.AMI_N] += 1.0
    if a[state.AMI_N] == 0.0:
        a[state.AMI_SUM] = 0.0
    trades = a[state.HAS_TRADE] > 0.0
    f[feature.VOLUME_1S], f[feature.TRADES_1S], f[feature.SIGNED_VOLUME_1S] = a[state.VOL], a[state.CNT], a[state.SGN]
    f[feature.VOLUME_60S] = a[state.VOL60] if age >= 59 else np.nan
    f[feature.TRADES_60S] = a[state.CNT60] if age >= 59 else np.nan
    f[feature.IMBALANCE_60S] = (
        (a[state.SGN60] / a[state.VOL60] if a[state.VOL60] > 0.0 else 0.0) if age >= 59 else np.nan
    )
    warm = age >= 299
    f[feature.VOLUME_Z] = _z(a[state.VOL], a[state.M_VOL], a[state.V_VOL]) if warm else np.nan
    f[feature.TRADES_Z] = _z(a[state.CNT], a[state.M_CNT], a[state.V_CNT]) if warm else np.nan
    f[feature.IMBALANCE_Z] = _z(a[state.SGN], a[state.M_SGN], a[state.V_SGN]) if warm else np.nan
    f[feature.RUSH_1S] = a[state.RUSH]
    f[feature.RUSH_25S] = a[state.RUSH25] if age >= 24 else np.nan
    f[feature.AMIHUD_300S] = (
        max(a[state.AMI_SUM], 0.0) / a[state.AMI_N] if age >= 299 and a[state.AMI_N] > 0.0 else np.nan
    )
    if not trades:
        for column in range(feature.VOLUME_1S, feature.RUSH_25S + 1):
            f[column] = np.nan
    blend(a, state.M_VOL, state.V_VOL, a[state.VOL], A600)
    blend(a, state.M_CNT, state.V_CNT, a[state.CNT], A600)
    blend(a, state.M_SGN, state.V_SGN, a[state.SGN], A600)


@inlined
def _quoting(S: State, i: int, at: I8, f: F4) -> None:
    """Spread, microprice, depth, order flow, quote rates."""
    a, rings = S.acc[i], S.rings
    age = a[state.AGE]
    for column in range(feature.SPREAD_BPS, feature.QUOTE_RATE_60S + 1):
        f[column] = np.nan
    if a[state.BID] > 0.0 and a[state.ASK] > 0.0:
        spread, mid = a[state.ASK] - a[state.BID], 0.5 * (a[state.BID] + a[state.ASK])
        f[feature.SPREAD_BPS] = spread / mid * 10_000.0
        if age >= 59 and a[state.M_SPREAD] > 0.0:
            f[feature.SPREAD_RATIO] = spread / a[state.M_SPREAD]
        a[state.M_SPREAD] = (
            spread if np.isnan(a[state.M_SPREAD]) else a[state.M_SPREAD] + A300 * (spread - a[state.M_SPREAD])
        )
        both = a[state.BID_QTY] + a[state.ASK_QTY]
        if both > 0.0:
            f[feature.MICROPRICE_DEV_BPS] = (
                ((a[state.ASK] * a[state.BID_QTY] + a[state.BID] * a[state.ASK_QTY]) / both - mid) / mid * 10_000.0
            )
            f[feature.DEPTH_IMB_1] = (a[state.BID_QTY] - a[state.ASK_QTY]) / both
    if a[state.HAS_BOOK] > 0.0:
        if a[state.BID5] + a[state.ASK5] > 0.0:
            f[feature.DEPTH_IMB_5] = (a[state.BID5] - a[state.ASK5]) / (a[state.BID5] + a[state.ASK5])
        if a[state.BID10] + a[state.ASK10] > 0.0:
            f[feature.DEPTH_IMB_10] = (a[state.BID10] - a[state.ASK10]) / (a[state.BID10] + a[state.ASK10])
    a[state.OFI10] = slide(a[state.OFI10], rings, state.OFIS + at[ring.M10], 10, i, age, a[state.OFI])
    a[state.OFI60] = slide(a[state.OFI60], rings, state.OFIS + at[ring.M60], 60, i, age, a[state.OFI])
    a[state.QTS60] = slide(a[state.QTS60], rings, state.UPDATES + at[ring.M60], 60, i, age, a[state.QUOTES])
    a[state.ADD10] = slide(a[state.ADD10], rings, state.ADDS + at[ring.D10], 10, i, age, a[state.ADDED])
    a[state.REM10] = slide(a[state.REM10], rings, state.REMOVALS + at[ring.D10], 10, i, age, a[state.REMOVED])
    rings[state.OFIS + at[ring.M], i] = a[state.OFI]
    rings[state.UPDATES + at[ring.M], i] = a[state.QUOTES]
    rings[state.ADDS + at[ring.D], i] = a[state.ADDED]
    rings[state.REMOVALS + at[ring.D], i] = a[state.REMOVED]
    if a[state.HAS_QUOTE] > 0.0 or a[state.HAS_BOOK] > 0.0:
        f[feature.OFI_1S] = a[state.OFI]
        f[feature.QUOTE_RATE_1S] = a[state.QUOTES]
        if age >= 9:
            f[feature.OFI_10S] = a[state.OFI10]
            f[feature.DEPTH_ADDED_10S], f[feature.DEPTH_REMOVED_10S] = (
                max(a[state.ADD10], 0.0),
                max(a[state.REM10], 0.0),
            )
        if age >= 59:
            f[feature.OFI_60S] = a[state.OFI60]
            f[feature.QUOTE_RATE_60S] = a[state.QTS60] / 60.0


@inlined
def _session(S: State, i: int, at: I8, price: float, lp: float, f: F4) -> None:
    """Distances to the session's VWAP, high and low, and the one-minute changes."""
    a, rings = S.acc[i], S.rings
    age = a[state.AGE]
    a[state.SES_HIGH] = price if np.isnan(a[state.SES_HIGH]) else max(a[state.SES_HIGH], price)
    a[state.SES_LOW] = price if np.isnan(a[state.SES_LOW]) else min(a[state.SES_LOW], price)
    f[feature.VWAP_DEV_BPS] = np.nan
    if a[state.SES_VOLUME] > 0.0:
        vwap = a[state.SES_NOTIONAL] / a[state.SES_VOLUME]
        f[feature.VWAP_DEV_BPS] = (price - vwap) / vwap * 10_000.0
    f[feature.HIGH_DIST_BPS] = (price / a[state.SES_HIGH] - 1.0) * 10_000.0
    f[feature.LOW_DIST_BPS] = (price / a[state.SES_LOW] - 1.0) * 10_000.0
    f[feature.PRICE_CHANGE_1M_PCT] = f[feature.VOLUME_CHANGE_1M_PCT] = np.nan
    if age >= 60:
        f[feature.PRICE_CHANGE_1M_PCT] = (np.exp(lp - rings[at[ring.P60], i]) - 1.0) * 100.0
    if age >= 119:
        before = rings[state.VOLUME60 + at[ring.M60], i]
        if before > 0.0:
            f[feature.VOLUME_CHANGE_1M_PCT] = (a[state.VOL60] / before - 1.0) * 100.0
    rings[state.VOLUME60 + at[ring.M], i] = a[state.VOL60]


@inlined
def compute(S: State, i: int, at: I8, price: float, second: int, offset: int, out: Output) -> int:
    """Write the feature row of an instrument; returns which one it is."""
    row = out.counts[output.FEATURES]
    out.counts[output.FEATURES] = row + 1
    keys = out.feature_keys
    keys[0, row], keys[1, row], keys[2, row] = i, (second + 1) * NANOS, offset
    f = out.features[:, row]
    lp = np.log(price)
    r = _returns(S, i, at, lp, f)
    _trading(S, i, at, r, f)
    _quoting(S, i, at, f)
    _session(S, i, at, price, lp, f)
    return int(row)
