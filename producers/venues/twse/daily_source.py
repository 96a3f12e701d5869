"""The source `twse-daily`: prices, the institutions' net buying and margin balances of each day, as factors."""

import argparse
import asyncio
import sys
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from producers.base.buckets import TokenBucket
from producers.base.factor_outlet import FactorOutlet, KafkaFactorOutlet, ScreenFactorOutlet
from producers.base.http import Http
from producers.base.polling import look_until
from producers.base.sessions import SessionCalendar
from producers.venues.twse.daily_run import DailyRun, only_listed
from producers.venues.twse.instruments import TWSE, asked_for
from producers.venues.twse.reports import DAILY, STOCK_DAY
from producers.venues.twse.roc import taipei_day
from tapewatch.clock import WALL
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

SOURCE = "twse-daily"
PER_SECOND = 0.5
"""TWSE's web site blocks an address that sends more than about three requests in five seconds, for an hour or so."""
USUAL_DAYS = 7


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = "example: tapewatch produce twse-daily --symbols 2330,0050 --since 2024-01-02 --once"
    names = ", ".join([*DAILY, STOCK_DAY.name])
    parser.add_argument("--symbols", default="", metavar="A,B,...", help="whose values (default: all)")
    parser.add_argument("--reports", default=",".join(DAILY), metavar="A,B,...", help=f"of {names}")
    parser.add_argument(
        "--since",
        default="",
        metavar="YYYY-MM-DD",
        help=f"first day at the first start (default: {USUAL_DAYS} days ago)",
    )
    parser.add_argument("--every", type=float, default=300.0, metavar="S", help="between two looks (default: 300)")
    parser.add_argument("--once", action="store_true", help="end when nothing public is missing")


async def pull(
    settings: Settings, args: argparse.Namespace, stop: asyncio.Event, say: Callable[[str], None]
) -> dict[str, Any]:
    """Store what is new until stopped."""
    instruments = only_listed(asked_for(args.symbols.split(",")))
    reports = _reports(args.reports, instruments)
    since = _day(args.since) if args.since else taipei_day(WALL.now()) - timedelta(days=USUAL_DAYS)
    outlet: FactorOutlet = ScreenFactorOutlet(sys.stdout) if args.dry_run else KafkaFactorOutlet(settings, SOURCE)
    web = Http(settings.produce, settings.venues.twse.web, bucket=TokenBucket(PER_SECOND, 1.0))
    run = DailyRun(web, outlet, reports, since, SessionCalendar(TWSE), WALL, instruments)

    async def look() -> str:
        whole = await run.look()
        return f"{SOURCE}: {run.stored:,} factors stored{'' if whole else ', some reports are not out yet'}"

    try:
        await look_until(stop, look, args.every, say, once=args.once)
    finally:
        await web.close()
        await asyncio.to_thread(outlet.close)
    collector = run.decoder.collector
    return {
        "factors": run.stored,
        "series": dict(sorted(run.decoder.given.items())),
        "messages": dict(collector.messages),
        "dropped": dict(collector.dropped),
        "refused": dict(collector.refused),
    }


def _reports(text: str, instruments: list[str]) -> list[str]:
    """Names of reports; TapewatchError for an unknown one, and for months of everything."""
    names = [word.strip() for word in text.split(",") if word.strip()]
    unknown = [name for name in names if name not in DAILY and name != STOCK_DAY.name]
    if unknown or not names:
        raise TapewatchError(f"no report {', '.join(unknown)}", f"Use {', '.join([*DAILY, STOCK_DAY.name])}.")
    if STOCK_DAY.name in names and not instruments:
        raise TapewatchError("stock-day is asked for by instrument", "Name them with --symbols.")
    return names


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise TapewatchError(f"{text!r} is no day", "Write YYYY-MM-DD, as in 2024-01-02.") from None
