"""Raw trades around pump-and-dumps: CSV `symbol,timestamp,datetime,side,price,amount,btc_volume` (times in ms)."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from producers.columns import columns_of, exact_column, parsed_lines
from producers.recordings.files import line_blocks
from producers.recordings.options import RecordingOptions
from producers.recordings.report import RecordingReport
from producers.recordings.series import Blocks, Head, Series, never_back
from tapewatch.clock import NANOS
from tapewatch.contract.instruments import Instrument, is_instrument_id
from tapewatch.contract.rows import Column, Condition, Rows, RowType
from tapewatch.errors import TapewatchError

name = "pumps"

HEADER = "symbol,timestamp,datetime,side,price,amount,btc_volume"
LAST_MS = 9_000_000_000_000
_TYPES = {
    "symbol": pa.string(),
    "timestamp": pa.int64(),
    "datetime": pa.string(),
    "side": pa.string(),
    "price": pa.string(),
    "amount": pa.string(),
    "btc_volume": pa.string(),
}
_ANNOUNCED = re.compile(r"_(\d{4}-\d{2}-\d{2})T(\d{2})[.:h](\d{2})")


def announcement_ns(path: Path) -> int | None:
    """The announcement's time in UTC nanoseconds from the file's name (AST_2018-09-07T15.30.csv.gz), else None."""
    found = _ANNOUNCED.search(path.name)
    if found is None:
        return None
    try:
        at = datetime.fromisoformat(f"{found[1]}T{found[2]}:{found[3]}").replace(tzinfo=UTC)
    except ValueError:
        return None
    return int(at.timestamp()) * NANOS


class PumpTrades:
    """The trades of one symbol, from one file or several in time order."""

    def __init__(self, paths: Sequence[Path], symbol: str, options: RecordingOptions) -> None:
        self.paths = paths
        self._symbol = symbol
        self._id = f"{symbol.replace('/', '')}.BINANCE"
        self._options = options

    @property
    def identity(self) -> str:
        """Kind and instrument."""
        return f"{name} {self._id}"

    @property
    def instruments(self) -> Sequence[Instrument]:
        """The one instrument, priced in the asset after the slash."""
        return [Instrument(id=self._id, name=self._symbol, currency=self._symbol.partition("/")[2], kind="spot")]

    def blocks(self, report: RecordingReport) -> Blocks:
        """TRADE rows; venue and receipt time are the trade's, which the file has to the millisecond."""
        newest = 0
        for path in self.paths:
            for first, lines in line_blocks(path, report, self._options.chunk_rows):
                rows = self._rows(path, first, lines, newest, report)
                if len(rows):
                    newest = int(rows.ts_recv[-1])
                    yield [rows]

    def _rows(self, path: Path, first: int, lines: list[bytes], newest: int, report: RecordingReport) -> Rows:
        lines = [line if line != HEADER.encode() else b"" for line in lines]
        table, places = parsed_lines(lines, _TYPES)
        present = sum(map(bool, lines))
        report.lines += present
        report.records["trade"] += present
        times = table["timestamp"].to_numpy()
        price, price_good = exact_column(table["price"])
        amount, amount_good = exact_column(table["amount"])
        buy, sell = (pc.equal(table["side"], side).to_numpy() for side in ("buy", "sell"))
        reasons = np.full(len(lines), "malformed_line", object)
        reasons[places] = ""
        checks: list[tuple[str, Column]] = [
            ("other_symbol", pc.equal(table["symbol"], self._symbol).to_numpy()),
            ("malformed_record", (buy | sell) & (times > 0) & (times < LAST_MS)),
            ("not_exact_float", price_good & amount_good),
        ]
        for reason, good in checks:
            reasons[places[~good]] = reason
        for index in np.flatnonzero(reasons != "").tolist():
            if lines[index]:
                report.refuse(path.name, first + index, reasons[index], lines[index])
        good = reasons[places] == ""
        received = never_back(times[good] * 1_000_000, newest, report)
        columns = columns_of(
            0,
            received,
            price=price[good],
            qty=amount[good],
            aggressor_side=np.where(buy[good], 1, -1).astype(np.int8),
            condition=np.full(len(received), int(Condition.REGULAR), np.int8),
        )
        columns["ts_event"] = times[good] * 1_000_000
        return Rows(RowType.TRADE, (self._id,), columns)


def recognises(head: Head) -> bool:
    """The header tells."""
    return head.first_line == HEADER


def open(heads: Sequence[Head], options: RecordingOptions) -> list[Series]:
    """One series a symbol, its files in the order of their first trades."""
    groups: dict[str, list[tuple[int, Path]]] = {}
    for head in heads:
        symbol, start = _first_trade(head)
        groups.setdefault(symbol, []).append((start, head.path))
    return [
        PumpTrades([path for _, path in sorted(files, key=lambda file: file[0])], symbol, options)
        for symbol, files in groups.items()
    ]


def _first_trade(head: Head) -> tuple[str, int]:
    for line in head.text.decode("utf-8", "replace").splitlines()[1:]:
        cells = line.split(",")
        if (
            len(cells) == len(_TYPES)
            and cells[1].isdigit()
            and is_instrument_id(f"{cells[0].replace('/', '')}.BINANCE")
        ):
            return cells[0], int(cells[1])
    raise TapewatchError(
        f"{head.path.name} holds no trade", "Give a file with at least one whole line below the header."
    )
