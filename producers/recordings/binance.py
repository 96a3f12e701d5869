"""Binance spot and USD-M recordings: `local_ns SPACE json`, combined-stream frames and REST depth snapshots.

One market while its Binance recording is read: lines to rows, by the rules of the live connector.
"""

import re
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from producers.base.collector import Collector
from producers.base.decoder import DecoderRequest
from producers.recordings.files import line_blocks
from producers.recordings.options import RecordingOptions
from producers.recordings.report import RecordingReport
from producers.recordings.series import Blocks, Head, Series
from producers.venues.binance.market import BinanceMarket
from producers.venues.binance.records import (
    LARGEST,
    BookTicker,
    Depth,
    Frame,
    RecordRefusedError,
    Snapshot,
    Trade,
)
from tapewatch.contract.instruments import Instrument, is_instrument_id
from tapewatch.contract.message import UNREADABLE
from tapewatch.contract.rows import BOOK_LEVELS, Rows
from tapewatch.errors import TapewatchError

_CHANNELS = {"depth": "depth", "bookTicker": "book_ticker", "trade": "trade"}


class BinanceSession:
    """Feeds on lines and collects rows.

    file : name of the file being read, for the report; size : rows collected since the last `take`
    """

    def __init__(self, symbol: str, instrument: str, *, futures: bool, report: RecordingReport) -> None:
        self.file = ""
        self._symbol = symbol
        self._report = report
        self._newest = 0
        self._collector = Collector(first=())
        self._wants: deque[DecoderRequest] = deque(maxlen=1)  # a recording answers no question
        code = self._collector.code(instrument)
        self._market = BinanceMarket(symbol, code, self._collector, self._wants, self._refuse, futures=futures)
        self._frame = msgspec.json.Decoder(Frame)
        self._channels: dict[str, str] = {}
        self._takers: dict[str, tuple[msgspec.json.Decoder[Any], Callable[..., None]]] = {
            "depth": (msgspec.json.Decoder(Depth), self._depth),
            "book_ticker": (msgspec.json.Decoder(BookTicker), self._book_ticker),
            "trade": (msgspec.json.Decoder(Trade), self._trade),
            "snapshot": (msgspec.json.Decoder(Snapshot), self._snapshot),
        }

    @property
    def size(self) -> int:
        """Rows that wait to be taken."""
        return self._collector.waiting

    def feed(self, number: int, line: bytes) -> None:
        """Take one line; whatever it is, it ends in the report's records, and in its refusals if it gives nothing."""
        self._report.lines += 1
        try:
            self._take(number, line)
        except RecordRefusedError as refused:
            self._report.refuse(self.file, number, str(refused), line)
        except msgspec.ValidationError:
            self._report.refuse(self.file, number, "malformed_record", line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._report.refuse(self.file, number, "malformed_json", line)
        except ValueError:
            self._report.refuse(self.file, number, "not_exact_float", line)

    def finish(self) -> None:
        """Refuse the depth events for which no snapshot came."""
        self._market.finish()

    def take(self) -> list[Rows]:
        """The rows collected, one `Rows` a type."""
        return self._collector.take()

    def _take(self, number: int, line: bytes) -> None:
        stamp, space, payload = line.partition(b" ")
        if not space or not stamp.isdigit() or not 0 < (received := int(stamp)) <= LARGEST:
            raise RecordRefusedError("malformed_line")
        frame = self._frame.decode(payload)
        if frame.lastUpdateId >= 0:
            kind, body = "snapshot", payload
        else:
            kind, body = self._channel(frame.stream), bytes(frame.data)
        self._report.records[kind] += 1
        if kind not in self._takers:
            raise RecordRefusedError("unsupported_record")
        decoder, taker = self._takers[kind]
        record = decoder.decode(body)
        if getattr(record, "s", self._symbol) != self._symbol:
            raise RecordRefusedError("other_symbol")
        if received < self._newest:
            self._report.stepped_back += 1
            received = self._newest
        self._newest = received
        taker(record, received, number, line)

    def _channel(self, stream: str) -> str:
        """The kind of record a stream carries; `other` for streams that give no rows."""
        kind = self._channels.get(stream)
        if kind is None:
            channel = stream.partition("@")[2].partition("@")[0]
            kind = _CHANNELS.get(channel, "other")
            if len(self._channels) < BOOK_LEVELS:
                self._channels[stream] = kind
        return kind

    def _trade(self, trade: Trade, received: int, _number: int, _line: bytes) -> None:
        self._market.trade(trade, received)

    def _book_ticker(self, ticker: BookTicker, received: int, _number: int, _line: bytes) -> None:
        self._market.book_ticker(ticker, received)

    def _depth(self, depth: Depth, received: int, number: int, line: bytes) -> None:
        self._market.depth(depth, received, (self.file, number), line)

    def _snapshot(self, snapshot: Snapshot, received: int, _number: int, _line: bytes) -> None:
        self._market.snapshot(snapshot, received)

    def _refuse(self, reason: str, origin: tuple[str, int], raw: bytes) -> None:
        self._report.refuse(*origin, reason, raw)


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
