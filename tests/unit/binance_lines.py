"""Binance's messages as lines of a recording."""

import itertools
import json
from typing import Any

UPDATES = itertools.count(1)
START = 1_723_161_254_000_000_000


def diff(first: int, last: int, bids: list[list[str]], asks: list[list[str]], **extra: Any) -> dict[str, Any]:
    data = {"e": "depthUpdate", "E": 1723161254000, "s": "BTCUSDT", "U": first, "u": last, "b": bids, "a": asks} | extra
    return {"stream": "btcusdt@depth@100ms", "data": data}


def snapshot(last: int, bids: list[list[str]], asks: list[list[str]]) -> dict[str, Any]:
    return {"lastUpdateId": last, "bids": bids, "asks": asks}


def trade(number: int, price: str, qty: str, **extra: Any) -> dict[str, Any]:
    data = {"e": "trade", "E": 1723161254001, "s": "BTCUSDT", "t": number, "p": price, "q": qty, "T": 1723161254000}
    return {"stream": "btcusdt@trade", "data": data | {"m": True} | extra}


def ticker(bid: str = "99", ask: str = "101", **extra: Any) -> dict[str, Any]:
    data = {"u": next(UPDATES), "s": "BTCUSDT", "b": bid, "B": "1", "a": ask, "A": "2"} | extra
    return {"stream": "btcusdt@bookTicker", "data": data}


def line(place: int, message: dict[str, Any]) -> bytes:
    return f"{START + place * 1_000_000} {json.dumps(message, separators=(',', ':'))}".encode()
