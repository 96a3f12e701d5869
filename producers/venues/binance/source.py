"""The sources `binance`, `binance-usdm` and `binance-coinm`."""

import argparse

from producers.venues.binance.connector import COINM, SPOT, USDM, BinanceConnector
from tapewatch.settings import Settings

_CHANNELS = ("trade", "aggTrade", "bookTicker", "depth")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what is Binance's own."""
    parser.add_argument(
        "--channels",
        default="",
        metavar="A,B",
        help=f"of {', '.join(_CHANNELS)} (default: trade or, for futures, aggTrade; bookTicker; depth)",
    )


def spot(settings: Settings, args: argparse.Namespace) -> BinanceConnector:
    """Binance spot."""
    channels = _channels(args, ("trade", "bookTicker", "depth"))
    return BinanceConnector("binance", settings.venues.binance, SPOT, channels, futures=False)


def usdm(settings: Settings, args: argparse.Namespace) -> BinanceConnector:
    """Futures margined in stablecoins."""
    channels = _channels(args, ("aggTrade", "bookTicker", "depth"))
    return BinanceConnector("binance-usdm", settings.venues.binance_usdm, USDM, channels, futures=True)


def coinm(settings: Settings, args: argparse.Namespace) -> BinanceConnector:
    """Futures margined in the coin."""
    channels = _channels(args, ("aggTrade", "bookTicker", "depth"))
    return BinanceConnector("binance-coinm", settings.venues.binance_coinm, COINM, channels, futures=True)


def _channels(args: argparse.Namespace, usual: tuple[str, ...]) -> list[str]:
    """Stream names; depth means updates every 100 ms."""
    named = [word.strip() for word in getattr(args, "channels", "").split(",") if word.strip()] or list(usual)
    return ["depth@100ms" if channel == "depth" else channel for channel in named]
