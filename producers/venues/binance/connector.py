"""Following Binance: combined streams over as many connections as needed, snapshots and lost trades by REST.

Binance's published limits, and how many levels a snapshot asks for within them.

What Binance lists, as instruments of ours.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from producers.base.answers import Answer, HttpError
from producers.base.collector import Collector
from producers.base.decoder import DecoderRequest
from producers.base.feed_session import FeedSession
from producers.base.http import Http, TokenBucket
from producers.base.reconnecting_websocket import ReconnectingWebSocket
from producers.base.universe import Listing
from producers.venues.binance.decoder import BinanceDecoder
from producers.venues.binance.market import FETCHED_TRADES
from tapewatch.contract.instruments import Instrument, Tick, is_instrument_id
from tapewatch.settings.venues import ExchangeSettings


class _Filter(msgspec.Struct):
    filterType: str = ""  # noqa: N815
    tickSize: str = ""  # noqa: N815
    stepSize: str = ""  # noqa: N815


class _Symbol(msgspec.Struct):
    symbol: str
    status: str = ""
    contractStatus: str = ""  # noqa: N815
    contractType: str = ""  # noqa: N815
    baseAsset: str = ""  # noqa: N815
    quoteAsset: str = ""  # noqa: N815
    contractSize: float = 1.0  # noqa: N815
    filters: list[_Filter] = []


class _Exchange(msgspec.Struct):
    symbols: list[_Symbol]


class _Day(msgspec.Struct):
    symbol: str
    quoteVolume: str = "0"  # noqa: N815
    baseVolume: str = "0"  # noqa: N815


_EXCHANGE = msgspec.json.Decoder(_Exchange)
_DAYS = msgspec.json.Decoder(list[_Day])


def instrument_id(symbol: str, perpetual: bool) -> str:
    """Our id: BTCUSDT.BINANCE, BTCUSDT-PERP.BINANCE, BTCUSD-PERP.BINANCE, BTCUSDT_250926.BINANCE."""
    return f"{symbol.removesuffix('_PERP')}-PERP.BINANCE" if perpetual else f"{symbol}.BINANCE"


def listings(exchange: bytes, days: bytes | None) -> list[Listing]:
    """The listings in an exchangeInfo answer, ranked by a 24-hour answer; ids that ours cannot be are left out.

    msgspec.MsgspecError where an answer is none of the kind.
    """
    turnover = {day.symbol: _number(day.quoteVolume) or _number(day.baseVolume) for day in _DAYS.decode(days or b"[]")}
    found = []
    for one in _EXCHANGE.decode(exchange).symbols:
        name = instrument_id(one.symbol, one.contractType == "PERPETUAL")
        if not is_instrument_id(name):
            continue
        kind = "perpetual" if one.contractType == "PERPETUAL" else "future" if one.contractType else "spot"
        steps: dict[str, Any] = {each.filterType: each for each in one.filters}
        tick = _number(getattr(steps.get("PRICE_FILTER"), "tickSize", ""))
        lot = _number(getattr(steps.get("LOT_SIZE"), "stepSize", "")) or 1.0
        instrument = Instrument(
            id=name,
            name=one.symbol,
            currency=one.quoteAsset,
            kind=kind,
            ticks=(Tick(0.0, tick),) if tick else (),
            lot=lot,
        )
        status = one.status or one.contractStatus
        traits = {"base": one.baseAsset, "quote": one.quoteAsset, "status": status, "contract": one.contractType}
        found.append(Listing(one.symbol, instrument, turnover.get(one.symbol, 0.0), status == "TRADING", traits))
    return found


def _number(text: str) -> float:
    """The number; 0 where it is none."""
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if value - value == 0.0 else 0.0


STREAMS_A_CONNECTION = 300
"""Streams on one websocket; the venue allows 1,024, but fewer are lost when one breaks."""
PARAMS_A_MESSAGE = 100
MESSAGES_A_SECOND = 4.0
"""Subscribe messages on one connection; the venue disconnects above 5 (spot) or 10 (futures) a second."""
CONNECTS_A_SECOND = 0.9
"""The venue allows 300 attempts in 5 minutes."""
SNAPSHOTS_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class RestLimits:
    """Paths and weights of one market. minute : weight of REST requests allowed in a minute

    path : of combined streams; paths : of channels that come by another
    keyed : questions that are answered to holders of a key only
    depth : (levels, weight) from the fullest snapshot down; trades : path and weight of trades by id, by question
    """

    prefix: str
    minute: float
    depth: tuple[tuple[int, int], ...]
    trades: dict[str, tuple[str, int]]
    listed: int
    day: int
    keyed: frozenset[str] = frozenset()
    path: str = "/stream"
    paths: Mapping[str, str] = field(default_factory=dict)

    @property
    def pace(self) -> tuple[float, float]:
        """Weight a second, and at once, such that no minute sees more than its limit: what goes out at once counts."""
        burst = self.minute / 4.0
        return (self.minute - burst) / 60.0, burst

    def levels(self, symbols: int) -> tuple[int, int]:
        """Levels and weight of a snapshot such that all symbols have one within a minute, or the least there is."""
        for levels, weight in self.depth:
            if symbols * weight <= self.minute * SNAPSHOTS_WITHIN_S / 60.0:
                return levels, weight
        return self.depth[-1]


SPOT = RestLimits(
    prefix="/api/v3",
    minute=6_000.0,
    depth=((5_000, 250), (1_000, 50), (500, 25), (100, 5)),
    trades={"trades": ("historicalTrades", 25), "aggregates": ("aggTrades", 4)},
    listed=20,
    day=80,
)
USDM = RestLimits(
    prefix="/fapi/v1",
    minute=2_400.0,
    depth=((1_000, 20), (500, 10), (100, 5), (50, 2)),
    trades={"trades": ("historicalTrades", 20), "aggregates": ("aggTrades", 20)},
    listed=1,
    day=40,
    keyed=frozenset({"trades"}),
    # Since April 2026 the path without a route takes subscriptions to aggregate trades and sends none.
    path="/public/stream",
    paths={"aggTrade": "/market/stream"},
)
COINM = replace(USDM, prefix="/dapi/v1", path="/stream", paths={})


QUIET_FROM = 5
"""A connection with that many symbols is never without data for long while the venue is well."""


@dataclass(slots=True)
class Route:
    """Connections to one of the venue's paths. channels : which it carries of each symbol"""

    path: str
    channels: list[str]
    links: list[ReconnectingWebSocket] = field(default_factory=list)

    @property
    def carries_books(self) -> bool:
        """Whether differences of books come this way."""
        return any(channel.startswith("depth") for channel in self.channels)

    def commands(self, method: str, symbols: Sequence[str]) -> list[str]:
        """SUBSCRIBE or UNSUBSCRIBE messages for all channels of some symbols."""
        streams = [f"{symbol.lower()}@{channel}" for symbol in symbols for channel in self.channels]
        return [
            json.dumps({"method": method, "params": streams[start : start + PARAMS_A_MESSAGE], "id": start + 1})
            for start in range(0, len(streams), PARAMS_A_MESSAGE)
        ]


