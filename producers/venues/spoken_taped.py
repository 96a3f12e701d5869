"""Tapes of Upbit, Coinbase and Kraken, read with the live decoders."""

from collections.abc import Mapping, Sequence
from typing import Any

from producers.base.collector import Collector
from producers.base.decoder import DecoderRequest
from producers.base.universe import Listing
from producers.venues.coinbase.decoder import CoinbaseDecoder
from producers.venues.decoders import TapeDecoder
from producers.venues.kraken.decoder import KrakenDecoder
from producers.venues.spoken import NEWER_LEFT, OLDER_LEFT, FollowingDecoder
from producers.venues.upbit.decoder import UpbitDecoder


def make_decoder(venue: str, collector: Collector, settings: Mapping[str, Any]) -> TapeDecoder:
    """The decoder of a venue's tape. settings : Kraken's `depth`"""
    decoder: FollowingDecoder
    if venue == "kraken":
        decoder = KrakenDecoder(collector, depth=int(settings.get("depth", 10)))
    else:
        decoder = UpbitDecoder(collector) if venue == "upbit" else CoinbaseDecoder(collector)

    def follow(listings: Sequence[Listing], _at: int) -> None:
        decoder.follow([one.symbol for one in listings])

    def note(name: str, _want: DecoderRequest | None, _reason: str, at: int) -> None:
        if isinstance(decoder, CoinbaseDecoder) and name in (NEWER_LEFT, OLDER_LEFT):
            decoder.one_left(name == NEWER_LEFT, at)

    return TapeDecoder(decoder, follow, note=note)
