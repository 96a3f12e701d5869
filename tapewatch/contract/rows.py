"""The rows of the market log: one Arrow schema per row type, and the columnar form that parsers and writers exchange.

Times are UTC nanoseconds, prices and quantities float64. `instrument` is dictionary-encoded; in `Rows` it is an int32
code into `Rows.instruments`. Optional columns may be absent from a frame; a reader treats them as null.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tapewatch.contract.instruments import Instrument

CONTRACT_MAJOR = 1
CONTRACT_VERSION = "1.0"
BOOK_LEVELS = 10
EVERY_INSTRUMENT = "*"

Column = npt.NDArray[Any]


class RowType(IntEnum):
    """Row types in the order in which rows of one instant (and one flush) lie in the log."""

    STATUS = 0
    TRADE = 1
    ORDER = 2
    QUOTE = 3
    BOOK = 4
    BAR = 5

    @property
    def label(self) -> str:
        """The name used in headers and file names."""
        return self.name.lower()


class Condition(IntEnum):
    """Trade conditions. Only REGULAR and AUCTION trades move prices and volumes.

    LATE is a trade that a feed fetched after a hole: it happened before rows that lie in the log already.
    """

    REGULAR = 0
    AUCTION = 1
    OFF_BOOK = 2
    ODD_LOT = 3
    CANCEL = 4
    CORRECT = 5
    LATE = 6


class OrderAction(IntEnum):
    """What happened to an order."""

    ADD = 1
    CUT = 2
    DELETE = 3
    EXECUTE = 4


class StatusKind(IntEnum):
    """Kinds of status rows."""

    OPEN = 1
    CLOSE = 2
    AUCTION = 3
    HALT = 4
    RESUME = 5
    HEARTBEAT = 6
    GAP = 7
    RESYNC = 8
    CONTROL = 9


_TIME = pa.timestamp("ns", tz="UTC")
_LEVELS = pa.list_(pa.float64(), BOOK_LEVELS)
_COMMON = (("instrument", pa.dictionary(pa.int32(), pa.utf8())), ("ts_event", _TIME), ("ts_recv", _TIME))

REQUIRED: dict[RowType, tuple[tuple[str, pa.DataType], ...]] = {
    RowType.STATUS: (*_COMMON, ("kind", pa.int8()), ("detail", pa.utf8())),
    RowType.TRADE: (
        *_COMMON,
        ("price", pa.float64()),
        ("qty", pa.float64()),
        ("aggressor_side", pa.int8()),
        ("condition", pa.int8()),
    ),
    RowType.ORDER: (
        *_COMMON,
        ("action", pa.int8()),
        ("side", pa.int8()),
        ("price", pa.float64()),
        ("qty", pa.float64()),
        ("order_id", pa.utf8()),
    ),
    RowType.QUOTE: (
        *_COMMON,
        ("bid_price", pa.float64()),
        ("bid_qty", pa.float64()),
        ("ask_price", pa.float64()),
        ("ask_qty", pa.float64()),
        ("last_price", pa.float64()),
        ("volume", pa.float64()),
    ),
    RowType.BOOK: (
        *_COMMON,
        ("sequence", pa.int64()),
        ("bid_price", _LEVELS),
        ("bid_qty", _LEVELS),
        ("ask_price", _LEVELS),
        ("ask_qty", _LEVELS),
    ),
    RowType.BAR: (
        *_COMMON,
        ("ts_open", _TIME),
        ("interval_s", pa.int32()),
        ("open", pa.float64()),
        ("high", pa.float64()),
        ("low", pa.float64()),
        ("close", pa.float64()),
        ("volume", pa.float64()),
        ("trades", pa.int64()),
    ),
}
"""Columns every frame of the type has, in this order."""

OPTIONAL: dict[RowType, tuple[tuple[str, pa.DataType], ...]] = {
    RowType.STATUS: (),
    RowType.TRADE: (
        ("trade_id", pa.utf8()),
        ("buyer_account", pa.utf8()),
        ("seller_account", pa.utf8()),
        ("buyer_order_id", pa.utf8()),
        ("seller_order_id", pa.utf8()),
    ),
    RowType.ORDER: (("account", pa.utf8()), ("capacity", pa.utf8())),
    RowType.QUOTE: (),
    RowType.BOOK: (),
    RowType.BAR: (),
}
"""Columns a frame may have after the required ones, in this order."""


def schema(row_type: RowType, optional: Sequence[str] = ()) -> pa.Schema:
    """Arrow schema of `row_type` with the named optional columns; the metadata names type and contract version."""
    fields = [pa.field(name, kind, nullable=False) for name, kind in REQUIRED[row_type]]
    fields += [pa.field(name, kind) for name, kind in OPTIONAL[row_type] if name in optional]
    return pa.schema(fields, metadata={"tapewatch.type": row_type.label, "tapewatch.version": CONTRACT_VERSION})


@lru_cache
def numpy_dtype(kind: pa.DataType) -> np.dtype[Any]:
    """The numpy dtype that `Rows` holds for an Arrow column type: int64 for times, float64 [rows, 10] for levels,
    object for text.
    """
    if pa.types.is_dictionary(kind):
        return np.dtype(np.int32)
    if pa.types.is_timestamp(kind):
        return np.dtype(np.int64)
    if pa.types.is_fixed_size_list(kind):
        return np.dtype(np.float64)
    if pa.types.is_string(kind):
        return np.dtype(object)
    dtype: np.dtype[Any] = np.dtype(kind.to_pandas_dtype())
    return dtype


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one type in columns.

    instruments : the dictionary; `columns["instrument"]` holds int32 codes into it
    columns : name -> array[rows] (levels: float64[rows, 10]); times int64 UTC nanoseconds; text columns object arrays
    of str
    """

    type: RowType
    instruments: Sequence[str]
    columns: dict[str, Column]

    def __len__(self) -> int:
        return len(self.columns["ts_recv"])

    @property
    def ts_recv(self) -> npt.NDArray[np.int64]:
        """Receipt times, int64[rows]."""
        return self.columns["ts_recv"]

    def take(self, index: Any) -> "Rows":
        """The rows at `index` (slice, integer or boolean array)."""
        return Rows(self.type, self.instruments, {name: column[index] for name, column in self.columns.items()})


def heartbeat_rows(times: npt.NDArray[np.int64]) -> Rows:
    """STATUS rows of `*`, kind HEARTBEAT, at the given times (UTC nanoseconds)."""
    count = len(times)
    columns: dict[str, Column] = {
        "instrument": np.zeros(count, dtype=np.int32),
        "ts_event": times,
        "ts_recv": times,
        "kind": np.full(count, int(StatusKind.HEARTBEAT), dtype=np.int8),
        "detail": np.full(count, "", dtype=object),
    }
    return Rows(RowType.STATUS, (EVERY_INSTRUMENT,), columns)


@dataclass(frozen=True, slots=True)
class Chunk:
    """All rows of a source with ts_recv < end_ns that no earlier chunk had. Each `Rows` is in receipt order (ts_recv
    never decreases).
    """

    end_ns: int
    rows: list[Rows] = field(default_factory=list)


class RowSource(Protocol):
    """A recording or a market simulator: reference data, then chunks in time order.

    fingerprint : hash of what the rows are a function of (file content, parser version, settings, seed)
    """

    @property
    def fingerprint(self) -> str:
        """Hash of file content, parser version and settings."""
        ...

    @property
    def instruments(self) -> Sequence[Instrument]:
        """Reference data to register before the first row is sent."""
        ...

    def chunks(self) -> Iterator[Chunk]:
        """The rows, from the start each time it is called, in bounded memory."""
        ...
