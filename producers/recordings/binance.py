"""Binance spot and USD-M recordings: `local_ns SPACE json`, combined-stream frames and REST depth snapshots."""

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from producers.recordings.binance_session import BinanceSession
from producers.recordings.files import line_blocks
from producers.recordings.options import RecordingOptions
from producers.recordings.report import RecordingReport
from producers.recordings.series import Blocks, Head, Series
from producers.venues.binance.records import Frame
from tapewatch.errors import TapewatchError
from tapewatch.instruments import Instrument, is_instrument_id
from tapewatch.message import UNREADABLE

name = "binance"

_LINE = re.compile(rb"(\d{16,19}) (\{.*)")
_FUTURES = re.compile(rb'"pu":|"e":"bookTicker"|"X":')
_QUOTE_ASSETS = ("USDT", "FDUSD", "USDC", "TUSD", "BUSD", "TRY", "EUR", "BTC", "ETH", "BNB")
LINES_A_READ = 512


class BinanceSeries:
    """Recordings of one symbol and market, one after another: the book goes on over a file's end."""

    def __init__(self, paths: Sequence[Path], symbol: str, *, futures: bool, options: RecordingOptions) -> None:
        self.paths = paths
        self._symbol = symbol
        self._futures = futures
        self._options = options
        self._id = f"{symbol}-PERP.BINANCE" if futures else f"{symbol}.BINANCE"

    @property
    def identity(self) -> str:
        """Kind and instrument."""
        return f"{name} {self._id}"

    @property
    def instruments(self) -> Sequence[Instrument]:
        """The one instrument."""
        currency = next((asset for asset in _QUOTE_ASSETS if self._symbol.endswith(asset)), "")
        kind = "perpetual" if self._futures else "spot"
        return [Instrument(id=self._id, name=self._symbol, currency=currency, kind=kind)]

    def blocks(self, report: RecordingReport) -> Blocks:
        """BOOK, QUOTE, TRADE and STATUS rows."""
        session = BinanceSession(self._symbol, self._id, futures=self._futures, report=report)
        for path in self.paths:
            session.file = path.name
            for first, lines in line_blocks(path, report, LINES_A_READ):
                for number, line in enumerate(lines, first):
                    if line:
                        session.feed(number, line)
                if session.size >= self._options.chunk_rows:
                    yield session.take()
        session.finish()
        yield session.take()


def recognises(head: Head) -> bool:
    """A receipt time in nanoseconds, a space, a JSON object."""
    return _LINE.match(head.text) is not None


def open(heads: Sequence[Head], options: RecordingOptions) -> list[Series]:
    """One series a symbol and market, its files in the order of their first receipt times."""
    groups: dict[tuple[str, bool], list[tuple[int, Path]]] = {}
    for head in heads:
        symbol, futures, start = _market(head)
        groups.setdefault((symbol, futures), []).append((start, head.path))
    return [
        BinanceSeries(
            [path for _, path in sorted(files, key=lambda file: file[0])], symbol, futures=futures, options=options
        )
        for (symbol, futures), files in groups.items()
    ]


def _market(head: Head) -> tuple[str, bool, int]:
    """Symbol, whether USD-M futures, and first receipt time, from a file's first lines."""
    start = -1
    for line in head.text.split(b"\n"):
        found = _LINE.match(line)
        if found is None:
            continue
        start = int(found[1]) if start < 0 else start
        try:
            stream = msgspec.json.decode(found[2], type=Frame).stream
        except UNREADABLE:
            continue
        symbol = stream.partition("@")[0].upper()
        if is_instrument_id(f"{symbol}.BINANCE"):
            return symbol, _FUTURES.search(head.text) is not None, start
    raise TapewatchError(
        f"{head.path.name} names no symbol in its first {len(head.text)} bytes",
        'Give a combined-stream recording, whose frames are {"stream": ..., "data": ...}.',
    )
