"""The source `kiwoom`: minute bars as they come."""

import argparse
from collections.abc import Callable

from producers.base.answers import Answer
from producers.base.decoder import DecoderRequest
from producers.base.feed_session import FeedSession
from producers.base.universe import Listing
from producers.venues.bar_log import latest_bars
from producers.venues.kiwoom.charts import KiwoomCharts, parse
from producers.venues.kiwoom.client import KiwoomClient, keys
from producers.venues.polled import ChartDecoder, ChartPage, PollingConnector
from tapewatch.settings import Settings

FEED = "kiwoom"
CALENDAR = "XKRX"
MINUTES = (1, 3, 5, 10, 15, 30, 45, 60)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what is Kiwoom's own."""
    parser.add_argument("--minutes", type=int, choices=MINUTES, default=1, help="length of a bar (default: 1)")


def connect(settings: Settings, args: argparse.Namespace) -> PollingConnector:
    """Minute bars as they come."""
    minutes = int(args.minutes)

    def parsed(body: bytes, received: int) -> ChartPage:
        return parse(body, received, minutes * 60)

    found: list[KiwoomCharts] = []

    def charts(station: FeedSession) -> KiwoomCharts:
        if not found:
            venue = settings.venues.kiwoom
            http = station.http(venue.rest, per_second=venue.per_second, burst=1.0)
            found.append(KiwoomCharts(KiwoomClient(http, *keys(venue), station.clock), minutes))
        return found[0]

    async def ask(station: FeedSession, want: DecoderRequest) -> Answer:
        return await charts(station).newest(station, want)

    async def listed(station: FeedSession) -> list[Listing]:
        return await charts(station).listed(station)

    latest: Callable[[int], dict[str, int]] = (
        (lambda since: {}) if args.dry_run else (lambda since: latest_bars(settings, FEED, since))
    )
    return PollingConnector(FEED, CALENDAR, ChartDecoder(parsed, minutes * 60), listed, ask, latest, minutes * 60.0)
