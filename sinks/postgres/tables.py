"""The bulk tables as COPY sees them: which columns, in which order, of which width. Migrations make the tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

REVISION = "0010"
"""The schema revision that these tables have; `tapewatch db migrate` makes it."""

DAY = 86_400_000_000_000
INT, BIG, SMALL, REAL, FLOAT = "i4", "i8", "i2", "f4", "f8"


@dataclass(frozen=True)
class Table:
    """A table's columns in the order of COPY: fixed-width ones first, then texts.

    time : the column whose day decides the partition
    fixed : name and numpy kind; texts : names; required : the texts that are never NULL
    """

    name: str
    time: str
    fixed: tuple[tuple[str, str], ...]
    texts: tuple[str, ...] = ()
    required: tuple[str, ...] = ()

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """All names."""
        return (*(name for name, _ in self.fixed), *self.texts)

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """One row of the binary format: the number of fields, then length and big-endian value of each fixed one."""
        fields: list[tuple[str, str]] = [("#", ">i2")]
        for name, kind in self.fixed:
            fields += [(f"#{name}", ">i4"), (name, f">{kind}")]
        return np.dtype(fields)

    @cached_property
    def template(self) -> np.ndarray[Any, Any]:
        """A row with its lengths filled in and values of zero, uint8[width]."""
        row = np.zeros(1, dtype=self.dtype)
        row["#"] = len(self.columns)
        for name, kind in self.fixed:
            row[f"#{name}"] = np.dtype(kind).itemsize
        return row.view(np.uint8)


_KEY = (("instrument_id", INT),)
_TIMES = (*_KEY, ("ts_event_ns", BIG), ("ts_recv_ns", BIG))
_LOG = (("log_id", INT), ("log_offset", BIG))


def _each(kind: str, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Columns of one kind."""
    return tuple((name, kind) for name in names)


BEST = 5
LEVELS = tuple(
    f"{side}_{what}_{level}" for side in ("bid", "ask") for what in ("price", "qty") for level in range(1, BEST + 1)
)

QUOTES = Table(
    "quotes",
    "ts_recv_ns",
    (*_TIMES, *_each(FLOAT, ["bid_price", "bid_qty", "ask_price", "ask_qty", "last_price", "volume"]), *_LOG),
)
TRADES = Table(
    "trades",
    "ts_recv_ns",
    (*_TIMES, *_each(FLOAT, ["price", "qty"]), *_each(SMALL, ["aggressor_side", "condition"]), *_LOG),
    ("trade_id", "buyer_account", "seller_account", "buyer_order_id", "seller_order_id"),
)
BOOKS = Table("books", "ts_recv_ns", (*_TIMES, ("sequence", BIG), *_each(FLOAT, LEVELS), *_LOG))
ORDERS = Table(
    "orders",
    "ts_recv_ns",
    (*_TIMES, *_each(SMALL, ["action", "side"]), *_each(FLOAT, ["price", "qty"]), *_LOG),
    ("order_id", "account", "capacity"),
    ("order_id",),
)
STATUS = Table("status", "ts_recv_ns", (*_TIMES, ("kind", SMALL), *_LOG), ("detail",), ("detail",))
BARS = Table(
    "bars",
    "ts_ns",
    (
        *_KEY,
        *_each(BIG, ["ts_ns", "ts_open_ns"]),
        ("interval_s", INT),
        *_each(FLOAT, ["open", "high", "low", "close", "volume"]),
        ("trades", BIG),
        ("origin", SMALL),
        *_LOG,
    ),
)
SCORES = Table(
    "scores", "ts_ns", (*_KEY, ("ts_ns", BIG), ("model_id", INT), *_each(REAL, ["raw", "probability"]), *_LOG)
)

FEATURE_KEYS = (*_KEY, ("ts_ns", BIG), *_LOG)


def features(names: Sequence[str]) -> Table:
    """The features table with these feature columns; those left out become NULL."""
    return Table("features", "ts_ns", (*FEATURE_KEYS, *_each(REAL, names)))


PARTITIONED = (
    *("quotes", "trades", "books", "orders", "status", "bars", "features", "scores", "signals", "coverage"),
    "own_positions",
    "rankings",
)
"""Tables with a partition a day."""
