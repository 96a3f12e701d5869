"""Taiwan on loopback: MIS, Yahoo's stand-in quotes, and TWSE's daily reports."""

from producers.simulators.twse.market import TaiwanMarket, TaiwanStock
from producers.simulators.twse.recorded import RecordedMis
from producers.simulators.twse.venue import TaiwanVenue

__all__ = ["RecordedMis", "TaiwanMarket", "TaiwanStock", "TaiwanVenue"]
