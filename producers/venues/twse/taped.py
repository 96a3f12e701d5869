"""Tapes of Taiwan's feed, read with the live decoder: answers, questions that failed, and when sessions began."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from producers.base.collector import Collector
from producers.base.universe import Listing
from producers.venues.decoders import TapeDecoder
from producers.venues.twse.arbiter import Rules
from producers.venues.twse.decoder import TaiwanDecoder


def make_decoder(_venue: str, collector: Collector, settings: Mapping[str, Any]) -> TapeDecoder:
    """The decoder of a tape of twse. settings : the arbiter's rules"""
    decoder = TaiwanDecoder(collector, msgspec.convert(dict(settings), Rules))

    def follow(listings: Sequence[Listing], _at: int) -> None:
        decoder.watch(listing.instrument.id for listing in listings)

    return TapeDecoder(decoder, follow, decoder.opened)
