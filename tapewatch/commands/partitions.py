"""`tapewatch partitions`: which partitions and instruments of a feed are hot, and what to do about it."""

import argparse

import msgspec

from tapewatch.errors import TapewatchError
from tapewatch.logs import printable
from tapewatch.market_log import hot_partitions
from tapewatch.market_log.hot_partitions import FeedLoad
from tapewatch.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("feed", nargs="?", default="", metavar="FEED", help="such as binance (default: every feed)")
    parser.add_argument("--seconds", type=float, default=600.0, help="how far back to look (default: 600)")
    parser.add_argument("--top", type=int, default=5, metavar="N", help="hottest instruments named (default: 5)")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.epilog = "example: tapewatch partitions binance --seconds 60"


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Report on the feed, or on each; feeds to which nothing was sent are left out where none was named."""
    reports = []
    for feed in [args.feed] if args.feed else hot_partitions.feeds(settings):
        try:
            reports.append(hot_partitions.look(settings, feed, args.seconds, args.top))
        except TapewatchError:
            if args.feed:
                raise
    if args.json:
        print(msgspec.json.encode({"feeds": reports}).decode())
    else:
        print("\n\n".join(map(_text, reports)) or f"no feed was sent anything in the last {args.seconds:.0f} s")
    return 0


def _text(report: FeedLoad) -> str:
    lines = [
        f"{report.topic}  {report.rows_per_s:,.0f} rows/s over {len(report.partitions)} partitions, heaviest "
        f"{report.skew:.2f} times the mean ({report.sampled_s:,.0f} s sampled)",
        "partition     rows/s   share       kB/s  instruments  engine time  us/row    behind  engine",
    ]
    for each in report.partitions:
        share = "-" if each.engine_share is None else f"{each.engine_share:.1%}"
        cost = "-" if each.engine_us_per_row is None else f"{each.engine_us_per_row:.2f}"
        lines.append(
            f"{each.partition:>9}{each.rows_per_s:>11,.0f}{each.share:>8.1%}{each.bytes_per_s / 1000:>11,.1f}"
            f"{each.instruments:>13,}{share:>13}{cost:>8}{each.behind:>10,}  {printable(each.instance)}"
        )
    lines += [
        f"  {printable(each.instrument):<20} {each.rows_per_s:>10,.1f} rows/s  {each.share:>6.1%}  partition "
        f"{each.partition}"
        for each in report.hottest
    ]
    lines.append(
        "with "
        + ", ".join(f"{each.partitions}: {each.skew:.2f}" for each in report.others)
        + " partitions the heaviest would have so many times the mean"
    )
    return "\n".join([*lines, *(f"-> {line}" for line in report.advice)])
