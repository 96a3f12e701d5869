"""`tapewatch chaos`: a site of its own under faults, and what was lost, twice there or different."""

import argparse
import json

import msgspec

from infra.chaos.faults import KINDS
from infra.chaos.run import Wishes, run_chaos, told
from infra.chaos.site import OPTIONAL, Plan
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

_EPILOG = """examples:
  tapewatch chaos --list
  tapewatch chaos --minutes 2 --seed 7
  tapewatch chaos --minutes 30 --seed 1 --rate 8000 --per-minute 4.5 --json
  tapewatch chaos --minutes 2 --faults kill_engine,restart_broker --without elasticsearch,evidence --keep

exit status: 0 nothing lost, twice there or different; 1 otherwise
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `chaos`."""
    usual, site = Wishes(), Plan()
    parser.add_argument("--list", action="store_true", help="show the kinds of faults")
    parser.add_argument("--minutes", type=_positive, default=usual.seconds / 60, metavar="M", help="under faults")
    parser.add_argument("--seed", type=int, default=site.seed, help=f"of market and schedule (default: {site.seed})")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document")
    parser.add_argument(
        "--rate", type=_positive, default=site.rows_per_second, metavar="ROWS_PER_S",
        help=f"of the market, a session's mean (default: {site.rows_per_second:.0f})",
    )  # fmt: skip
    parser.add_argument(
        "--instruments", type=int, default=site.instruments, metavar="N", help=f"(default: {site.instruments})"
    )
    parser.add_argument("--faults", type=_words, default=(), metavar="KIND,...", help="these only (default: all)")
    parser.add_argument(
        "--per-minute", type=_positive, default=usual.per_minute, metavar="N",
        help=f"faults (default: {usual.per_minute:g})",
    )  # fmt: skip
    parser.add_argument("--keep", action="store_true", help="leave the folder with logs and topics")
    parser.add_argument(
        "--database-mb", type=int, default=site.database_mb, metavar="MIB", help="of PostgreSQL's tmpfs"
    )
    parser.add_argument(
        "--without", type=_words, default=(), metavar="PART,...", help=f"leave out any of {', '.join(OPTIONAL)}"
    )
    parser.epilog = _EPILOG


def run(args: argparse.Namespace, _: Settings) -> int:
    """List the kinds, or run; the settings at hand are those of servers that must not be hit."""
    if args.list:
        kinds = [{"kind": kind.name, "sentence": kind.sentence} for kind in KINDS.values()]
        lines = [f"{each['kind']:<28} {each['sentence']}" for each in kinds]
        print(json.dumps(kinds) if args.json else "\n".join(lines))
        return 0
    unknown = set(args.without) - set(OPTIONAL)
    if unknown:
        raise TapewatchError(f"--without {', '.join(sorted(unknown))}?", f"It takes any of {', '.join(OPTIONAL)}.")
    plan = Plan(
        seed=args.seed,
        instruments=args.instruments,
        rows_per_second=args.rate,
        without=frozenset(args.without),
        database_mb=args.database_mb,
    )
    result = run_chaos(Wishes(args.minutes * 60, args.per_minute, tuple(args.faults), args.keep, plan), told)
    print(msgspec.json.encode(result).decode() if args.json else "\n".join(result.lines()), flush=True)
    return 0 if result.sound else 1


def _positive(text: str) -> float:
    """A number above 0."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError("a number above 0")
    return number


def _words(text: str) -> tuple[str, ...]:
    """A comma-separated list."""
    return tuple(word.strip() for word in text.split(",") if word.strip())
