"""The source `coinbase`."""

import argparse

from producers.base.collector import Collector
from producers.venues.coinbase.decoder import CoinbaseDecoder
from producers.venues.coinbase.language import CoinbaseProtocol
from producers.venues.spoken import SubscriptionConnector
from tapewatch.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Coinbase needs no arguments of its own."""


def coinbase(settings: Settings, args: argparse.Namespace) -> SubscriptionConnector:
    """Coinbase's spot products."""
    decoder = CoinbaseDecoder(Collector())
    return SubscriptionConnector(
        "coinbase", settings.venues.coinbase, CoinbaseProtocol(), decoder, one_left=decoder.one_left
    )
