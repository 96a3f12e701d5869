"""Minute bars of what was traded, and the classic pair's score."""

import numpy as np

from detectors.kmeans.score import Centres, distance, probability
from streams.engine import output as o
from streams.engine import state as s
from streams.engine.judging import KMEANS_CLASSIC, score
from streams.engine.output import Output
from streams.engine.state import State
from tapewatch.clock import NANOS
from tapewatch.kernels import inlined


@inlined
def close_bar(S: State, i: int, second: int, offset: int, price: float, classic: Centres, out: Output) -> None:
    """Write the bar of the second's minute, flat at the price where nothing traded, and the classic pair's score."""
    pair = out.work[o.ODDS, :2]
    a = S.acc[i]
    last = second - second % 60 + 59
    if np.isnan(a[s.BAR_OPEN]):
        a[s.BAR_OPEN] = a[s.BAR_HIGH] = a[s.BAR_LOW] = a[s.BAR_CLOSE] = price
    row = out.counts[o.BARS]
    out.counts[o.BARS] = row + 1
    keys, bars = out.bar_keys, out.bars
    keys[0, row], keys[1, row], keys[2, row] = i, (last + 1) * NANOS, offset
    bars[0, row], bars[1, row], bars[2, row] = a[s.BAR_OPEN], a[s.BAR_HIGH], a[s.BAR_LOW]
    bars[3, row], bars[4, row], bars[5, row] = a[s.BAR_CLOSE], a[s.BAR_VOLUME], a[s.BAR_TRADES]
    bars[6, row], bars[7, row] = a[s.BAR_BUYS], a[s.BAR_SELLS]
    pair[0] = (a[s.BAR_CLOSE] / a[s.BAR_PREV_CLOSE] - 1.0) * 100.0
    pair[1] = (a[s.BAR_VOLUME] / a[s.BAR_PREV_VOLUME] - 1.0) * 100.0 if a[s.BAR_PREV_VOLUME] > 0.0 else np.nan
    if classic.index.size > 0:
        # Both changes are needed: a minute after one without volume has no score.
        raw = distance(pair, classic) if pair[0] - pair[0] == 0.0 and pair[1] - pair[1] == 0.0 else np.nan
        score(out, i, last, offset, KMEANS_CLASSIC, raw, probability(raw, classic.knots))
    a[s.BAR_PREV_CLOSE], a[s.BAR_PREV_VOLUME] = a[s.BAR_CLOSE], a[s.BAR_VOLUME]
    a[s.BAR_OPEN] = a[s.BAR_HIGH] = a[s.BAR_LOW] = a[s.BAR_CLOSE] = np.nan
    a[s.BAR_VOLUME] = a[s.BAR_TRADES] = a[s.BAR_BUYS] = a[s.BAR_SELLS] = 0.0
