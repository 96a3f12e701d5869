"""The source `kiwoom-history`: minute bars of the past, page by page, into a feed of their own."""

import argparse
import asyncio
from collections.abc import Callable
from typing import Any

from producers.base.http import Http, TokenBucket
from producers.venues.bar_history import configure_history, follow_history, symbols_of
from producers.venues.kiwoom.charts import KiwoomCharts, instrument
from producers.venues.kiwoom.client import KiwoomClient, keys
from producers.venues.kiwoom.source import MINUTES
from tapewatch.clock import WALL
from tapewatch.settings import Settings

FEED = "kiwoom-history"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = "example: tapewatch produce kiwoom-history --symbols 005930,000660.XKRX --since 2026-01-02"
    configure_history(parser, FEED)
    parser.add_argument("--minutes", type=int, choices=MINUTES, default=1, help="length of a bar (default: 1)")


async def pull(
    settings: Settings, args: argparse.Namespace, stop: asyncio.Event, say: Callable[[str], None]
) -> dict[str, Any]:
    """Fetch what is new."""
    venue = settings.venues.kiwoom
    named = dict(_named(symbol) for symbol in symbols_of(args))
    http = Http(settings.produce, venue.rest, bucket=TokenBucket(venue.per_second, 1.0))
    try:
        charts = KiwoomCharts(KiwoomClient(http, *keys(venue), WALL), args.minutes)
        fresh = [instrument(code, name.rpartition(".")[2]) for code, name in named.items()]
        return await follow_history(settings, args, FEED, fresh, named, charts.since, args.minutes * 60, stop, say)
    finally:
        await http.close()


def _named(text: str) -> tuple[str, str]:
    """Kiwoom's code and our id: 005930 is of KOSPI unless the id says otherwise."""
    code, _, market = text.partition(".")
    return code, f"{code}.{market or 'XKRX'}"
