"""Minute bars of CSV files, one coin a file, as the coin desk is trained and evaluated on them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv

from detectors.desk.batch import History, history
from tapewatch.errors import TapewatchError

_TIMES = ("timestamp", "timestamp_utc", "ts_open", "datetime", "time")
_NEEDED = ("high", "low", "close", "volume")
_HINT = f"It needs a header with one of {', '.join(_TIMES)} (UTC, a bar's opening), {', '.join(_NEEDED)}."


def read_all(paths: Sequence[Path]) -> list[History]:
    """One history a file, named by the file's first part."""
    return [read(path) for path in paths]


def read(path: Path) -> History:
    """A file's minutes, plain or gzip. TapewatchError where it cannot be read, or its times do not increase."""
    try:
        table = csv.read_csv(path)
        (time,) = [name for name in _TIMES if name in table.column_names][:1]
        minutes = table[time].cast(pa.timestamp("s")).cast(pa.int64()).to_numpy() // 60
        columns = {
            name: table[name].cast(pa.float64()).to_numpy()
            for name in (*_NEEDED, "trades", "buys", "sells")
            if name in table.column_names
        }
        bars = np.column_stack([columns[name] for name in _NEEDED])
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise TapewatchError(f"{path} cannot be read as minute bars: {error}", _HINT) from error
    if not len(minutes) or np.any(np.diff(minutes) <= 0) or not np.all(bars[:, :3] > 0.0):
        raise TapewatchError(f"{path} is empty, not oldest first, or has prices that are not positive", _HINT)
    return history(path.name.partition("_1m")[0].partition(".csv")[0], minutes, columns)
