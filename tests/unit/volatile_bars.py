"""Daily bars whose volatility comes in spells."""

import numpy as np

from detectors.ddqn.daily_market import Bars


def bars(rows: int = 700, seed: int = 1) -> Bars:
    """A random walk whose volatility comes in spells of 40 days."""
    rng = np.random.default_rng(seed)
    spells = np.repeat(np.exp(0.8 * rng.standard_normal(-(-rows // 40))), 40)[:rows]
    close = 100.0 * np.exp(np.cumsum(0.01 * spells * rng.standard_normal(rows)))
    opened = close * np.exp(0.003 * rng.standard_normal(rows))
    top, bottom = np.maximum(close, opened) * 1.004, np.minimum(close, opened) * 0.996
    dates = np.datetime64("2015-01-01") + np.arange(rows)
    return Bars(dates, opened, top, bottom, close, 1e6 * np.exp(0.3 * rng.standard_normal(rows)))
