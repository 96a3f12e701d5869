"""The source `kraken`."""

import argparse

from producers.base.collector import Collector
from producers.venues.kraken.decoder import KrakenDecoder
from producers.venues.kraken.language import DEPTHS, KrakenProtocol
from producers.venues.spoken import SubscriptionConnector
from tapewatch.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what is Kraken's own."""
    parser.add_argument(
        "--depth", type=int, choices=DEPTHS, default=DEPTHS[0], help="levels of the books kept (default: 10)"
    )


def kraken(settings: Settings, args: argparse.Namespace) -> SubscriptionConnector:
    """Kraken's spot pairs."""
    depth = getattr(args, "depth", DEPTHS[0])
    decoder = KrakenDecoder(Collector(), depth=depth)
    connector = SubscriptionConnector("kraken", settings.venues.kraken, KrakenProtocol(depth), decoder)
    connector.tape_settings["depth"] = depth
    return connector
