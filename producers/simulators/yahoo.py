"""Yahoo's chart interface on loopback: nulls, the unfinished bar, restated history, its limits and its errors."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from producers.simulators.answers import json_answer
from producers.simulators.bar_market import SimulatedBar, bar_at, openings
from producers.simulators.catalogue import SimulatorOptions
from producers.simulators.faults import FaultKind
from producers.simulators.server import SimulatorServer
from tapewatch.clock import NANOS

DAY_S = 86_400
INTERVALS = {"1m": 60, "2m": 120, "5m": 300, "15m": 900, "30m": 1_800, "60m": 3_600, "1h": 3_600, "1d": DAY_S}
NULL_EVERY = 17
"""Every so many bars hold nulls, as minutes without a trade do."""
_CLOSE_S = 21 * 3_600
_OPEN_S = 14 * 3_600 + 1_800
_SHORT_REACH = {"1m": (7, 30)}


@dataclass(frozen=True, slots=True)
class Action:
    """A split (value: new shares for an old one) or dividend (value: amount). at : seconds since the epoch"""

    at: int
    kind: str
    value: float


class YahooVenue:
    """The simulated venue. Every symbol trades around the clock in UTC; days have bars from 14:30 to 21:00.

    actions : by symbol; from its time on an action changes the history before it
    shown : bars shown so far by symbol and interval; null_every : every so many bars hold nulls, 0 for none
    """

    name = "yahoo"

    def __init__(self, symbols: Sequence[str], seed: int = 0, *, null_every: int = NULL_EVERY) -> None:
        self.symbols = list(symbols)
        self.actions: dict[str, list[Action]] = {}
        self.shown: Counter[str] = Counter()
        self._seed, self._null_every = seed, null_every

    def addresses(self, http: str, ws: str) -> dict[str, str]:
        """The venue's settings."""
        return {"rest": http}

    def routes(self, server: SimulatorServer) -> Iterable[web.RouteDef]:
        """The chart interface."""

        async def chart(request: web.Request) -> web.StreamResponse:
            return self._chart(server, request)

        return [web.get("/v8/finance/chart/{symbol}", chart)]

    async def run(self, server: SimulatorServer) -> None:
        """Nothing is pushed."""

    def sent(self) -> dict[str, Any]:
        """Bars shown by symbol and interval."""
        return dict(self.shown)

    def bar(self, symbol: str, opened: int) -> SimulatedBar | None:
        """The true bar as it was traded, prices in cents; None where nothing was traded."""
        empty = self._null_every and opened // 60 % self._null_every == 0
        return None if empty else bar_at(symbol, opened, self._seed)

    def _chart(self, server: SimulatorServer, request: web.Request) -> web.Response:
        symbol = request.match_info["symbol"]
        if server.plan.take({FaultKind.DELISTED}, symbol) is not None:
            self.symbols.remove(symbol)
        if symbol not in self.symbols:
            return _failure(404, "Not Found", "No data found, symbol may be delisted")
        name, now = request.query.get("interval", "1d"), server.now() // NANOS
        start, end = int(request.query.get("period1", now - DAY_S)), int(request.query.get("period2", now))
        window, reach = _SHORT_REACH.get(name, (10_000, 10_000))
        if name not in INTERVALS:
            return _failure(422, "Unprocessable Entity", "Invalid input - interval")
        if end - start > window * DAY_S or now - start > reach * DAY_S:
            return _failure(422, "Unprocessable Entity", f"{name} data not available for startTime={start}")
        bars = self._days(symbol, start, end, now) if name == "1d" else self._minutes(symbol, start, end, now, name)
        self.shown[f"{symbol} {name}"] += len(bars)
        return json_answer({"chart": {"result": [self._result(symbol, name, bars, start, now)], "error": None}})

    def _minutes(self, symbol: str, start: int, end: int, now: int, name: str) -> list[tuple[int, SimulatedBar | None]]:
        """Bars of a shorter interval, then the point of the last trade where that is asked for."""
        length = INTERVALS[name]
        found = [(at, self.bar(symbol, at)) for at in openings(start, min(end, now), length)]
        if end >= now and now % length:
            found.append((now, self.bar(symbol, now // length * length)))
        return found

    def _days(self, symbol: str, start: int, end: int, now: int) -> list[tuple[int, SimulatedBar | None]]:
        """Working days, by the opening of their session; the one that runs is there too."""
        days = (day + _OPEN_S for day in openings(start - DAY_S, end, DAY_S))
        return [
            (at, self.bar(symbol, at))
            for at in days
            if start <= at < min(end, now) and datetime.fromtimestamp(at, UTC).weekday() < 5
        ]

    def _result(
        self, symbol: str, name: str, bars: list[tuple[int, SimulatedBar | None]], start: int, now: int
    ) -> dict[str, Any]:
        acted = [action for action in self.actions.get(symbol, []) if action.at <= now]
        quote: dict[str, list[Any]] = {column: [] for column in ("open", "high", "low", "close", "volume")}
        adjusted: list[Any] = []
        for at, bar in bars:
            share = _product(1.0 / action.value for action in acted if action.kind == "split" and at < action.at)
            paid = _product(
                1.0 - action.value / 1e3 for action in acted if action.kind == "dividend" and at < action.at
            )
            for column, values in quote.items():
                raw = None if bar is None else getattr(bar, column)
                scaled = raw if raw is None or column == "volume" else round(raw / 100.0 * share, 4)
                values.append(scaled)
            close = quote["close"][-1]
            adjusted.append(None if close is None else round(close * paid, 4))
        indicators: dict[str, Any] = {"quote": [quote]}
        if name == "1d":
            indicators["adjclose"] = [{"adjclose": adjusted}]
        result: dict[str, Any] = {"meta": _meta(symbol, name, now), "indicators": indicators}
        if bars:
            result["timestamp"] = [at for at, _ in bars]
        events = _events([action for action in acted if action.at >= start])
        return {**result, **({"events": events} if events else {})}


def made(options: SimulatorOptions) -> YahooVenue:
    """The venue from what every simulator understands."""
    return YahooVenue(options.symbols or [f"SIM{number}" for number in range(options.count)], options.seed)


def _meta(symbol: str, name: str, now: int) -> dict[str, Any]:
    today = now // DAY_S * DAY_S
    regular = {"timezone": "UTC", "start": today + _OPEN_S, "end": today + _CLOSE_S, "gmtoffset": 0}
    return {
        "symbol": symbol,
        "currency": "USD",
        "exchangeName": "SNP" if symbol.startswith("^") else "NMS",
        "instrumentType": "INDEX" if symbol.startswith("^") else "EQUITY",
        "exchangeTimezoneName": "UTC",
        "dataGranularity": name,
        "regularMarketTime": now,
        "regularMarketPrice": 100.0,
        "currentTradingPeriod": {"regular": regular},
    }


def _events(actions: Sequence[Action]) -> dict[str, Any]:
    splits = {
        str(action.at): {"date": action.at, "numerator": action.value, "denominator": 1.0}
        for action in actions
        if action.kind == "split"
    }
    dividends = {
        str(action.at): {"date": action.at, "amount": action.value} for action in actions if action.kind == "dividend"
    }
    return {**({"splits": splits} if splits else {}), **({"dividends": dividends} if dividends else {})}


def _failure(status: int, code: str, words: str) -> web.Response:
    return json_answer({"chart": {"result": None, "error": {"code": code, "description": words}}}, status)


def _product(factors: Iterable[float]) -> float:
    found = 1.0
    for factor in factors:
        found *= factor
    return found
