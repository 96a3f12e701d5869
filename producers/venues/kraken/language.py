"""How Kraken is asked: one message a channel for many pairs; reference data and past trades by REST."""

from collections.abc import Sequence
from typing import Any

import msgspec

from producers.base.answers import Answer, HttpError
from producers.base.decoder import DecoderRequest
from producers.base.http import Http
from producers.base.universe import Listing
from producers.venues.coin import exact_or_nan
from producers.venues.kraken.messages import ASSET_PAIRS, DAY_TICKERS, AssetPair, DayTicker
from producers.venues.kraken.pair import GONE, instrument_id
from producers.venues.spoken import Limits
from tapewatch.contract.instruments import Instrument, Tick, is_instrument_id

DEPTHS = (10, 25, 100, 500, 1000)
PAIRS_A_MESSAGE = 100
PAGE = 1_000
_OLD_NAMES = {"XBT": "BTC", "XDG": "DOGE"}
"""Assets that the websocket calls otherwise than REST."""


class KrakenProtocol:
    """Requests and subscriptions. depth : levels of the books, one of DEPTHS"""

    limits = Limits(requests=(1.0, 2.0), connects=(0.25, 8.0), messages=(4.0, 8.0), symbols=200, beats=True)

    def __init__(self, depth: int = 10) -> None:
        self._depth = depth
        self._rest_names: dict[str, str] = {}

    async def listed(self, web: Http) -> list[Listing]:
        """All pairs that the websocket knows, ranked by the turnover of 24 hours."""
        pairs = ASSET_PAIRS.decode((await web.get("/0/public/AssetPairs")).body)
        days = DAY_TICKERS.decode((await web.get("/0/public/Ticker")).body)
        errors = pairs.error or days.error
        if errors:
            raise HttpError("server_error", "; ".join(errors)[:200])
        found: list[Listing] = []
        for name, pair in pairs.result.items():
            symbol = socket_name(pair.wsname)
            if pair.wsname and is_instrument_id(instrument_id(symbol)):
                self._rest_names[symbol] = name
                found.append(_listing(symbol, pair, days.result.get(name)))
        return found

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        """Reference data first, since it tells the precision that checksums need."""
        instrument = {"method": "subscribe", "params": {"channel": "instrument", "snapshot": True}}
        return [_text(instrument), *self._messages("subscribe", ("book", "trade", "ticker"), symbols)]

    def change(self, carried: Sequence[str], joining: Sequence[str], leaving: Sequence[str]) -> list[str]:
        """Leave some pairs and join others."""
        channels = ("book", "trade", "ticker")
        return [*self._messages("unsubscribe", channels, leaving), *self._messages("subscribe", channels, joining)]

    def again(self, carried: Sequence[str], symbol: str) -> list[str]:
        """Leave one pair's book and join it again, for its snapshot."""
        return [
            *self._messages("unsubscribe", ("book",), [symbol]),
            *self._messages("subscribe", ("book",), [symbol]),
        ]

    async def trades(self, web: Http, want: DecoderRequest) -> Answer:
        """Trades from a time on, oldest first."""
        pair = self._rest_names.get(want.symbol, want.symbol.replace("/", ""))
        # The venue gives what comes after `since`: a nanosecond before lets trades of that very moment come too.
        params = {"pair": pair, "since": str(max(0, want.start - 1)), "count": str(PAGE)}
        return await web.get("/0/public/Trades", params, want=want)

    def _messages(self, method: str, channels: Sequence[str], symbols: Sequence[str]) -> list[str]:
        texts: list[str] = []
        for channel in channels:
            for start in range(0, len(symbols), PAIRS_A_MESSAGE):
                params: dict[str, Any] = {"channel": channel, "symbol": list(symbols[start : start + PAIRS_A_MESSAGE])}
                if channel == "book":
                    params["depth"] = self._depth
                if method == "subscribe":
                    params["snapshot"] = True
                texts.append(_text({"method": method, "params": params}))
        return texts


def socket_name(wsname: str) -> str:
    """The websocket's name of a pair: XBT/USD is BTC/USD."""
    return "/".join(_OLD_NAMES.get(asset, asset) for asset in wsname.split("/"))


def _text(message: dict[str, Any]) -> str:
    return msgspec.json.encode(message).decode()


def _listing(symbol: str, pair: AssetPair, day: DayTicker | None) -> Listing:
    base, _, quote = symbol.partition("/")
    tick = exact_or_nan(pair.tick_size or f"1e-{pair.pair_decimals}")
    instrument = Instrument(
        id=instrument_id(symbol),
        name=symbol,
        currency=quote,
        kind="spot",
        ticks=(Tick(0.0, tick),) if tick > 0.0 else (),
        lot=float(f"1e-{pair.lot_decimals}"),
    )
    volume, price = (exact_or_nan(column[-1]) if column else 0.0 for column in ((day.v, day.p) if day else ([], [])))
    turnover = volume * price
    traits = {"base": base, "quote": quote, "status": pair.status}
    return Listing(symbol, instrument, turnover if turnover > 0.0 else 0.0, pair.status not in GONE, traits)
