"""A live writer of a feed on a clock and a producer that a test holds, and rows for it."""

from typing import Any

import numpy as np

from producers.feed import FeedWriter, LiveWriter
from tapewatch.clock import NANOS, ManualClock
from tapewatch.contract import frames
from tapewatch.contract.rows import BOOK_LEVELS, REQUIRED, Rows, RowType, numpy_dtype

AT = 1_600_000_000 * NANOS
NAMES = ("AAA.SIMX", "BBB.SIMX", "CCC.SIMX")


class Records:
    """A producer that keeps what it is given and has room for everything."""

    def __init__(self) -> None:
        self.records: list[tuple[int, bytes, Any]] = []

    def produce(self, topic: str, value: bytes, *, partition: int, headers: Any, on_delivery: Any) -> None:
        self.records.append((partition, value, headers))
        on_delivery(None, None)

    def poll(self, timeout: float) -> int:
        return 0

    def flush(self, timeout: float) -> int:
        return 0

    def log(self, partition: int) -> list[Rows]:
        return [frames.to_rows(value) for at, value, _ in self.records if at == partition]


def rows_of(row_type: RowType, times: list[int], code: int = 0) -> Rows:
    columns: dict[str, Any] = {name: np.ones(len(times), dtype=numpy_dtype(kind)) for name, kind in REQUIRED[row_type]}
    if row_type is RowType.BOOK:
        levels = ("bid_price", "bid_qty", "ask_price", "ask_qty")
        columns |= {name: np.ones((len(times), BOOK_LEVELS)) for name in levels}
    stamps = np.array(times, dtype=np.int64)
    columns |= {"instrument": np.full(len(times), code, np.int32), "ts_event": stamps, "ts_recv": stamps}
    if "detail" in columns:
        columns["detail"] = np.full(len(times), "", dtype=object)
    if "order_id" in columns:
        columns["order_id"] = np.full(len(times), "1", dtype=object)
    return Rows(row_type, NAMES, columns)


def opened(partitions: int = 1, newest_ns: int = 0) -> tuple[Records, LiveWriter]:
    records = Records()
    return records, LiveWriter(FeedWriter(records, "t", "live", 1, partitions, NAMES, ManualClock(AT)), newest_ns)
