"""What factors cost: the newest row of 2,000 instruments, and a whole table of minute bars.

Run as `python -m benchmarks.factors --json`; `--bars FILE` takes minute bars (timestamp,open,high,low,close,volume) in
the place of a random walk of 45,031.
"""

import argparse
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
from pyarrow import csv

from detectors.forecast.factors.indicators import UNITS
from detectors.forecast.factors.table import LOOKBACK, latest, names, table
from detectors.forecast.series import Series

_INSTRUMENTS = 2_000
_MINUTES = 45_031


def walk(instrument: str, rows: int, seed: int) -> Series:
    """A random walk of bars."""
    random = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(random.normal(0.0, 0.01, rows)))
    high, low = close * (1.0 + random.uniform(0.0, 0.01, rows)), close * (1.0 - random.uniform(0.0, 0.01, rows))
    return Series(instrument, np.arange(rows, dtype=np.int64), close, high, low, close, random.uniform(1.0, 9.0, rows))


def read(path: Path) -> Series:
    """Minute bars of a CSV file, gzip or not."""
    rows = csv.read_csv(path)
    columns = (rows.column(name).to_numpy().astype(np.float64) for name in ("open", "high", "low", "close", "volume"))
    return Series(path.stem, np.arange(len(rows), dtype=np.int64), *columns)


def day(instruments: int) -> float:
    """CPU seconds of the newest row of every instrument."""
    bars = [walk(f"I{number}", LOOKBACK + 10, number) for number in range(instruments)]
    latest(bars[0])
    begun = time.process_time()
    for one in bars:
        latest(one)
    return time.process_time() - begun


def minutes(bars: Series) -> float:
    """CPU seconds of the whole table."""
    latest(bars)
    begun = time.process_time()
    table(bars)
    return time.process_time() - begun


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bars", type=Path, metavar="FILE")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    bars = read(args.bars) if args.bars else walk("walk", _MINUTES, 1)
    found = {
        "indicators": len(UNITS),
        "columns": len(names()),
        "instruments": _INSTRUMENTS,
        "day_cpu_s": round(day(_INSTRUMENTS), 3),
        "minute_bars": len(bars),
        "table_cpu_s": round(minutes(bars), 3),
    }
    text = (
        f"{found['instruments']:,} instruments, newest row of {found['indicators']} indicators and "
        f"{found['columns']} columns: {found['day_cpu_s']} s\n{found['minute_bars']:,} bars: {found['table_cpu_s']} s"
    )
    print(msgspec.json.encode(found).decode() if args.json else text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
