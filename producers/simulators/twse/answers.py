"""What MIS and Yahoo answer of a simulated stock."""

from datetime import UTC, datetime, timedelta
from typing import Any

from producers.simulators.twse.market import LOT, StockSnapshot, TaiwanStock, price_text
from tapewatch.clock import NANOS

UNKNOWN = {"tv": "-", "s": "-", "c": "", "z": "-"}


def mis_row(stock: TaiwanStock, shown: StockSnapshot) -> dict[str, str]:
    """A row of msgArray: every value a text, `-` for none, levels joined by `_` with one at the end."""
    at = taipei(shown.at)
    time = f"{at:%H:%M:%S}"
    last = price_text(shown.last) if shown.last else "-"
    row = {
        "@": f"{stock.code}.tw",
        "tv": str(shown.lots) if shown.lots else "-",
        "s": str(shown.lots) if shown.lots else "-",
        "key": f"{stock.market}_{stock.code}.tw_{at:%Y%m%d}",
        "a": _joined([price_text(price) for price, _ in shown.asks]),
        "f": _joined([str(lots) for _, lots in shown.asks]),
        "b": _joined([price_text(price) for price, _ in shown.bids]),
        "g": _joined([str(lots) for _, lots in shown.bids]),
        "c": stock.code,
        "ch": f"{stock.code}.tw",
        "ex": stock.market,
        "d": f"{at:%Y%m%d}",
        "t": time,
        "%": time,
        "tlong": str(shown.at // 1_000_000),
        "ip": "4" if stock.trial else "0",
        "ts": "1" if stock.trial else "0",
        "mt": "000000",
        "i": "24",
        "it": "12",
        "p": "0",
        "n": f"模擬{stock.code}",
        "nf": f"模擬{stock.code}股份有限公司",
        "y": price_text(stock.close),
        "u": price_text(stock.highest),
        "w": price_text(stock.lowest),
        "z": last,
        "v": str(shown.volume) if shown.volume else "-",
    }
    return row | ({"st": stock.halt[0], "rt": stock.halt[1]} if stock.halt[0] else {})


def mis_document(rows: list[dict[str, str]], now: int, code: str = "0000", text: str = "OK") -> dict[str, Any]:
    """The envelope of an answer."""
    at = taipei(now)
    query = {"sysDate": f"{at:%Y%m%d}", "sysTime": f"{at:%H:%M:%S}", "sessionStr": "UserSession", "showChart": False}
    return {"msgArray": rows, "referer": "", "userDelay": 5000, "rtcode": code, "queryTime": query, "rtmessage": text}


def yahoo_quote(stock: TaiwanStock) -> dict[str, Any]:
    """A symbol of the quote document: one level, no sizes."""
    shown = stock.shown
    quote: dict[str, Any] = {
        "symbol": yahoo_symbol(stock),
        "currency": "TWD",
        "marketState": "REGULAR",
        "exchangeDataDelayedBy": 0,
        "regularMarketTime": shown.at // NANOS,
        "regularMarketVolume": shown.volume * LOT,
        "regularMarketPrice": (stock.last or stock.close) / 100,
        "regularMarketPreviousClose": stock.close / 100,
    }
    sides = {"bid": shown.bids, "ask": shown.asks}
    return quote | {name: levels[0][0] / 100 if levels else 0.0 for name, levels in sides.items()}


def chart(stock: TaiwanStock) -> dict[str, Any]:
    """The chart document, of which the last price counts."""
    quote = yahoo_quote(stock)
    names = ("symbol", "currency", "regularMarketTime", "regularMarketVolume", "regularMarketPrice")
    meta = {name: quote[name] for name in names}
    meta |= {"exchangeTimezoneName": "Asia/Taipei", "dataGranularity": "1m", "instrumentType": "EQUITY"}
    return {"chart": {"result": [{"meta": meta, "indicators": {"quote": [{}]}}], "error": None}}


def yahoo_symbol(stock: TaiwanStock) -> str:
    """How Yahoo calls it."""
    return f"{stock.code}.{'TW' if stock.market == 'tse' else 'TWO'}"


def taipei(ns: int) -> datetime:
    """The time in Taipei."""
    return datetime.fromtimestamp(ns / NANOS, UTC) + timedelta(hours=8)


def _joined(texts: list[str]) -> str:
    return "_".join(texts) + "_" if texts else "-"
