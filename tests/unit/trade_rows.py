"""Trade rows of tests, from tuples."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tapewatch.contract.rows import Rows, RowType


def trade_rows(names: Sequence[str], made: Iterable[tuple[int, int, float, float, int]]) -> Rows:
    """Regular trades. made : time (ns), place in `names`, price, quantity, aggressor side each"""
    times, places, prices, sizes, sides = (np.array(column) for column in zip(*made, strict=True))
    columns: dict[str, Any] = {
        "instrument": places.astype(np.int32),
        "ts_event": times.astype(np.int64),
        "ts_recv": times.astype(np.int64),
        "price": prices.astype(np.float64),
        "qty": sizes.astype(np.float64),
        "aggressor_side": sides.astype(np.int8),
        "condition": np.zeros(len(times), dtype=np.int8),
    }
    return Rows(RowType.TRADE, tuple(names), columns)
