"""A recorded market of one instrument and day, as arrays that an injection looks into and adds to."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from producers.recordings import open_recording
from tapewatch.clock import NANOS
from tapewatch.contract.rows import Column, RowType

DAY_NS = 86_400 * NANOS
TYPES = (RowType.TRADE, RowType.QUOTE, RowType.BOOK)
SIDES = (("bid_price", "bid_qty"), ("ask_price", "ask_qty"))

F8 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RecordedMarket:
    """Trades, quotes and books of one instrument in receipt order.

    rows : columns of each type, as in `Rows`, without `instrument`; all three are there and none is empty
    """

    name: str
    instrument: str
    rows: dict[RowType, dict[str, Column]]

    @property
    def trades(self) -> dict[str, Column]:
        """Columns of the trades."""
        return self.rows[RowType.TRADE]

    @property
    def quotes(self) -> dict[str, Column]:
        """Columns of the quotes."""
        return self.rows[RowType.QUOTE]

    @property
    def books(self) -> dict[str, Column]:
        """Columns of the books; levels float64[rows, 10]."""
        return self.rows[RowType.BOOK]

    @property
    def begin(self) -> int:
        """When the first book came, UTC ns."""
        return int(self.books["ts_recv"][0])

    @property
    def end(self) -> int:
        """When the last book came, UTC ns."""
        return int(self.books["ts_recv"][-1])

    @cached_property
    def levels(self) -> int:
        """Levels that are always there on both sides."""
        present = [np.isfinite(self.books[price]).all(axis=0) for price, _ in SIDES]
        return max(1, int(np.cumprod(present[0] & present[1]).sum()))

    @cached_property
    def tick(self) -> float:
        """Smallest step between the prices of neighbouring levels, or of successive touches."""
        prices = self.books["ask_price"]
        steps = np.abs(np.diff(prices, axis=int(self.levels > 1))).ravel()
        smallest = float(np.min(steps[steps > 1e-9], initial=np.inf))
        return float(f"{smallest:.6g}") if np.isfinite(smallest) else 0.01

    @cached_property
    def decimals(self) -> int:
        """Decimals of quantities."""
        sample = np.concatenate([self.trades["qty"][:5_000], self.books["bid_qty"][:2_000, 0]])
        return next((k for k in range(8) if np.allclose(sample, np.round(sample, k), atol=1e-9, rtol=0)), 8)

    @cached_property
    def genuine_qty(self) -> float:
        """Usual size of a genuine order: the mean growth of a level between books of the same prices."""
        grown = []
        for price, qty in SIDES:
            levels, sizes = self.books[price][:, : self.levels], self.books[qty][:, : self.levels]
            same = (levels[1:] == levels[:-1]).all(axis=1)
            change = (sizes[1:] - sizes[:-1])[same]
            grown.append(change[change > 1e-9])
        return float(np.mean(np.concatenate(grown)))

    @cached_property
    def quotes_per_second(self) -> float:
        """Mean rate of quote rows."""
        return len(self.quotes["ts_recv"]) / max(1.0, (self.end - self.begin) / NANOS)

    @cached_property
    def trades_per_second(self) -> float:
        """Mean rate of trades."""
        return len(self.trades["ts_recv"]) / max(1.0, (self.end - self.begin) / NANOS)

    def side_at(self, side: int, ns: int) -> F8:
        """Prices of a side's levels as last received at `ns`, nearest first."""
        row = max(0, int(np.searchsorted(self.books["ts_recv"], ns, side="right")) - 1)
        levels: F8 = self.books[SIDES[side][0]][row, : self.levels]
        return levels

    def touch_at(self, ns: int) -> tuple[float, float]:
        """Best bid and ask of the quotes as last received at `ns`."""
        row = max(0, int(np.searchsorted(self.quotes["ts_recv"], ns, side="right")) - 1)
        return float(self.quotes["bid_price"][row]), float(self.quotes["ask_price"][row])

    def run_over(self, side: int, price: float, begin: int, end: int) -> int:
        """When a resting order of ours would have been traded through: the first quote or trade beyond its price in
        [begin, end); `end` where there is none.
        """
        sign = 1.0 if side == 0 else -1.0
        first = end
        for columns, name in ((self.quotes, SIDES[1 - side][0]), (self.trades, "price")):
            start, stop = np.searchsorted(columns["ts_recv"], [begin, end])
            beyond = sign * (columns[name][start:stop] - price) < -1e-9
            if name != "price":
                beyond |= np.abs(columns[name][start:stop] - price) < 1e-9
            if beyond.any():
                first = min(first, int(columns["ts_recv"][start + int(beyond.argmax())]))
        return first


def recorded_markets(paths: Sequence[Path]) -> list[RecordedMarket]:
    """The markets of some recordings: one for each instrument and UTC day with trades, quotes and books.

    paths : files, or folders; of a folder its Parquet files where it has some, else all its files
    """
    parts: dict[str, dict[RowType, list[dict[str, Column]]]] = {}
    for chunk in open_recording([file for path in paths for file in _files(path)]).chunks():
        for rows in chunk.rows:
            if rows.type not in TYPES:
                continue
            codes = rows.columns["instrument"]
            for code in np.unique(codes).tolist():
                own = rows.take(np.flatnonzero(codes == code))
                columns = {name: column for name, column in own.columns.items() if name != "instrument"}
                parts.setdefault(rows.instruments[code], {}).setdefault(rows.type, []).append(columns)
    markets = []
    for instrument, by_type in sorted(parts.items()):
        if set(by_type) != set(TYPES):
            continue
        joined = {row_type: _joined(by_type[row_type]) for row_type in TYPES}
        markets += _days(instrument, joined)
    return markets


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(path.glob("*.parquet")) or sorted(each for each in path.iterdir() if each.is_file())


def _joined(parts: list[dict[str, Column]]) -> dict[str, Column]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _days(instrument: str, rows: dict[RowType, dict[str, Column]]) -> list[RecordedMarket]:
    found: list[Any] = []
    for day in np.unique(rows[RowType.BOOK]["ts_recv"] // DAY_NS).tolist():
        own = {}
        for row_type, columns in rows.items():
            low, high = np.searchsorted(columns["ts_recv"], [day * DAY_NS, (day + 1) * DAY_NS])
            own[row_type] = {name: column[low:high] for name, column in columns.items()}
        if all(len(columns["ts_recv"]) for columns in own.values()):
            date = np.datetime64(day, "D")
            found.append(RecordedMarket(f"{instrument} {date}", instrument, own))
    return found
