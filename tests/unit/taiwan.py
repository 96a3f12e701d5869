"""MIS and Yahoo answers made by code, and a decoder to feed them to."""

import json
from typing import Any

from producers.base.collector import Collector
from producers.base.decoder import DecoderRequest
from producers.venues.twse.arbiter import Rules
from producers.venues.twse.decoder import TaiwanDecoder
from producers.venues.twse.instruments import mis_channel, yahoo_symbol
from producers.venues.twse.reports import TAIPEI_OFFSET_NS, local_ns
from tapewatch.clock import NANOS

DAY = "20260302"
TSMC, VACCINE = "2330.XTAI", "6547.ROCO"
BOTH = (TSMC, VACCINE)


def at(time: str, ms: int = 0) -> int:
    """UTC nanoseconds of Taipei's HH:MM:SS on the day of the tests."""
    return local_ns(DAY, time) + ms * 1_000_000


def clock_text(ns: int) -> str:
    """Taipei's HH:MM:SS."""
    seconds = (ns + TAIPEI_OFFSET_NS) // NANOS % 86_400
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def mis_row(instrument: str = TSMC, event: int = 0, **changes: str) -> dict[str, str]:
    """A row of MIS: touch 1,000 to 1,005, 500 lots so far."""
    event = event or at("10:00:00")
    channel = mis_channel(instrument)
    row = {
        "ex": channel[:3],
        "c": instrument.partition(".")[0],
        "n": "台積電",
        "d": DAY,
        "t": clock_text(event),
        "tlong": str(event // 1_000_000),
        "z": "1005.0000",
        "tv": "3",
        "v": "500",
        "a": "1005.0000_1010.0000_1015.0000_1020.0000_1025.0000_",
        "f": "11_12_13_14_15_",
        "b": "1000.0000_995.0000_990.0000_985.0000_980.0000_",
        "g": "21_22_23_24_25_",
        "y": "1000.0000",
        "u": "1100.0000",
        "w": "900.0000",
        "ts": "0",
        "ip": "0",
    }
    return {**row, **changes}


def mis_answer(*rows: dict[str, str], code: str = "0000") -> bytes:
    """An answer of MIS."""
    return json.dumps({"msgArray": list(rows), "rtcode": code, "rtmessage": "OK", "userDelay": 5000}).encode()


def yahoo_quote(instrument: str = TSMC, event: int = 0, **changes: Any) -> dict[str, Any]:
    """A symbol of Yahoo's quote document: touch 1,001 to 1,004, 510,000 shares so far."""
    quote = {
        "symbol": yahoo_symbol(instrument),
        "regularMarketTime": (event or at("10:00:00")) // NANOS,
        "regularMarketPrice": 1004.0,
        "regularMarketVolume": 510_000,
        "bid": 1001.0,
        "ask": 1004.0,
    }
    return {**quote, **changes}


def yahoo_answer(*quotes: dict[str, Any]) -> bytes:
    """Yahoo's quote document."""
    return json.dumps({"quoteResponse": {"result": list(quotes), "error": None}}).encode()


def chart_answer(instrument: str = TSMC, event: int = 0, price: float = 1004.0, volume: int = 510_000) -> bytes:
    """Yahoo's chart, of which the last price counts."""
    meta = {
        "symbol": yahoo_symbol(instrument),
        "currency": "TWD",
        "exchangeTimezoneName": "Asia/Taipei",
        "dataGranularity": "1m",
        "regularMarketTime": (event or at("10:00:00")) // NANOS,
        "regularMarketPrice": price,
        "regularMarketVolume": volume,
    }
    return json.dumps({"chart": {"result": [{"meta": meta, "indicators": {"quote": [{}]}}], "error": None}}).encode()


class Feed:
    """A decoder that watches two instruments in one batch from 09:59:55 on."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.decoder = TaiwanDecoder(Collector(), rules or Rules())
        self.batch = "|".join(mis_channel(instrument) for instrument in BOTH)
        self.decoder.watch(BOTH)
        self.decoder.opened([self.batch], at("09:59:55"))

    def mis(self, received: int, *rows: dict[str, str], code: str = "0000") -> None:
        """An answer of MIS."""
        self.decoder.answer(DecoderRequest("mis", self.batch), mis_answer(*rows, code=code), received)

    def mis_fails(self, received: int, reason: str = "timeout") -> None:
        """A question to MIS without an answer."""
        self.decoder.lost([self.batch], f"mis: {reason}", received)

    def yahoo(self, received: int, *quotes: dict[str, Any]) -> None:
        """An answer of Yahoo."""
        self.decoder.answer(DecoderRequest("yahoo", ""), yahoo_answer(*quotes), received)

    @property
    def quotes(self) -> list[tuple[Any, ...]]:
        """Quote rows so far."""
        return self.decoder.collector.quotes

    @property
    def statuses(self) -> list[tuple[Any, ...]]:
        """Status rows so far."""
        return self.decoder.collector.statuses

    def accounted(self) -> bool:
        """Whether every message ended as a row given, dropped or refused."""
        collector = self.decoder.collector
        ended = self.decoder.given.total() + collector.dropped.total() + collector.refused.total()
        return collector.messages.total() == ended
