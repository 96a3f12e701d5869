"""A seeded Binance: every symbol's book, trades and best quotes at a given rate of messages."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from aiohttp import WSCloseCode, web

from producers.simulators.binance.rest import DIALECTS, BinanceRest, Dialect
from producers.simulators.binance.streams import BinanceStreams, DecimalTexts, Stream, SymbolFeed
from producers.simulators.faults import FaultKind
from producers.simulators.market import VenueMarket
from producers.simulators.server import SimulatorServer
from tapewatch.errors import TapewatchError

BATCH_S = 0.005
MOST_A_BATCH = 2_000
"""Messages made before the sockets get their turn; what is due beyond them waits for the next batch."""
MILLISECOND = 1_000_000
TICK_DECIMALS = 2
BURST = 3
"""Events of a symbol in a row, as they come in life: a trade, the best quotes and the book after it."""
STUFFING_LASTS_S = 10.0
FLICKERS = 5
"""Large bids that come and go in one batch of messages."""
_TABLE = 64

Event = Callable[[SymbolFeed, int], int]


class BinanceVenue:
    """Messages of all streams that anyone ever subscribed to, whether or not anyone listens now.

    symbols : upper case; dialect : binance, binance_usdm or binance_coinm; rate : messages a second over all streams,
    0 makes none but by `step`; mix : shares of trades, best quotes and depth; depth : levels a side
    stuffing_s : seconds between two episodes of quote stuffing in a symbol, 0 for none; they are counted in `stuffed`
    behind : messages that were due and not made yet; weight : limit of request weight a minute, 0 takes Binance's own
    kept : trades of a symbol that can be fetched, 0 takes what is usual
    """

    def __init__(
        self,
        symbols: Sequence[str],
        *,
        dialect: str = "binance",
        seed: int = 0,
        rate: float = 100.0,
        mix: tuple[float, float, float] = (0.3, 0.5, 0.2),
        depth: int = 50,
        weight: int = 0,
        kept: int = 0,
        stuffing_s: float = 0.0,
    ) -> None:
        if dialect not in DIALECTS:
            raise TapewatchError(f"no Binance market {dialect}", f"Use one of {', '.join(DIALECTS)}.")
        self.dialect = DIALECTS[dialect]
        self.name = self.dialect.name
        self.rate = rate
        self.behind = 0
        self.market = VenueMarket(symbols, seed=seed, depth=depth, tick=TICK_DECIMALS, lot=self.dialect.lot, kept=kept)
        prices = DecimalTexts(TICK_DECIMALS, self.dialect.decimals)
        quantities = DecimalTexts(self.dialect.lot, self.dialect.decimals)
        self.feeds = {
            name: SymbolFeed(book, self.dialect, prices, quantities) for name, book in self.market.books.items()
        }
        self.streams = BinanceStreams(self.dialect, self._make)
        self._mix = mix
        self._weight = weight
        self._stuffing_s = stuffing_s
        self._stuffing: tuple[float, SymbolFeed] | None = None
        self.stuffed: dict[str, int] = {}
        self._table: list[Event] = []
        self._busy: list[SymbolFeed] = []
        self._redraw = False
        self._now: Callable[[], int] = lambda: 0

    def addresses(self, http: str, ws: str) -> dict[str, str]:
        """As in the settings of the venue."""
        return {"rest": http, "stream": ws}

    def routes(self, server: SimulatorServer) -> Iterable[web.RouteDef]:
        """REST and websocket."""
        self._now = lambda: server.now() // MILLISECOND
        answers = _Answers(self, server)
        yield from BinanceRest(self.dialect, answers, self._now, self._weight).routes()
        yield from self.streams.websockets(server)

    async def run(self, server: SimulatorServer) -> None:
        """Make what is due every five milliseconds; what it is behind with it catches up, and says so in `behind`."""
        time = asyncio.get_running_loop().time
        last, owed = time(), 0.0
        stuff_at = last + self._stuffing_s
        while True:
            await asyncio.sleep(BATCH_S)
            now = time()
            owed += (now - last) * self.rate if self._busy else 0.0
            last = now
            count = min(int(owed), MOST_A_BATCH)
            self.behind = int(owed) - count
            if server.plan.due():
                self._misbehave(server)
            if count > 0:
                owed -= self.step(count)
            if self._stuffing_s and now >= stuff_at:
                stuff_at = self._stuff(now, stuff_at)

    def step(self, count: int) -> int:
        """Make messages now, about as many as asked for: an event may give several; how many."""
        made, ms, draw, table, feeds = 0, self._now(), self.market.random.random, self._table, self._busy
        while made < count and feeds:
            feed = feeds[int(draw() * len(feeds))]
            for _ in range(BURST):
                made += table[int(draw() * _TABLE)](feed, ms)
        self.streams.flush()
        return made

    def _stuff(self, now: float, begun: float) -> float:
        """Flood a symbol with quotes that are taken back; when to do so next, by the loop's clock."""
        quoted = [feed for feed in self._busy if feed.tickers]
        if not quoted:
            return now + self._stuffing_s
        if self._stuffing is None:
            feed = quoted[sum(self.stuffed.values()) % len(quoted)]
            self._stuffing = (begun + STUFFING_LASTS_S, feed)
            self.stuffed[feed.book.symbol] = self.stuffed.get(feed.book.symbol, 0) + 1
        until, feed = self._stuffing
        for _ in range(FLICKERS):
            feed.flicker(self._now())
        if feed.depths:
            feed.layer(self._now())
        self.streams.flush()
        if now < until:
            return begun
        self._stuffing = None
        return now + self._stuffing_s

    def settle(self) -> None:
        """Tell every change of the books that was not told, so that a client in step has the true books."""
        for feed in self.feeds.values():
            if feed.depths:
                feed.tell(self._now())
        self.streams.flush()

    def sent(self) -> dict[str, Any]:
        """Messages by stream."""
        return self.streams.sent()

    def delist(self, symbol: str = "") -> str:
        """Trade a symbol no more; which."""
        found = self.market.delist(symbol)
        self._draw_table()
        return found

    def _make(self, name: str) -> Stream | None:
        feed = self.feeds.get(name.partition("@")[0].upper())
        if feed is None:
            return None
        stream = feed.add(name)
        if not self._redraw:
            self._redraw = True  # once for all streams of a command
            asyncio.get_running_loop().call_soon(self._draw_table)
        return stream

    def _draw_table(self) -> None:
        """Events by their shares, over the symbols whose streams anyone asked for."""
        self._redraw = False
        listed = [feed for feed in self.feeds.values() if feed.book.listed]
        wanted: list[tuple[Event, list[SymbolFeed]]] = [
            (SymbolFeed.trade, [feed for feed in listed if feed.trades]),
            (SymbolFeed.ticker, [feed for feed in listed if feed.tickers]),
            (SymbolFeed.depth, [feed for feed in listed if feed.depths]),
        ]
        shares = [share if feeds else 0.0 for share, (_, feeds) in zip(self._mix, wanted, strict=True)]
        total = sum(shares)
        self._table = []
        busy: dict[str, SymbolFeed] = {}
        for share, (event, feeds) in zip(shares, wanted, strict=True):
            if share:
                self._table += [event] * max(1, round(share / total * _TABLE))
                busy |= {feed.book.symbol: feed for feed in feeds}
        self._table = (self._table * 2)[:_TABLE]
        self._busy = list(busy.values())

    def _misbehave(self, server: SimulatorServer) -> None:
        fault = server.plan.take({FaultKind.DELISTED}, " ".join(self.market.symbols))
        if fault is not None:
            self.delist(fault.match)
        fault = server.plan.take({FaultKind.MAINTENANCE})
        if fault is not None:
            self.streams.tell(b'{"e":"serverShutdown","E":%d}' % self._now(), "!serverShutdown")
            asyncio.get_running_loop().call_later(fault.seconds, self._shut)

    def _shut(self) -> None:
        for connection in self.streams.listeners:
            self._closing = asyncio.ensure_future(connection.close(WSCloseCode.GOING_AWAY, "maintenance"))


