"""A coin's trades with pumps in them, as the rows of a market and as its file."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tapewatch.clock import NANOS
from tapewatch.contract import frames
from tapewatch.contract.rows import Rows
from tests.unit.trade_rows import trade_rows

START = 1_750_000_000


def trades(rises: dict[int, float], seconds: int = 1500) -> Rows:
    """One coin, two trades a second, and 25 s of hard buying that end at each second of `rises`, by that log return."""
    rng = np.random.default_rng(3)
    rows: list[tuple[int, int, float, float, int]] = []
    price = 100.0
    for second in range(seconds):
        pump = next((rise for end, rise in rises.items() if end - 25 < second <= end), 0.0)
        count = 20 if pump else 2
        price *= float(np.exp(pump / 25.0 + rng.normal(0.0, 1e-5)))
        side = 1 if pump else int(rng.choice((1, -1)))
        times = (START + second) * NANOS + np.arange(1, count + 1) * 40_000_000
        rows += [(int(at), 0, price, 10.0 if pump else 0.5, side) for at in times]
    return trade_rows(("COIN.SIMX",), rows)


def stored(folder: Path, rows: Rows) -> Path:
    """The rows as a Parquet file in the contract's columns."""
    pq.write_table(pa.Table.from_batches([frames.read_stream(frames.encode(rows))]), folder / "trades.parquet")
    return folder
