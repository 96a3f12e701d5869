"""The source `yahoo-daily`: daily series of shares, indices, futures, currencies and rates as factors."""

import argparse
import asyncio
from collections.abc import Callable
from typing import Any

from producers.base.http import Http, TokenBucket
from producers.base.polling import look_until
from producers.venues.polled import symbols_of
from producers.venues.yahoo.daily import DailySeries, KafkaFactors, ScreenFactors, checked_day
from producers.venues.yahoo.symbols import yahoo_symbol
from tapewatch.clock import WALL
from tapewatch.settings import Settings

USUAL = "^GSPC,^IXIC,^DJI,^SOX,^VIX,^TNX,^TWII,^KS11,^N225,^HSI,ES=F,NQ=F,CL=F,GC=F,TWD=X,KRW=X,JPY=X,EURUSD=X,DX-Y.NYB"
"""Indices, futures, currencies and the ten-year rate that move Taiwan and Korea."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = "example: tapewatch produce yahoo-daily --symbols ^GSPC,TWD=X,2330.TW --since 2010-01-01 --once"
    parser.add_argument("--symbols", default="", metavar="A,B,...", help=f"whose series (default: {USUAL})")
    parser.add_argument(
        "--since", default="2010-01-01", metavar="YYYY-MM-DD", help="first day at the very first start (2010-01-01)"
    )
    parser.add_argument("--every", type=float, default=900.0, metavar="S", help="between two looks (default: 900)")
    parser.add_argument("--once", action="store_true", help="end after one look")


async def pull(
    settings: Settings, args: argparse.Namespace, stop: asyncio.Event, say: Callable[[str], None]
) -> dict[str, Any]:
    """Store what is new until stopped."""
    venue = settings.venues.yahoo
    since = checked_day(args.since)
    asked = [word.strip() for word in args.symbols.split(",") if word.strip()]
    symbols = [yahoo_symbol(word) for word in symbols_of(args, asked) or USUAL.split(",")]
    output = ScreenFactors() if args.dry_run else KafkaFactors(settings, WALL)
    headers = {"User-Agent": venue.user_agent}
    http = Http(settings.produce, venue.rest, bucket=TokenBucket(venue.per_second, 1.0), headers=headers)
    series = DailySeries(http, output, symbols, since, WALL, stop)

    async def look() -> str:
        await series.look()
        return f"yahoo-daily: {len(symbols)} symbols, {series.stored:,} factors stored"

    try:
        await look_until(stop, look, args.every, say, once=args.once)
    finally:
        await http.close()
        await asyncio.to_thread(output.close)
    collector = series.collector
    return {
        "symbols": len(symbols),
        "factors": series.stored,
        "charts": collector.messages["chart"],
        "refused": dict(collector.refused),
        "failures": dict(collector.dropped),
    }
