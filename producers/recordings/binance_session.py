"""One market while its Binance recording is read: book, last trade, traded volume, and the rows not yet given out."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from producers.recordings.columns import ABSENT_LEVELS, decimal_float, rows_of
from producers.recordings.depth_sync import DepthSync, Diff, Level, Outcome
from producers.recordings.report import RecordingReport
from tapewatch.rows import BOOK_LEVELS, Condition, Rows, RowType, StatusKind

WAITING_LIMIT = 10_000
"""Depth events kept while a snapshot is awaited; the oldest is refused beyond it."""
LARGEST = 2**63 - 1
LATEST_MS = 9 * 10**12
QUANTITY_DECIMALS = 8
"""Decimals of a quantity at Binance: the running volume is rounded to them, so that it does not drift."""

Texts = list[tuple[str, str]]
UpdateId = Annotated[int, msgspec.Meta(ge=0, le=LARGEST)]


class Frame(msgspec.Struct):
    """A combined-stream frame, or a REST snapshot, which has a `lastUpdateId` instead."""

    stream: str = ""
    data: msgspec.Raw = msgspec.Raw()
    lastUpdateId: int = -1  # noqa: N815


class _Snapshot(msgspec.Struct):
    lastUpdateId: UpdateId  # noqa: N815
    bids: Texts
    asks: Texts
    E: int = 0
    T: int = 0


class _Depth(msgspec.Struct):
    s: str
    E: int
    U: UpdateId
    u: UpdateId
    b: Texts
    a: Texts
    T: int = 0
    pu: int = -1


class _BookTicker(msgspec.Struct):
    s: str
    u: int
    b: str
    B: str
    a: str
    A: str
    T: int = 0
    E: int = 0


class _Trade(msgspec.Struct):
    s: str
    t: int
    p: str
    q: str
    T: int
    m: bool
    X: str = "MARKET"


class RecordRefusedError(Exception):
    """A record that gives no row; `args[0]` is the reason code."""


class BinanceSession:
    """Feeds on lines and collects rows.

    file : name of the file being read, for the report; size : rows collected since the last `take`
    """

    def __init__(self, symbol: str, instrument: str, *, futures: bool, report: RecordingReport) -> None:
        self.file = ""
        self.size = 0
        self._symbol = symbol
        self._instruments = (instrument,)
        self._futures = futures
        self._report = report
        self._book = DepthSync(futures=futures)
        self._had_snapshot = False
        self._last_price = float("nan")
        self._volume = 0.0
        self._newest = 0
        self._rows: dict[RowType, list[tuple[Any, ...]]] = {row_type: [] for row_type in RowType}
        self._frame = msgspec.json.Decoder(Frame)
        self._channels: dict[str, str] = {}
        self._takers: dict[str, tuple[msgspec.json.Decoder[Any], Callable[..., None]]] = {
            "depth": (msgspec.json.Decoder(_Depth), self._depth),
            "book_ticker": (msgspec.json.Decoder(_BookTicker), self._book_ticker),
            "trade": (msgspec.json.Decoder(_Trade), self._trade),
            "snapshot": (msgspec.json.Decoder(_Snapshot), self._snapshot),
        }

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
        while self._book.waiting:
            self._refuse_waiting(self._book.waiting.popleft())

    def take(self) -> list[Rows]:
        """The rows collected, one `Rows` a type."""
        optional = {RowType.TRADE: ("trade_id",)}
        rows = [
            rows_of(row_type, self._instruments, records, optional.get(row_type, ()))
            for row_type, records in self._rows.items()
            if records
        ]
        for records in self._rows.values():
            records.clear()
        self.size = 0
        return rows

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
            kind = {"depth": "depth", "bookTicker": "book_ticker", "trade": "trade"}.get(channel, "other")
            if len(self._channels) < BOOK_LEVELS:
                self._channels[stream] = kind
        return kind

    def _trade(self, trade: _Trade, received: int, _number: int, _line: bytes) -> None:
        if self._futures and trade.X != "MARKET":
            raise RecordRefusedError("not_market_trade")
        event = nanoseconds(trade.T)
        price, qty = decimal_float(trade.p), decimal_float(trade.q)
        self._last_price = price
        self._volume = round(self._volume + qty, QUANTITY_DECIMALS)
        side = -1 if trade.m else 1
        row = (0, event, received, price, qty, side, int(Condition.REGULAR), str(trade.t))
        self._add(RowType.TRADE, row)

    def _book_ticker(self, ticker: _BookTicker, received: int, _number: int, _line: bytes) -> None:
        event = nanoseconds(ticker.T or ticker.E) or received
        touch = (decimal_float(ticker.b), decimal_float(ticker.B), decimal_float(ticker.a), decimal_float(ticker.A))
        self._add(RowType.QUOTE, (0, event, received, *touch, self._last_price, self._volume))

    def _depth(self, depth: _Depth, received: int, number: int, line: bytes) -> None:
        if self._futures and depth.pu < 0:
            raise RecordRefusedError("malformed_record")
        event = nanoseconds(depth.T or depth.E)
        bids, asks = _levels(depth.b), _levels(depth.a)
        self._sync(Diff(depth.U, depth.u, depth.pu, bids, asks, event, self.file, number, line), received, "stale_diff")

    def _snapshot(self, snapshot: _Snapshot, received: int, _number: int, _line: bytes) -> None:
        resync = self._had_snapshot and not self._book.in_step
        event = nanoseconds(snapshot.T or snapshot.E) or received
        again = self._book.snapshot(snapshot.lastUpdateId, _levels(snapshot.bids), _levels(snapshot.asks))
        if again is None:
            raise RecordRefusedError("stale_snapshot")
        stale = self._waiting_reason()
        self._had_snapshot = True
        if resync:
            detail = f"snapshot {snapshot.lastUpdateId}"
            self._add(RowType.STATUS, (0, event, received, int(StatusKind.RESYNC), detail))
        self._add_book(event, received)
        for diff in again:
            self._sync(diff, received, stale)

    def _sync(self, diff: Diff, received: int, stale: str) -> None:
        """Feed an event to the book: a BOOK row, a STATUS row of a gap, a refusal under `stale`, or nothing yet."""
        before = self._book.last_id
        outcome = self._book.diff(diff)
        if outcome is Outcome.APPLIED:
            self._add_book(diff.ts_event, received)
        elif outcome is Outcome.STALE:
            self._report.refuse(diff.file, diff.line, stale, diff.raw)
        elif outcome is Outcome.GAP:
            detail = f"update {diff.first_id} after {before}"
            self._add(RowType.STATUS, (0, diff.ts_event, received, int(StatusKind.GAP), detail))
        elif len(self._book.waiting) > WAITING_LIMIT:
            self._refuse_waiting(self._book.waiting.popleft())

    def _waiting_reason(self) -> str:
        return "gap" if self._had_snapshot else "before_snapshot"

    def _refuse_waiting(self, diff: Diff) -> None:
        self._report.refuse(diff.file, diff.line, self._waiting_reason(), diff.raw)

    def _add_book(self, event: int, received: int) -> None:
        bids, asks = self._book.bids.highest(), self._book.asks.lowest()
        sides = (*_padded(bids), *_padded(asks))
        self._add(RowType.BOOK, (0, event, received, self._book.last_id, *sides))

    def _add(self, row_type: RowType, row: tuple[Any, ...]) -> None:
        self._rows[row_type].append(row)
        self.size += 1


def nanoseconds(stamp: int) -> int:
    """A venue time in milliseconds, or in microseconds where the stream was asked for them, as nanoseconds."""
    if 0 <= stamp < LATEST_MS:
        return stamp * 1_000_000
    if LATEST_MS * 100 < stamp < LATEST_MS * 1_000:
        return stamp * 1_000
    raise RecordRefusedError("malformed_record")


def _levels(texts: Texts) -> list[Level]:
    return [(decimal_float(price), decimal_float(qty)) for price, qty in texts]


def _padded(levels: list[Level]) -> tuple[list[float], list[float]]:
    """Prices and quantities of ten levels; absent ones NaN."""
    absent = ABSENT_LEVELS[len(levels) :]
    return [price for price, _ in levels] + absent, [qty for _, qty in levels] + absent
