"""Binance on loopback: spot, USD-M and COIN-M."""

from producers.simulators.binance.recording import BinanceRecording
from producers.simulators.binance.rest import DIALECTS, Dialect
from producers.simulators.binance.venue import BinanceVenue

__all__ = ["DIALECTS", "BinanceRecording", "BinanceVenue", "Dialect"]
