"""Minute bars of CSV files, one instrument a file, as the coin desk and the minute forecasts are trained on them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as csv

from detectors.coin_features.batch import History, history
from detectors.forecast.series import Series
from tapewatch.clock import NANOS
from tapewatch.errors import TapewatchError

_TIMES = ("timestamp", "timestamp_utc", "ts_open", "datetime", "time")
_NEEDED = ("high", "low", "close", "volume")
_HINT = f"It needs a header with one of {', '.join(_TIMES)} (UTC, a bar's opening), {', '.join(_NEEDED)}."


def read_all(paths: Sequence[Path]) -> list[History]:
    """One history a file, named by the file's first part."""
    return [read(path) for path in paths]


def read(path: Path) -> History:
    """A file's minutes, plain or gzip. TapewatchError where it cannot be read, or its times do not increase."""
    minutes, columns = _columns(path, _NEEDED)
    return history(_name(path), minutes, columns)


def series(path: Path) -> Series:
    """The same as bars to forecast from, each known when its minute is over; the file needs an `open` too."""
    minutes, columns = _columns(path, ("open", *_NEEDED))
    prices = (columns[name] for name in ("open", *_NEEDED))
    return Series(_name(path), (minutes + 1) * (60 * NANOS), *prices)


def _name(path: Path) -> str:
    """A file's first part."""
    return path.name.partition("_1m")[0].partition(".csv")[0]


def _columns(path: Path, needed: Sequence[str]) -> tuple[npt.NDArray[np.int64], dict[str, npt.NDArray[np.float64]]]:
    """Minutes since the epoch, and columns by name, of those needed and those that tell of trades."""
    try:
        table = csv.read_csv(path)
        (time,) = [name for name in _TIMES if name in table.column_names][:1]
        minutes = table[time].cast(pa.timestamp("s")).cast(pa.int64()).to_numpy() // 60
        columns = {
            name: table[name].cast(pa.float64()).to_numpy()
            for name in (*needed, "trades", "buys", "sells")
            if name in table.column_names
        }
        prices = np.column_stack([columns[name] for name in needed])[:, :-1]
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise TapewatchError(f"{path} cannot be read as minute bars: {error}", _HINT) from error
    if not len(minutes) or np.any(np.diff(minutes) <= 0) or not np.all(prices > 0.0):
        raise TapewatchError(f"{path} is empty, not oldest first, or has prices that are not positive", _HINT)
    return minutes, columns
