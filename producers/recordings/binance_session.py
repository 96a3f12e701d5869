"""One market while its Binance recording is read: lines to rows, by the rules of the live connector."""

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from producers.base.collector import Collector
from producers.base.decoder import DecoderRequest
from producers.recordings.report import RecordingReport
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
from tapewatch.rows import BOOK_LEVELS, Rows

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
