"""Taiwan on loopback: MIS, Yahoo's stand-in quotes, and TWSE's daily reports."""

from producers.simulators.twse.market import TaiwanMarket, TaiwanStock
from producers.simulators.twse.venue import TaiwanVenue

__all__ = ["TaiwanMarket", "TaiwanStock", "TaiwanVenue"]
