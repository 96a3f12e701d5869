"""Where data can come from: every source that `tapewatch produce` knows, imported when it is asked for."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True, slots=True)
class Source:
    """A source.

    gives : what comes out; needs : what the user has to have; module : holds `configure(parser)` and the functions
    named
    connect : makes a live Connector from settings and arguments; empty for a source that pulls
    pull : `async pull(settings, args, stop, say) -> dict`, a source that fetches what is new and keeps how far it is
    simulator : name in the catalogue of simulators, which is also the venue's section in the settings; empty for none
    """

    gives: str
    module: str
    connect: str = ""
    pull: str = ""
    needs: str = "nothing"
    simulator: str = ""

    def function(self, name: str) -> Any:
        """A function of its module."""
        return getattr(import_module(self.module), name)


_BINANCE = "producers.venues.binance.source"
_TWSE = "producers.venues.twse.source"

SOURCES: dict[str, Source] = {
    "binance": Source("trades, quotes, books of spot", _BINANCE, connect="spot", simulator="binance"),
    "binance-usdm": Source(
        "trades, quotes, books of futures in stablecoins", _BINANCE, connect="usdm", simulator="binance_usdm"
    ),
    "binance-coinm": Source(
        "trades, quotes, books of futures in coins", _BINANCE, connect="coinm", simulator="binance_coinm"
    ),
    "twse": Source("quotes, books of Taiwan's two markets", _TWSE, connect="live", simulator="twse"),
    "twse-daily": Source(
        "Taiwan's daily prices, institutions' net buying, margin balances, as factors",
        "producers.venues.twse.daily_source",
        pull="pull",
        simulator="twse",
    ),
}
