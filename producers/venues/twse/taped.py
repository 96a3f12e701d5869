"""Tapes of the feed `twse`, read with the live decoder and its arbiter."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from producers.base.collector import Collector
from producers.base.decoder import Want
from producers.base.universe import Listing
from producers.venues.decoders import Taped
from producers.venues.twse.arbiter import Rules
from producers.venues.twse.batches import batches
from producers.venues.twse.connector import FAILED, REOPENED, TICKED
from producers.venues.twse.decoder import TaiwanDecoder


def make_decoder(_venue: str, collector: Collector, settings: Mapping[str, Any]) -> Taped:
    """The decoder of a tape. settings : `rules` of its arbiter"""
    decoder = TaiwanDecoder(collector, msgspec.convert(settings.get("rules", {}), Rules))

    def follow(listings: Sequence[Listing], at: int) -> None:
        instruments = [one.instrument.id for one in listings]
        decoder.watch(instruments, batches(instruments), at)

    def note(name: str, want: Want | None, reason: str, at: int) -> None:
        if name == FAILED and want is not None:
            decoder.failed(want, reason, at)
        elif name == REOPENED:
            decoder.arbiter.reopen(at)
        elif name == TICKED:
            decoder.tick(at)

    return Taped(decoder, follow, note=note)
