"""Binance's REST interface on loopback, with its request weights.

In what Binance's three markets differ: paths, limits and the fields of their messages.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from aiohttp import web

from producers.simulators.answers import json_answer
from producers.simulators.server import ConnectionRules

SPOT_RULES = ConnectionRules(ping_s=20.0, pong_s=60.0)
FUTURES_RULES = ConnectionRules(ping_s=180.0, pong_s=600.0)


_ANY = r".*"
_PUBLIC = r".*@(trade|bookTicker|depth(@\d+ms)?)"


@dataclass(frozen=True, slots=True)
class Dialect:
    """One market.

    name : also its struct in the settings' venues; prefix : of REST paths; futures : depth events hold `pu`
    streams : most streams a connection; messages : most incoming messages a second and connection
    weight : request weight a minute; depths : limits that /depth takes, with their weights; weights : of the other
    paths, the whole list's second; lot : decimals of the market's quantities; decimals : written at least
    routes : what streams (a pattern of their names) are sent by which path before /stream and /ws
    trade, aggregate, ticker, depth : messages without the stream's wrapper
    """

    name: str
    prefix: str
    futures: bool
    streams: int
    messages: int
    weight: int
    rules: ConnectionRules
    depths: Mapping[int, int]
    trade: bytes
    aggregate: bytes
    ticker: bytes
    depth: bytes
    lot: int = 3
    decimals: int = 0
    connections: int = 300
    routes: Mapping[str, str] = field(default_factory=lambda: {"": _ANY})
    weights: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def pair(self, symbol: str) -> str:
        """The pair of a COIN-M symbol; elsewhere the symbol."""
        return symbol.partition("_")[0]


# The second filling-in: event time, ids and levels; the first one is the symbol (and COIN-M's pair).
SPOT = Dialect(
    name="binance",
    prefix="/api/v3",
    futures=False,
    streams=1024,
    messages=5,
    weight=6_000,
    rules=SPOT_RULES,
    depths={5: 5, 10: 5, 20: 5, 50: 5, 100: 5, 500: 25, 1000: 50, 5000: 250},
    trade=b'{"e":"trade","E":%%d,"s":"%(s)b","t":%%d,"p":"%%b","q":"%%b","T":%%d,"m":%%b,"M":true}',
    aggregate=b'{"e":"aggTrade","E":%%d,"s":"%(s)b","a":%%d,"p":"%%b","q":"%%b","f":%%d,"l":%%d,"T":%%d,"m":%%b,"M":true}',
    ticker=b'{"u":%%d,"s":"%(s)b","b":"%%b","B":"%%b","a":"%%b","A":"%%b"}',
    depth=b'{"e":"depthUpdate","E":%%d,"s":"%(s)b","U":%%d,"u":%%d,"b":[%%b],"a":[%%b]}',
    decimals=8,
    weights={"exchangeInfo": (20, 20), "ticker/24hr": (2, 80), "aggTrades": (4, 4), "historicalTrades": (25, 25)},
)
_FUTURES_TRADE = b'{"e":"trade","E":%%d,"T":%%d,"s":"%(s)b","t":%%d,"p":"%%b","q":"%%b","X":"MARKET","m":%%b}'
_FUTURES_AGGREGATE = b'{"e":"aggTrade","E":%%d,"a":%%d,"s":"%(s)b","p":"%%b","q":"%%b","f":%%d,"l":%%d,"T":%%d,"m":%%b}'
_FUTURES_WEIGHTS = {"exchangeInfo": (1, 1), "ticker/24hr": (1, 40), "aggTrades": (20, 20), "historicalTrades": (20, 20)}
_FUTURES_DEPTHS = {5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 500: 10, 1000: 20}
_SYMBOL, _SYMBOL_AND_PAIR = b'"s":"%(s)b"', b'"s":"%(s)b","ps":"%(p)b"'
USDM = Dialect(
    name="binance_usdm",
    prefix="/fapi/v1",
    futures=True,
    streams=1024,
    messages=10,
    weight=2_400,
    rules=FUTURES_RULES,
    depths=_FUTURES_DEPTHS,
    trade=_FUTURES_TRADE,
    aggregate=_FUTURES_AGGREGATE,
    ticker=b'{"e":"bookTicker","u":%%d,"s":"%(s)b","b":"%%b","B":"%%b","a":"%%b","A":"%%b","T":%%d,"E":%%d}',
    depth=b'{"e":"depthUpdate","E":%%d,"T":%%d,"s":"%(s)b","U":%%d,"u":%%d,"pu":%%d,"b":[%%b],"a":[%%b]}',
    weights=_FUTURES_WEIGHTS,
    # Every path takes every subscription, and sends what is routed to it.
    routes={"": _PUBLIC, "/public": _PUBLIC, "/market": r".*@aggTrade"},
)
COINM = replace(
    USDM,
    name="binance_coinm",
    prefix="/dapi/v1",
    ticker=USDM.ticker.replace(_SYMBOL, _SYMBOL_AND_PAIR),
    depth=USDM.depth.replace(_SYMBOL, _SYMBOL_AND_PAIR),
    lot=0,
    routes=SPOT.routes,
)
DIALECTS: Mapping[str, Dialect] = {dialect.name: dialect for dialect in (SPOT, USDM, COINM)}


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
