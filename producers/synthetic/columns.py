"""What the kernels wrote, as the contract's rows: by receipt time, prices from the tick grid."""

from typing import Any

import numpy as np
import numpy.typing as npt

from producers.synthetic.reference import Universe
from tapewatch.rows import Rows, RowType, StatusKind

Records = npt.NDArray[Any]
Random = np.random.Generator
Status = tuple[int, int, StatusKind, str]
"""Time in ns, instrument, kind, detail."""


def _by_time(records: Records) -> Records:
    return records[np.argsort(records["ts"], kind="stable")]


def _common(records: Records, latency_us: float, rng: Random) -> dict[str, npt.NDArray[Any]]:
    ts = records["ts"].copy()
    latency = np.exp(0.4 * rng.standard_normal(len(ts))) * (latency_us * 1000.0)
    return {"instrument": records["instrument"].copy(), "ts_event": ts - latency.astype(np.int64), "ts_recv": ts}


def _units(universe: Universe, lots: npt.NDArray[Any], instrument: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Lots as quantities."""
    whole = (lots * universe.arrays["lot"][instrument]).astype(np.float64)
    return np.asarray(whole / universe.arrays["parts"][instrument])


def status_rows(universe: Universe, statuses: list[Status], latency_ns: int) -> Rows:
    """Status rows of one second."""
    ordered = sorted(statuses, key=lambda status: status[:2])
    ts = np.array([status[0] for status in ordered], dtype=np.int64)
    detail = np.empty(len(ordered), dtype=object)
    detail[:] = [status[3] for status in ordered]
    columns: dict[str, npt.NDArray[Any]] = {
        "instrument": np.array([status[1] for status in ordered], dtype=np.int32),
        "ts_event": ts - latency_ns,
        "ts_recv": ts,
        "kind": np.array([status[2] for status in ordered], dtype=np.int8),
        "detail": detail,
    }
    return Rows(RowType.STATUS, universe.ids, columns)


def trade_rows(
    universe: Universe, records: Records, latency_us: float, rng: np.random.Generator, first_id: int
) -> Rows:
    """Trade rows of one second; trade ids count up from `first_id`."""
    records = _by_time(records)
    ids = np.empty(len(records), dtype=object)
    ids[:] = [str(number) for number in range(first_id, first_id + len(records))]
    columns = _common(records, latency_us, rng) | {
        "price": universe.grid[records["price"]],
        "qty": _units(universe, records["lots"], records["instrument"]),
        "aggressor_side": records["side"].copy(),
        "condition": records["condition"].copy(),
        "trade_id": ids,
    }
    return Rows(RowType.TRADE, universe.ids, columns)


def quote_rows(universe: Universe, records: Records, latency_us: float, rng: Random) -> Rows:
    """Quote rows of one second."""
    records = _by_time(records)
    columns = _common(records, latency_us, rng) | {
        "bid_price": universe.grid[records["bid"]],
        "bid_qty": _units(universe, records["bid_lots"], records["instrument"]),
        "ask_price": universe.grid[records["ask"]],
        "ask_qty": _units(universe, records["ask_lots"], records["instrument"]),
        "last_price": universe.grid[records["last"]],
        "volume": _units(universe, records["volume"], records["instrument"]),
    }
    return Rows(RowType.QUOTE, universe.ids, columns)


def book_rows(universe: Universe, records: Records, latency_us: float, rng: Random) -> Rows:
    """Book rows of one second."""
    order = np.argsort(records["ts"], kind="stable")
    narrow = records[["instrument", "ts"]][order]
    ladder = records["ladder"][order]
    of = narrow["instrument"][:, None]
    columns = _common(narrow, latency_us, rng) | {
        "sequence": records["sequence"][order],
        "bid_price": universe.grid[ladder[:, 0, 0]],
        "bid_qty": _units(universe, ladder[:, 0, 1], of),
        "ask_price": universe.grid[ladder[:, 1, 0]],
        "ask_qty": _units(universe, ladder[:, 1, 1], of),
    }
    return Rows(RowType.BOOK, universe.ids, columns)
