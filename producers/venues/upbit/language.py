"""How Upbit is asked: one request names everything a connection carries, and replaces what it carried before."""

import re
from collections.abc import Sequence

import msgspec

from producers.base.answers import Answer
from producers.base.decoder import DecoderRequest
from producers.base.http import Http
from producers.base.universe import Listing
from producers.venues.spoken import Limits
from producers.venues.upbit.decoder import TICKS_A_PAGE
from producers.venues.upbit.messages import MARKETS, TICKERS, Market
from tapewatch.contract.instruments import Instrument, Tick, is_instrument_id

LEVELS = 15
"""Units of a book; the venue knows 1, 5, 15 and 30."""
KRW_TICKS = tuple(
    Tick(price, size)
    for price, size in (
        (0.0, 1e-8),
        (1e-5, 1e-7),
        (1e-4, 1e-6),
        (1e-3, 1e-5),
        (1e-2, 1e-4),
        (0.1, 1e-3),
        (1.0, 0.01),
        (10.0, 0.1),
        (100.0, 1.0),
        (5_000.0, 5.0),
        (10_000.0, 10.0),
        (50_000.0, 50.0),
        (100_000.0, 100.0),
        (500_000.0, 500.0),
        (1_000_000.0, 1_000.0),
    )
)
"""Tick table of KRW markets since 2025-07-31."""
LOT = 1e-8
MARKETS_A_REQUEST = 100
_LEFT = re.compile(r"sec=(\d+)")


class UpbitProtocol:
    """Requests and subscriptions."""

    limits = Limits(
        requests=(8.0, 8.0), connects=(4.0, 4.0), messages=(100.0 / 60.0, 4.0), symbols=100, ping="PING", beats=False
    )

    async def listed(self, web: Http) -> list[Listing]:
        """All KRW markets."""
        markets = MARKETS.decode((await _get(web, "/v1/market/all", {"is_details": "true"})).body)
        krw = [market for market in markets if market.market.startswith("KRW-")]
        turnover: dict[str, float] = {}
        for start in range(0, len(krw), MARKETS_A_REQUEST):
            names = ",".join(market.market for market in krw[start : start + MARKETS_A_REQUEST])
            answer = await _get(web, "/v1/ticker", {"markets": names})
            turnover |= {line.market: line.acc_trade_price_24h for line in TICKERS.decode(answer.body)}
        return [_listing(market, turnover) for market in krw if is_instrument_id(f"{market.market}.UPBIT")]

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        """The one message that names all markets."""
        books = [f"{symbol}.{LEVELS}" for symbol in symbols]
        words: list[dict[str, object]] = [{"ticket": "tapewatch"}, {"type": "orderbook", "codes": books}]
        words += [{"type": kind, "codes": list(symbols)} for kind in ("trade", "ticker")]
        return [msgspec.json.encode([*words, {"format": "DEFAULT"}]).decode()]

    def change(self, carried: Sequence[str], joining: Sequence[str], leaving: Sequence[str]) -> list[str]:
        """The same: it replaces what was asked for before."""
        return self.subscribe(carried)

    def again(self, carried: Sequence[str], symbol: str) -> list[str]:
        """The same: its answer begins with a snapshot of every market."""
        return self.subscribe(carried)

    async def trades(self, web: Http, want: DecoderRequest) -> Answer:
        """Trades, newest first, before the cursor if there is one."""
        params = {"market": want.symbol, "count": str(TICKS_A_PAGE)}
        if want.start >= 0:
            params["cursor"] = str(want.start)
        return await _get(web, "/v1/trades/ticks", params, want)


def _listing(market: Market, turnover: dict[str, float]) -> Listing:
    base = market.market.partition("-")[2]
    instrument = Instrument(
        id=f"{market.market}.UPBIT",
        name=market.english_name or market.korean_name,
        currency="KRW",
        kind="spot",
        ticks=KRW_TICKS,
        lot=LOT,
    )
    warned = bool((market.market_event or {}).get("warning"))
    traits = {"base": base, "quote": "KRW", "warning": "yes" if warned else "no"}
    return Listing(market.market, instrument, turnover.get(market.market, 0.0), True, traits)


async def _get(web: Http, path: str, params: dict[str, str], want: DecoderRequest | None = None) -> Answer:
    """An answer; where it says that the second's requests are used up, nothing more is sent within it."""
    answer = await web.get(path, params, want=want)
    left = _LEFT.search(answer.headers.get("Remaining-Req", ""))
    if left is not None and int(left[1]) == 0:
        web.bucket.hold(1.0)
    return answer
