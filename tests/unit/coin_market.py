"""Minutes of a made-up coin, and what its windows say when they are computed from all of them at once."""

import numpy as np
import numpy.typing as npt

from detectors.coin_features import batch, windows
from detectors.coin_features.batch import History

F8 = npt.NDArray[np.float64]


START = 27_000_003
"""Minute of the epoch at which a coin begins."""


def coin(rows: int, seed: int = 0, start: int = START, volatility: float = 0.001, gaps: bool = False) -> History:
    """A random walk with trades; `gaps` leaves minutes out."""
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(volatility * rng.standard_normal(rows)))
    wick = volatility * close * rng.random((2, rows))
    columns = {"high": close + wick[0], "low": close - wick[1], "close": close, "volume": rng.exponential(5.0, rows)}
    columns |= {name: rng.poisson(20.0, rows).astype(np.float64) for name in ("trades", "buys", "sells")}
    minutes = start + np.cumsum(rng.integers(1, 4, rows)) if gaps else start + np.arange(rows, dtype=np.int64)
    return batch.history("made", minutes.astype(np.int64), columns)


def plain_summary(seen: History, row: int, window: int) -> F8:
    """What a window says at a row's close, from every minute in it; ENTRIES and WINS are not told."""
    now, wide = seen.minutes[row], windows.WINDOWS[window]
    inside = (seen.minutes > now - wide) & (seen.minutes <= now)
    high, low, close, volume, trades, buys, sells = seen.bars[inside].T
    moves = np.diff(np.log(seen.bars[:, 2]), prepend=np.log(seen.bars[0, 2]))
    out = np.full(windows.SUMMARY, np.nan)
    out[windows.AVERAGE], out[windows.HIGH_LINE], out[windows.LOW_LINE] = close.mean(), high.max(), low.min()
    out[windows.VOLATILITY] = np.sqrt(np.mean(moves[inside] ** 2))
    out[windows.POSITION] = (close[-1] - low.min()) / (high.max() - low.min())
    out[windows.S_VOLUME], out[windows.S_TURNOVER] = volume.sum(), (volume * close).sum()
    out[windows.S_TRADES], out[windows.S_BUYS], out[windows.S_SELLS] = trades.sum(), buys.sum(), sells.sum()
    out[windows.S_MINUTES] = len(close)
    before = seen.bars[seen.minutes <= now - wide, 2]
    out[windows.RETURN] = np.log(close[-1] / (before[-1] if len(before) else close[0]))
    return out
