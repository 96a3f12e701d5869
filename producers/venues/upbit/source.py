"""The source `upbit`."""

import argparse

from producers.base.collector import Collector
from producers.venues.spoken import SpokenConnector
from producers.venues.upbit.decoder import UpbitDecoder
from producers.venues.upbit.language import UpbitLanguage
from tapewatch.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Upbit needs no arguments of its own."""


def upbit(settings: Settings, args: argparse.Namespace) -> SpokenConnector:
    """Upbit's KRW markets."""
    return SpokenConnector("upbit", settings.venues.upbit, UpbitLanguage(), UpbitDecoder(Collector()))
