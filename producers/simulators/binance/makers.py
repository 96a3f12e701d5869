"""Binance's simulators from what every simulator understands."""

from producers.simulators.binance.venue import BinanceVenue
from producers.simulators.catalogue import SimulatorOptions
from producers.simulators.market import coin_pairs


def spot(options: SimulatorOptions) -> BinanceVenue:
    """Binance spot."""
    return _made("binance", options, "USDT")


def usdm(options: SimulatorOptions) -> BinanceVenue:
    """Binance USD-M futures."""
    return _made("binance_usdm", options, "USDT")


def coinm(options: SimulatorOptions) -> BinanceVenue:
    """Binance COIN-M futures."""
    return _made("binance_coinm", options, "USD_PERP")


def _made(dialect: str, options: SimulatorOptions, quote: str) -> BinanceVenue:
    symbols = options.symbols or coin_pairs(options.count, quote)
    return BinanceVenue(symbols, dialect=dialect, seed=options.seed, rate=options.rate, stuffing_s=options.stuffing_s)
