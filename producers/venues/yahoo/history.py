"""The source `yahoo-history`: bars of the past days within Yahoo's limits, into a feed of their own."""

import argparse
import asyncio
from collections.abc import Callable, Iterator
from typing import Any

from producers.base.answers import HttpError
from producers.base.http import Http, TokenBucket
from producers.venues.bar_history import configure_history, follow_history, symbols_of
from producers.venues.bars import Bar
from producers.venues.yahoo.chart import Chart, ChartError, interval_seconds, parse_chart
from producers.venues.yahoo.symbols import INTRADAY_DAYS, chart, instrument, yahoo_symbol
from tapewatch.clock import NANOS, WALL
from tapewatch.settings import Settings

SOURCE = "yahoo-history"
DAY_NS = 86_400 * NANOS
REACH_DAYS = {"1m": 30}
"""How far back an interval goes, where that is further than one request."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = "example: tapewatch produce yahoo-history --symbols AAPL --since 2026-01-02 --interval 1m"
    configure_history(parser, SOURCE)
    parser.add_argument("--interval", choices=sorted(INTRADAY_DAYS), default="1m", help="length of a bar (default: 1m)")


def windows(interval: str, start: int, now: int) -> Iterator[tuple[int, int]]:
    """Begin and end of each request for the bars of [start, now), oldest first, as far back as Yahoo goes."""
    reach = REACH_DAYS.get(interval, INTRADAY_DAYS[interval])
    # A few minutes less than the reach: it counts from when the request arrives.
    begin = max(start, now - reach * DAY_NS + 600 * NANOS)
    while begin < now:
        end = min(begin + INTRADAY_DAYS[interval] * DAY_NS, now)
        yield begin, end
        begin = end


async def pull(
    settings: Settings, args: argparse.Namespace, stop: asyncio.Event, say: Callable[[str], None]
) -> dict[str, Any]:
    """Fetch what is new."""
    venue = settings.venues.yahoo
    headers = {"User-Agent": venue.user_agent}
    http = Http(settings.produce, venue.rest, bucket=TokenBucket(venue.per_second, 1.0), headers=headers)

    async def one(symbol: str, start: int, end: int) -> tuple[Chart, int]:
        answer = await chart(http, symbol, args.interval, start, end)
        try:
            return parse_chart(answer.body), answer.received or WALL.now()
        except ChartError as error:
            raise HttpError(error.reason, f"{symbol}: {error.detail}", answer.status) from None

    async def fetch(symbol: str, start: int) -> list[Bar]:
        bars: dict[int, Bar] = {}
        for begin, end in windows(args.interval, start, WALL.now()):
            found, received = await one(symbol, begin, end)
            bars |= {bar.opened: bar for bar in found.whole(received)}
        return [bars[opened] for opened in sorted(bars)]

    try:
        fresh = {}
        for symbol in map(yahoo_symbol, symbols_of(args)):
            now = WALL.now()
            fresh[symbol] = instrument((await one(symbol, now - 5 * DAY_NS, now))[0])
        ids = {symbol: each.id for symbol, each in fresh.items()}
        interval_s = interval_seconds(args.interval)
        return await follow_history(settings, args, SOURCE, list(fresh.values()), ids, fetch, interval_s, stop, say)
    finally:
        await http.close()
