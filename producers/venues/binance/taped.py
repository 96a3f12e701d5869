"""Tapes of Binance's markets, read with the live decoder."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from producers.base.collector import Collector
from producers.base.universe import Listing
from producers.venues.binance.decoder import BinanceDecoder
from producers.venues.decoders import TapeDecoder


def make_decoder(venue: str, collector: Collector, _settings: Mapping[str, Any]) -> TapeDecoder:
    """The decoder of a tape of binance, binance-usdm or binance-coinm."""
    decoder = BinanceDecoder(collector, futures=venue != "binance")

    def follow(listings: Sequence[Listing], _at: int) -> None:
        wanted = {one.symbol: one.instrument.id for one in listings}
        decoder.forget(set(decoder.markets) - set(wanted))
        decoder.watch(wanted.items())

    def opened(symbols: Collection[str], _at: int) -> None:
        decoder.opened(symbols)

    return TapeDecoder(decoder, follow, opened)
