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
    "upbit": Source(
        "trades, quotes, books of KRW markets", "producers.venues.upbit.source", connect="upbit", simulator="upbit"
    ),
    "coinbase": Source(
        "trades, quotes, books of spot", "producers.venues.coinbase.source", connect="coinbase", simulator="coinbase"
    ),
    "kraken": Source(
        "trades, quotes, books of spot", "producers.venues.kraken.source", connect="kraken", simulator="kraken"
    ),
    "kafka": Source(
        "frames from messages that others write to a topic",
        "producers.venues.bridge.source",
        pull="pull",
        needs="a map file",
    ),
    "news": Source(
        "headlines of cnyes, RSS and Atom, to the topic news",
        "producers.venues.news.source",
        pull="pull",
        simulator="news",
    ),
    "twse": Source("quotes, books of Taiwan's two markets", _TWSE, connect="live", simulator="twse"),
    "twse-daily": Source(
        "Taiwan's daily prices, institutions' net buying, margin balances, as factors",
        "producers.venues.twse.daily_source",
        pull="pull",
        simulator="twse",
    ),
    "yahoo": Source(
        "bars of minutes as they come", "producers.venues.yahoo.source", connect="connect", simulator="yahoo"
    ),
    "yahoo-daily": Source(
        "daily series as factors, splits, dividends",
        "producers.venues.yahoo.daily_source",
        pull="pull",
        simulator="yahoo",
    ),
    "yahoo-history": Source("bars of past days, a feed of their own", "producers.venues.yahoo.history", pull="pull"),
    "kiwoom": Source(
        "Korean minute bars as they come",
        "producers.venues.kiwoom.source",
        connect="connect",
        needs="Kiwoom's keys",
        simulator="kiwoom",
    ),
    "kiwoom-history": Source(
        "Korean minute bars of the past", "producers.venues.kiwoom.history", pull="pull", needs="Kiwoom's keys"
    ),
    "sql": Source(
        "rows of a table that others fill", "producers.venues.sql.command", pull="pull", needs="a database, a map file"
    ),
}
