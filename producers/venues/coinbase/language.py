"""How Coinbase is asked: one message a channel for many products; all of them on one connection."""

from collections.abc import Sequence

import msgspec

from producers.base.answers import Answer
from producers.base.decoder import DecoderRequest
from producers.base.http import Http
from producers.base.universe import Listing
from producers.venues.coin import exact_or_nan
from producers.venues.coinbase.messages import PRODUCTS, ListedProduct
from producers.venues.spoken import Limits
from tapewatch.clock import NANOS
from tapewatch.contract.instruments import Instrument, Tick, is_instrument_id

CHANNELS = ("market_trades", "level2", "ticker", "status")
SNAPSHOTS = ("market_trades", "level2")
"""Channels that begin with a snapshot."""
PRODUCTS_A_MESSAGE = 100
TRADES = 1_000


class CoinbaseProtocol:
    """Requests and subscriptions. Sequence numbers count per connection, hence one connection for everything."""

    limits = Limits(requests=(8.0, 8.0), connects=(4.0, 4.0), messages=(6.0, 6.0), symbols=10_000, beats=True)

    async def listed(self, web: Http) -> list[Listing]:
        """All spot products; those that are another name of a product are left out."""
        answer = await web.get("/api/v3/brokerage/market/products", {"product_type": "SPOT"})
        return [
            _listing(product)
            for product in PRODUCTS.decode(answer.body).products
            if product.product_type == "SPOT"
            and not product.alias
            and is_instrument_id(f"{product.product_id}.COINBASE")
        ]

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        """Heartbeats first: without them quiet channels are closed."""
        return ['{"type":"subscribe","channel":"heartbeats"}', *_messages("subscribe", CHANNELS, symbols)]

    def change(self, carried: Sequence[str], joining: Sequence[str], leaving: Sequence[str]) -> list[str]:
        """Leave some products and join others."""
        return [*_messages("unsubscribe", CHANNELS, leaving), *_messages("subscribe", CHANNELS, joining)]

    def again(self, carried: Sequence[str], symbol: str) -> list[str]:
        """Leave one product's channels and join them again, for their snapshots."""
        return [*_messages("unsubscribe", SNAPSHOTS, [symbol]), *_messages("subscribe", SNAPSHOTS, [symbol])]

    async def trades(self, web: Http, want: DecoderRequest) -> Answer:
        """The latest trades since the second before the hole."""
        params = {"limit": str(TRADES)}
        if want.start > 0:
            params["start"] = str(want.start // NANOS)
        return await web.get(f"/api/v3/brokerage/market/products/{want.symbol}/ticker", params, want=want)


def _messages(kind: str, channels: Sequence[str], products: Sequence[str]) -> list[str]:
    return [
        msgspec.json.encode({"type": kind, "channel": channel, "product_ids": list(part)}).decode()
        for channel in channels
        for start in range(0, len(products), PRODUCTS_A_MESSAGE)
        if (part := products[start : start + PRODUCTS_A_MESSAGE])
    ]


def _listing(product: ListedProduct) -> Listing:
    tick = exact_or_nan(product.price_increment or product.quote_increment)
    lot = exact_or_nan(product.base_increment)
    instrument = Instrument(
        id=f"{product.product_id}.COINBASE",
        name=product.display_name or product.product_id,
        currency=product.quote_currency_id,
        kind="spot",
        ticks=(Tick(0.0, tick),) if tick > 0.0 else (),
        lot=lot if lot > 0.0 else 1.0,
    )
    halted = product.trading_disabled or product.is_disabled or product.view_only or product.auction_mode
    turnover = exact_or_nan(product.approximate_quote_24h_volume)
    traits = {"base": product.base_currency_id, "quote": product.quote_currency_id, "status": product.status}
    trading = product.status == "online" and not halted
    return Listing(product.product_id, instrument, turnover if turnover > 0.0 else 0.0, trading, traits)
