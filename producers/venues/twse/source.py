"""The sources `twse` (live) and `twse-daily` (reports)."""

import argparse

from producers.venues.twse.connector import TwseConnector
from producers.venues.twse.instruments import TWSE, asked_for
from tapewatch.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what is Taiwan's own."""
    parser.add_argument(
        "--around-the-clock", action="store_true", help="ask outside the exchange's sessions too, as with --against sim"
    )


def live(settings: Settings, args: argparse.Namespace) -> TwseConnector:
    """Best five of the exchange and of the over-the-counter market."""
    # However a symbol was written, the universe is asked for its id.
    args.symbols = tuple(asked_for(args.symbols))
    always = getattr(args, "around_the_clock", False) or getattr(args, "against", None) == "sim"
    agent = settings.venues.yahoo.user_agent
    return TwseConnector(settings.venues.twse, args.symbols, calendar="" if always else TWSE, user_agent=agent)
