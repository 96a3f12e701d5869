"""Manipulation and its look-alikes, injected into recorded order books: what scenario detectors are judged on."""

from benchmarks.injection.inject import BOOK_SCENARIOS, PRICE_SCENARIOS, LabelledMarket, Plan, inject
from benchmarks.injection.market import RecordedMarket, recorded_markets
from benchmarks.injection.placing import Label, Print, RestingOrder, Script
from benchmarks.injection.write import write_markets

__all__ = [
    "BOOK_SCENARIOS",
    "PRICE_SCENARIOS",
    "Label",
    "LabelledMarket",
    "Plan",
    "Print",
    "RecordedMarket",
    "RestingOrder",
    "Script",
    "inject",
    "recorded_markets",
    "write_markets",
]
