"""Sums by day, as the intervals of figures over time draw them: see tapewatch.desk.day_blocks."""

import numpy as np

from tapewatch.desk.day_blocks import F8, I8


def daily(minutes: I8, *columns: F8) -> F8:
    """Sums of each column by UTC day, float64[days, columns]."""
    day = minutes // 1440 - minutes[0] // 1440
    return np.column_stack([np.bincount(day, column, minlength=int(day[-1]) + 1) for column in columns])
