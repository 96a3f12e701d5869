"""The source `coinbase`."""

import argparse

from producers.base.collector import Collector
from producers.venues.coinbase.decoder import CoinbaseDecoder
from producers.venues.coinbase.language import CoinbaseLanguage
from producers.venues.spoken import SpokenConnector
from tapewatch.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Coinbase needs no arguments of its own."""


def coinbase(settings: Settings, args: argparse.Namespace) -> SpokenConnector:
    """Coinbase's spot products."""
    decoder = CoinbaseDecoder(Collector())
    return SpokenConnector("coinbase", settings.venues.coinbase, CoinbaseLanguage(), decoder, one_left=decoder.one_left)
