"""Binance's REST interface on loopback, with its request weights."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from aiohttp import web

from producers.simulators.answers import json_answer
from producers.simulators.binance.dialect import Dialect

MOST_TRADES = 1_000
PATIENCE = 10
"""Requests over the limit after which the address is banned."""
BAN_S = 120.0


class RestBackend(Protocol):
    """What a simulated market answers. Times in ms; None for a symbol that does not exist"""

    def symbols(self) -> list[dict[str, Any]]:
        """Symbols as in exchangeInfo."""
        ...

    def snapshot(self, symbol: str, limit: int) -> bytes | dict[str, Any] | None:
        """The answer to /depth."""
        ...

    def tickers(self) -> list[dict[str, Any]]:
        """All symbols of /ticker/24hr."""
        ...

    def trades(self, symbol: str, start: int, limit: int) -> list[tuple[int, str, str, int, bool]] | None:
        """Trades from an id on, the latest ones where it is negative: id, price, quantity, time, buyer is the maker."""
        ...


class BinanceRest:
    """The routes of one market. weight : limit a minute, 0 takes the market's own; now : UTC ms"""

    def __init__(self, dialect: Dialect, asked: RestBackend, now: Callable[[], int], weight: int = 0) -> None:
        self._dialect, self._asked, self._now = dialect, asked, now
        self._limit = weight or dialect.weight
        self._window = 0.0
        self._used = 0
        self._over = 0
        self._banned_until = 0.0

    def routes(self) -> Iterable[web.RouteDef]:
        """Paths and their handlers."""
        paths: dict[str, Callable[[web.Request], Any]] = {
            "depth": self._depth,
            "exchangeInfo": self._exchange,
            "ticker/24hr": self._tickers,
            "aggTrades": self._aggregates,
            "historicalTrades": self._trades,
            "time": lambda _: {"serverTime": self._now()},
            "ping": lambda _: {},
        }
        for name, answer in paths.items():
            yield web.get(f"{self._dialect.prefix}/{name}", self._weighed(name, answer))

    def _weighed(
        self, name: str, answer: Callable[[web.Request], Any]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handler(request: web.Request) -> web.Response:
            refused = self._weigh(self._weight(name, request))
            if refused is not None:
                return refused
            try:
                document = answer(request)
            except _RefusedError as error:
                return json_answer({"code": error.code, "msg": error.message}, error.status, self._headers())
            return json_answer(document, 200, self._headers())

        return handler

    def _weight(self, name: str, request: web.Request) -> int:
        if name == "depth":
            limit = _number(request, "limit", 100 if not self._dialect.futures else 500)
            return next((cost for depth, cost in self._dialect.depths.items() if limit <= depth), 250)
        one, all_of_them = self._dialect.weights.get(name, (1, 1))
        return one if "symbol" in request.query else all_of_them

    def _weigh(self, weight: int) -> web.Response | None:
        """Count the weight; a refusal beyond the limit."""
        now = asyncio.get_running_loop().time()
        if now - self._window >= 60.0:
            self._window, self._used, self._over = now, 0, 0
        if now < self._banned_until:
            left = {"Retry-After": str(round(self._banned_until - now) + 1)}
            return json_answer({"code": -1003, "msg": "Way too many requests; IP banned."}, 418, left)
        self._used += weight
        if self._used <= self._limit:
            return None
        self._over += 1
        if self._over > PATIENCE:
            self._banned_until = now + BAN_S
        wait = {"Retry-After": str(round(self._window + 60.0 - now) + 1), **self._headers()}
        return json_answer({"code": -1003, "msg": "Too much request weight used."}, 429, wait)

    def _headers(self) -> dict[str, str]:
        return {"X-MBX-USED-WEIGHT": str(self._used), "X-MBX-USED-WEIGHT-1M": str(self._used)}

    def _depth(self, request: web.Request) -> Any:
        limit = _number(request, "limit", 100 if not self._dialect.futures else 500)
        # The futures take these limits only; spot takes any number up to 5,000.
        if self._dialect.futures and limit not in self._dialect.depths:
            raise _RefusedError(-4021, f"'{limit}' is not valid depth limit.")
        return _existing(self._asked.snapshot(_symbol(request), min(limit, max(self._dialect.depths))))

    def _exchange(self, request: web.Request) -> Any:
        symbols = self._asked.symbols()
        if "symbol" in request.query:
            symbols = [one for one in symbols if one["symbol"] == request.query["symbol"]]
            _existing(symbols or None)
        limit = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": self._limit}
        return {"timezone": "UTC", "serverTime": self._now(), "rateLimits": [limit], "symbols": symbols}

    def _tickers(self, request: web.Request) -> Any:
        tickers = self._asked.tickers()
        if "symbol" not in request.query:
            return tickers
        return _existing(next((one for one in tickers if one["symbol"] == request.query["symbol"]), None))

    def _aggregates(self, request: web.Request) -> Any:
        return [
            {"a": number, "p": price, "q": quantity, "f": number, "l": number, "T": ms, "m": maker}
            | ({} if self._dialect.futures else {"M": True})
            for number, price, quantity, ms, maker in self._fetched(request)
        ]

    def _trades(self, request: web.Request) -> Any:
        if self._dialect.futures and not request.headers.get("X-MBX-APIKEY"):
            raise _RefusedError(-2014, "API-key format invalid.", 401)
        return [
            {"id": number, "price": price, "qty": quantity, "time": ms, "isBuyerMaker": maker}
            | ({} if self._dialect.futures else {"isBestMatch": True})
            for number, price, quantity, ms, maker in self._fetched(request)
        ]

    def _fetched(self, request: web.Request) -> list[tuple[int, str, str, int, bool]]:
        limit = min(_number(request, "limit", 500), MOST_TRADES)
        found = self._asked.trades(_symbol(request), _number(request, "fromId", -1), limit)
        return list(_existing(found))


class _RefusedError(Exception):
    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


def _symbol(request: web.Request) -> str:
    symbol = request.query.get("symbol", "")
    if not symbol:
        raise _RefusedError(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
    return symbol


def _existing(found: Any) -> Any:
    if found is None:
        raise _RefusedError(-1121, "Invalid symbol.")
    return found


def _number(request: web.Request, name: str, usual: int) -> int:
    text = request.query.get(name, str(usual))
    if not text.lstrip("-").isdigit():
        raise _RefusedError(-1100, f"Illegal characters found in parameter '{name}'.")
    return int(text)
