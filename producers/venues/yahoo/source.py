"""The source `yahoo`: bars of minutes or hours as they come."""

import argparse
import asyncio
from collections.abc import Callable

from producers.base.answers import Answer
from producers.base.decoder import DecoderRequest
from producers.base.feed_session import FeedSession
from producers.base.http import Http
from producers.base.universe import Listing
from producers.venues.bar_log import latest_bars
from producers.venues.polled import LOOK_BACK_NS, ChartDecoder, ChartPage, NoChartError, PollingConnector, symbols_of
from producers.venues.yahoo.chart import ChartError, interval_seconds, parse_chart
from producers.venues.yahoo.symbols import INTRADAY_DAYS, chart, instrument, merged, yahoo_symbol
from tapewatch.clock import NANOS
from tapewatch.contract import topics
from tapewatch.contract.instruments import Instrument
from tapewatch.errors import TapewatchError
from tapewatch.market_log.registry import Registry
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

FEED = "yahoo"
_DAYS_NS = 5 * 86_400 * NANOS


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what is Yahoo's own."""
    parser.epilog = "example: tapewatch produce yahoo --symbols AAPL,MSFT,2330.TW --calendar XNYS --dry-run"
    parser.add_argument("--interval", choices=sorted(INTRADAY_DAYS), default="1m", help="length of a bar (default: 1m)")
    parser.add_argument(
        "--delayed", type=float, default=0.0, metavar="S", help="how late Yahoo shows these markets (default: 0)"
    )
    parser.add_argument(
        "--calendar", default="", help="exchange (XNYS, XTAI) outside whose sessions no heartbeat is sent"
    )


def connect(settings: Settings, args: argparse.Namespace) -> PollingConnector:
    """Bars as they come. Yahoo lists nothing: --symbols has to say what to follow."""
    wanted = [yahoo_symbol(name) for name in symbols_of(args, args.symbols)]
    if not wanted:
        raise TapewatchError("yahoo lists no symbols", "Name them with --symbols, as in AAPL,2330.TW.")
    interval_s = interval_seconds(args.interval)
    services: list[Http] = []

    def service(station: FeedSession) -> Http:
        if not services:
            venue = settings.venues.yahoo
            headers = {"User-Agent": venue.user_agent}
            services.append(station.http(venue.rest, per_second=venue.per_second, burst=1.0, headers=headers))
        return services[0]

    async def listed(station: FeedSession) -> list[Listing]:
        known = {} if args.dry_run else await asyncio.to_thread(registered, settings)
        found: list[Listing] = []
        for symbol in wanted:
            now = station.now()
            answer = await chart(service(station), symbol, "1d", now - _DAYS_NS, now)
            try:
                fresh = instrument(parse_chart(answer.body))
            except ChartError as error:
                station.log.warning("not listed", symbol=symbol, reason=error.reason, detail=error.detail)
                continue
            found.append(Listing(symbol, merged(known.get(fresh.id), fresh)))
        return found

    async def ask(station: FeedSession, want: DecoderRequest) -> Answer:
        now = station.now()
        start = now - LOOK_BACK_NS - int(args.delayed * NANOS) - interval_s * NANOS
        return await chart(service(station), want.symbol, args.interval, start, now, want)

    def parsed(body: bytes, received: int) -> ChartPage:
        return page(body, received, interval_s)

    latest: Callable[[int], dict[str, int]] = (
        (lambda since: {}) if args.dry_run else (lambda since: latest_bars(settings, FEED, since))
    )
    decoder = ChartDecoder(parsed, interval_s, args.delayed)
    return PollingConnector(FEED, args.calendar, decoder, listed, ask, latest, float(min(interval_s, 60)))


def page(body: bytes, received: int, interval_s: int) -> ChartPage:
    """The whole bars of a chart; NoChartError where there is none or it is of another interval."""
    try:
        found = parse_chart(body)
    except ChartError as error:
        raise NoChartError(error.reason, error.detail) from error
    if found.interval_s != interval_s:
        raise NoChartError("wrong_interval", f"{found.interval_s} s")
    return ChartPage(found.whole(received))


def registered(settings: Settings) -> dict[str, Instrument]:
    """What is registered: other sources know more of an instrument, and that stays."""
    kafka.create_topics(settings, topics.shared_topics(settings.topics))
    registry = Registry(settings)
    try:
        registry.refresh()
        return dict(registry.instruments)
    finally:
        registry.close()
