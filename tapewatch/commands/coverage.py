"""`tapewatch coverage`: what of a day was watched, and trades seen against the venues' own totals."""

import argparse

import msgspec
import sqlalchemy as sa

from tapewatch.clock import WALL
from tapewatch.desk.coverage import Day, InstrumentCoverage, record
from tapewatch.errors import TapewatchError
from tapewatch.logs import printable
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--day", default="", metavar="YYYY-MM-DD", help="UTC day (default: today)")
    parser.add_argument("--instrument", default="", metavar="ID", help="of this instrument only")
    parser.add_argument("--no-totals", action="store_true", help="leave out the venues' totals: much faster")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.epilog = "example: tapewatch coverage --day 2026-01-30 --instrument 2330.XTAI"


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Show the coverage record."""
    day = args.day or to_rfc3339(WALL.now())[:10]
    engine = sa.create_engine(settings.postgres_url(), poolclass=sa.NullPool, connect_args={"connect_timeout": 10})
    try:
        with engine.begin() as session:
            session.execute(sa.text("SET TRANSACTION READ ONLY"))
            found = record(session, day, args.instrument, not args.no_totals)
    except (sa.exc.OperationalError, sa.exc.ProgrammingError) as error:
        raise TapewatchError(
            f"PostgreSQL: {str(error.orig).strip()}", "Run `tapewatch db migrate`, or `tapewatch status`."
        ) from error
    if args.json:
        print(msgspec.json.encode(found).decode())
    else:
        _show(found)
    return 0


def _show(found: Day) -> None:
    print(f"{found.day} (UTC)  {len(found.instruments)} instruments")
    for each in found.instruments:
        print("  ".join(printable(word) for word in _words(each)))


def _words(each: InstrumentCoverage) -> list[str]:
    share = "-" if each.share is None else f"{each.share:.2%}"
    missed = ", ".join(f"{seconds:,} s {reason}" for reason, seconds in each.missed.items()) or "nothing missed"
    words = [
        f"{each.instrument:<18}", each.topic, f"{each.watched:,} s watched ({share})", missed,
        f"{each.trades:,} trades, volume {each.volume:g}",
    ]  # fmt: skip
    for total in each.totals:
        told = "agrees" if total.agrees else f"DIFFERS by {total.difference:+.4%}"
        counted = "" if total.venue_trades is None else f", {total.seen_trades} of {total.venue_trades} trades"
        words.append(f"venue's {total.source}: volume {total.venue:g}{counted}: {told}")
    return words
