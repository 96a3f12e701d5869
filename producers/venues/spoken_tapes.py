"""The decoders of Upbit's, Coinbase's and Kraken's tapes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from producers.base.collector import Collector
from producers.base.universe import Listing
from producers.venues.coinbase.decoder import CoinbaseDecoder
from producers.venues.decoders import Taped
from producers.venues.kraken.decoder import KrakenDecoder
from producers.venues.spoken import FollowingDecoder
from producers.venues.upbit.decoder import UpbitDecoder

_MADE: Mapping[str, Callable[..., FollowingDecoder]] = {
    "upbit": UpbitDecoder,
    "coinbase": CoinbaseDecoder,
    "kraken": KrakenDecoder,
}


def make_decoder(venue: str, collector: Collector, settings: Mapping[str, Any]) -> Taped:
    """The decoder of a venue's tape. settings : depth of Kraken's books"""
    decoder = _MADE[venue](collector, **settings)

    def follow(listings: Sequence[Listing]) -> None:
        decoder.follow([one.symbol for one in listings])

    return Taped(decoder, follow)