def routes(rest: RestLimits, channels: Sequence[str]) -> list[Route]:
    """The paths by which these channels come, books first."""
    by_path: dict[str, list[str]] = {}
    for channel in sorted(channels, key=lambda name: not name.startswith("depth")):
        by_path.setdefault(rest.paths.get(channel.partition("@")[0], rest.path), []).append(channel)
    return [Route(path, carried) for path, carried in by_path.items()]


class BinanceConnector:
    """One of Binance's markets.

    channels : stream names without the symbol, such as trade, bookTicker, depth@100ms
    """

    calendar = ""

    def __init__(
        self, feed: str, addresses: ExchangeSettings, rest: RestLimits, channels: Sequence[str], *, futures: bool
    ) -> None:
        self.feed = feed
        self.decoder = BinanceDecoder(Collector(), futures=futures)
        self._addresses, self._rest = addresses, rest
        self._routes = routes(rest, channels)
        self._http: Http | None = None
        self._connects = TokenBucket(CONNECTS_A_SECOND, 20.0)
        self._levels = rest.depth[0]
        self._ids: dict[str, str] = {}

    async def listed(self, station: FeedSession) -> list[Listing]:
        """Everything in exchangeInfo, ranked by the turnover of 24 hours."""
        web, prefix = self._web(station), self._rest.prefix
        exchange = await web.get(f"{prefix}/exchangeInfo", weight=self._rest.listed)
        days = await web.get(f"{prefix}/ticker/24hr", weight=self._rest.day)
        try:
            return listings(exchange.body, days.body)
        except msgspec.MsgspecError as error:
            raise HttpError("not_json", f"exchangeInfo is not as expected: {error}") from None

    async def follow(self, station: FeedSession, listed: Sequence[Listing]) -> None:
        """Keep symbols where they are carried; fill up connections and open more for new ones."""
        wanted = {one.symbol: one.instrument.id for one in listed}
        gone = set(self._ids) - set(wanted)
        added = [symbol for symbol in wanted if symbol not in self._ids]
        self._ids = wanted
        self._levels = self._rest.levels(len(wanted))
        self.decoder.watch((symbol, wanted[symbol]) for symbol in added)
        for route in self._routes:
            await self._carry(station, route, added, gone)
        self.decoder.forget(gone)

    async def run(self, station: FeedSession) -> None:
        """Answer the decoder's questions; the links run beside."""
        await station.answer_wants(self.decoder, lambda want: self._ask(station, want))

    async def _carry(self, station: FeedSession, route: Route, added: Sequence[str], gone: set[str]) -> None:
        """Let a route's connections carry symbols more and fewer; open more where they are full."""
        rest = list(added)
        room = max(1, STREAMS_A_CONNECTION // len(route.channels))
        for link in route.links:
            leaving = sorted(link.symbols & gone)
            joining = [rest.pop() for _ in range(min(len(rest), room - len(link.symbols) + len(leaving)))]
            if leaving or joining:
                carried = sorted((link.symbols - gone) | set(joining))
                now = route.commands("UNSUBSCRIBE", leaving) + route.commands("SUBSCRIBE", joining)
                await link.change(carried, route.commands("SUBSCRIBE", carried), now)
                if route.carries_books:
                    self.decoder.opened(joining)
        for start in range(0, len(rest), room):
            self._open(station, route, rest[start : start + room])

    def _open(self, station: FeedSession, route: Route, symbols: Sequence[str]) -> None:
        name = f"{self.feed}-{sum(len(one.links) for one in self._routes) + 1}"

        def opened(_received: int) -> None:
            # A snapshot is of no use before the differences come; but a break of any connection throws books away.
            if route.carries_books or link.connections > 1:
                self.decoder.opened(link.symbols)

        link = ReconnectingWebSocket(
            station,
            name,
            f"{self._addresses.stream}{route.path}",
            self.decoder,
            symbols,
            route.commands("SUBSCRIBE", symbols),
            pace=TokenBucket(MESSAGES_A_SECOND, 1.0),
            connects=self._connects,
            quiet_s=station.produce.stale_s if len(symbols) >= QUIET_FROM else 0.0,
            opened=opened,
        )
        route.links.append(link)
        station.spawn(link.run(), name)

    async def _ask(self, station: FeedSession, want: DecoderRequest) -> Answer:
        """A snapshot, or trades by id."""
        web, prefix = self._http, self._rest.prefix
        if web is None:
            raise HttpError("no_connection", "not started")
        if want.kind == "snapshot":
            levels, weight = self._levels
            params = {"symbol": want.symbol, "limit": str(levels)}
            return await web.get(f"{prefix}/depth", params, weight=weight, want=want)
        if want.kind in self._rest.keyed:
            # No trades: what is missing counts as lost. Asking would be refused for ever.
            return Answer(0, {}, b"[]", station.now(), station.now())
        path, weight = self._rest.trades[want.kind]
        params = {"symbol": want.symbol, "fromId": str(want.start), "limit": str(FETCHED_TRADES)}
        return await web.get(f"{prefix}/{path}", params, weight=weight, want=want)

    def _web(self, station: FeedSession) -> Http:
        if self._http is None:
            per_second, burst = self._rest.pace
            self._http = station.http(self._addresses.rest, per_second=per_second, burst=burst)
        return self._http
