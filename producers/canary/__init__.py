"""Canaries: a small market of our own whose manipulation must be found, on the way that every market takes."""

from producers.canary.running import Canaries, CanaryMarket, CanarySummary, names_by_partition, run_canaries

__all__ = ["Canaries", "CanaryMarket", "CanarySummary", "names_by_partition", "run_canaries"]
