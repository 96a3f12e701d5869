"""Which decoder reads a venue's tapes."""

import importlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from producers.base.collector import Collector
from producers.base.decoder import Decoder, DecoderRequest
from producers.base.universe import Listing
from tapewatch.errors import TapewatchError

DECODERS: dict[str, str] = {
    "binance": "producers.venues.binance.taped",
    "binance-usdm": "producers.venues.binance.taped",
    "binance-coinm": "producers.venues.binance.taped",
    "upbit": "producers.venues.spoken_taped",
    "coinbase": "producers.venues.spoken_taped",
    "kraken": "producers.venues.spoken_taped",
    "twse": "producers.venues.twse.taped",
    "yahoo": "producers.venues.polled_taped",
    "kiwoom": "producers.venues.polled_taped",
}
"""Venue on the tape, which is the source's name, -> module with `make_decoder`, as below."""


def _not_told(symbols: Collection[str], at: int) -> None:
    """Opened connections mean nothing to most decoders."""


def _no_notes(name: str, want: DecoderRequest | None, reason: str, at: int) -> None:
    """Most connectors tell their decoder nothing else."""


@dataclass(frozen=True, slots=True)
class TapeDecoder:
    """A decoder to play a tape to, made as the live session made its own.

    follow : tells it what is followed from now on, at UTC ns; opened : that a connection carries these symbols
    note : what the connector told it besides: name, want, reason, at
    """

    decoder: Decoder
    follow: Callable[[Sequence[Listing], int], None]
    opened: Callable[[Collection[str], int], None] = _not_told
    note: Callable[[str, DecoderRequest | None, str, int], None] = _no_notes


def make_decoder(venue: str, collector: Collector, settings: Mapping[str, Any]) -> TapeDecoder:
    """The decoder of a venue's tape; TapewatchError for other venues.

    settings : what the decoder depends on besides, as the tape's first line has it: the connector's `tape_settings`
    """
    module = DECODERS.get(venue)
    if module is None:
        raise TapewatchError(
            f"there is no decoder for tapes of {venue!r}", f"Tapes can be read of: {', '.join(sorted(DECODERS))}."
        )
    made: TapeDecoder = importlib.import_module(module).make_decoder(venue, collector, settings)
    return made
