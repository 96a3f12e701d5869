"""Tapes of Yahoo's and Kiwoom's charts, read with the live decoder."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from producers.base.collector import Collector
from producers.base.decoder import DecoderRequest
from producers.base.universe import Listing
from producers.venues.decoders import TapeDecoder
from producers.venues.kiwoom.charts import parse
from producers.venues.polled import LATEST, ChartDecoder
from producers.venues.yahoo.source import page


def make_decoder(venue: str, collector: Collector, settings: Mapping[str, Any]) -> TapeDecoder:
    """The decoder of a venue's tape. settings : `interval_s`, `delayed_s`"""
    interval_s = int(settings.get("interval_s", 60))
    read = partial(page if venue == "yahoo" else parse, interval_s=interval_s)
    decoder = ChartDecoder(read, interval_s, float(settings.get("delayed_s", 0.0)), collector)

    def follow(listings: Sequence[Listing], _at: int) -> None:
        decoder.watch({one.symbol: one.instrument.id for one in listings})

    def note(name: str, _want: DecoderRequest | None, reason: str, _at: int) -> None:
        if name == LATEST:
            decoder.bars.latest.update(msgspec.json.decode(reason, type=dict[str, int]))

    return TapeDecoder(decoder, follow, note=note)
