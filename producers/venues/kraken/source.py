"""The source `kraken`."""

import argparse

from producers.base.collector import Collector
from producers.venues.kraken.decoder import KrakenDecoder
from producers.venues.kraken.language import DEPTHS, KrakenLanguage
from producers.venues.spoken import SpokenConnector
from tapewatch.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what is Kraken's own."""
    parser.add_argument(
        "--depth", type=int, choices=DEPTHS, default=DEPTHS[0], help="levels of the books kept (default: 10)"
    )


def kraken(settings: Settings, args: argparse.Namespace) -> SpokenConnector:
    """Kraken's spot pairs."""
    depth = getattr(args, "depth", DEPTHS[0])
    decoder = KrakenDecoder(Collector(), depth=depth)
    connector = SpokenConnector("kraken", settings.venues.kraken, KrakenLanguage(depth), decoder)
    connector.tape_settings["depth"] = depth
    return connector