class _Answers:
    """What the market answers to requests."""

    def __init__(self, venue: BinanceVenue, server: SimulatorServer) -> None:
        self._venue, self._server = venue, server

    def symbols(self) -> list[dict[str, Any]]:
        dialect = self._venue.dialect
        return [_described(feed, dialect) for feed in self._venue.feeds.values()]

    def snapshot(self, symbol: str, limit: int) -> dict[str, Any] | None:
        feed = self._venue.feeds.get(symbol)
        if feed is None:
            return None
        book = feed.book
        old = self._server.plan.take({FaultKind.OLD_SNAPSHOT}, symbol)
        number, bids, asks = feed.old if old is not None else (book.last_id, *book.levels())
        answer = {
            "lastUpdateId": number,
            "bids": [(feed.prices[price].decode(), feed.quantities[lots].decode()) for price, lots in bids[:limit]],
            "asks": [(feed.prices[price].decode(), feed.quantities[lots].decode()) for price, lots in asks[:limit]],
        }
        if self._venue.dialect.futures:
            now = self._server.now() // MILLISECOND
            answer |= {"E": now, "T": now}
        return answer

    def tickers(self) -> list[dict[str, Any]]:
        out = []
        for feed in self._venue.feeds.values():
            book = feed.book
            last, volume = book.price_text(book.best_bid), book.quantity_text(book.volume)
            turnover = f"{float(last) * float(volume):.2f}"
            trades = book.trade_id - book.first_trade_id + 1
            one = {"symbol": book.symbol, "lastPrice": last, "volume": volume, "quoteVolume": turnover, "count": trades}
            out.append(one)
        return out

    def trades(self, symbol: str, start: int, limit: int) -> list[tuple[int, str, str, int, bool]] | None:
        feed = self._venue.feeds.get(symbol)
        if feed is None:
            return None
        return [
            (trade.id, feed.prices[trade.price].decode(), feed.quantities[trade.quantity].decode(), ms, trade.seller)
            for trade, ms in feed.book.fetch(start, limit)
        ]


def _described(feed: SymbolFeed, dialect: Dialect) -> dict[str, Any]:
    """A symbol as in exchangeInfo."""
    symbol, book = feed.book.symbol, feed.book
    pair = dialect.pair(symbol)
    quote = next((asset for asset in ("USDT", "USDC", "FDUSD", "USD", "BTC", "ETH") if pair.endswith(asset)), "USDT")
    out: dict[str, Any] = {
        "symbol": symbol,
        "baseAsset": pair.removesuffix(quote),
        "quoteAsset": quote,
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": book.price_text(1)},
            {"filterType": "LOT_SIZE", "stepSize": book.quantity_text(1), "minQty": book.quantity_text(1)},
        ],
    }
    state = "contractStatus" if dialect.name == "binance_coinm" else "status"
    out[state] = "TRADING" if book.listed else ("SETTLING" if dialect.futures else "BREAK")
    if dialect.futures:
        out |= {"pair": pair, "contractType": "PERPETUAL", "onboardDate": 1_569_398_400_000}
    else:
        out |= {"isSpotTradingAllowed": True, "permissions": ["SPOT"]}
    return out
