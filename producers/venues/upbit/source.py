"""The source `upbit`."""

import argparse

from producers.base.collector import Collector
from producers.venues.spoken import SubscriptionConnector
from producers.venues.upbit.decoder import UpbitDecoder
from producers.venues.upbit.language import UpbitProtocol
from tapewatch.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Upbit needs no arguments of its own."""


def upbit(settings: Settings, args: argparse.Namespace) -> SubscriptionConnector:
    """Upbit's KRW markets."""
    return SubscriptionConnector("upbit", settings.venues.upbit, UpbitProtocol(), UpbitDecoder(Collector()))
