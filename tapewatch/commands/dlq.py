"""`tapewatch dlq list | show | replay`: what was refused, why, and sending chosen letters once more."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from itertools import groupby
from typing import Any

from confluent_kafka import KafkaException

from tapewatch.clock import WALL
from tapewatch.commands import dlq_text
from tapewatch.dlq import replaying
from tapewatch.dlq.letter import Letter, Selection, found, place_of
from tapewatch.dlq.replaying import Order
from tapewatch.dlq.routes import Plan
from tapewatch.errors import TapewatchError
from tapewatch.proof import audit
from tapewatch.rfc3339 import from_rfc3339
from tapewatch.settings import Settings

SHOWN = 10
AT_MOST = 10_000

_EPILOG = """examples:
  tapewatch dlq list
  tapewatch dlq list --topic market.binance --since 2026-01-05T00:00:00Z --json
  tapewatch dlq show --reason unregistered_instrument
  tapewatch dlq show market.binance.dlq@0.17
  tapewatch dlq replay --reason unregistered_instrument --why 'registered since' --dry-run
  tapewatch dlq replay market.binance.dlq@0.17 market.binance.dlq@0.19 --why 'registered since' --yes
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tapewatch dlq`."""
    parser.epilog = _EPILOG
    acts = parser.add_subparsers(dest="act", metavar="list|show|replay", required=True)
    listing = acts.add_parser("list", help="how many letters, by topic, who refused them and reason")
    listing.epilog = "example: tapewatch dlq list --topic market.binance"
    show = acts.add_parser("show", help="single letters: what was refused, where it came from, whether it was replayed")
    show.epilog = "example: tapewatch dlq show --reason crossed_quote --count 3"
    again = acts.add_parser("replay", help="send letters once more, none twice, in their order")
    again.epilog = "example: tapewatch dlq replay --reason unregistered_instrument --why 'registered since' --dry-run"
    for each in (show, again):
        each.add_argument("ids", nargs="*", metavar="ID", help="letters: TOPIC.dlq@PARTITION.OFFSET")
    for each in (listing, show, again):
        _filters(each)
        each.add_argument("--json", action="store_true", help="one JSON document on standard output")
    show.add_argument("--count", type=int, default=SHOWN, metavar="N", help=f"at most so many (default: {SHOWN})")
    again.add_argument(
        "--count", type=int, default=AT_MOST, metavar="N", help=f"at most so many, oldest first (default: {AT_MOST:,})"
    )
    again.add_argument("--why", required=True, metavar="TEXT", help="reason, kept for good")
    again.add_argument("--who", default="", metavar="ACCOUNT", help="who (default: the operating system's user)")
    again.add_argument("--dry-run", action="store_true", help="say what would be sent, and what not and why")
    again.add_argument("--yes", action="store_true", help="do not ask")


def _filters(act: argparse.ArgumentParser) -> None:
    act.add_argument("--topic", default="", metavar="TOPIC", help="only what was refused from this topic")
    act.add_argument("--reason", default="", metavar="REASON", help="only this reason; * and ? stand for any text")
    act.add_argument("--by", default="", metavar="WHO", help="only what engine, postgres, elasticsearch, ... refused")
    act.add_argument("--instrument", default="", metavar="ID", help="only what names this instrument")
    act.add_argument("--since", default="", metavar="TIME", help="refused at this time or later, RFC 3339")
    act.add_argument("--until", default="", metavar="TIME", help="refused before this time, RFC 3339")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Do what was asked; 1 where a letter that was named could not be replayed."""
    if getattr(args, "count", 1) < 1:
        raise TapewatchError("--count is 1 or more", "Give how many letters at most.")
    act = {"list": _list, "show": _show, "replay": _replay}[args.act]
    try:
        return act(args, settings)
    except KafkaException as error:
        hint = "Run `tapewatch status`, then the same command again: nothing is replayed twice."
        raise TapewatchError(f"Kafka does not do its part: {error.args[0]}", hint) from error


def _selection(args: argparse.Namespace) -> Selection:
    """What the arguments ask for."""
    return Selection(
        topic=args.topic,
        reason=args.reason,
        by=args.by,
        instrument=args.instrument,
        since=_time(args.since) if args.since else 0,
        until=_time(args.until) if args.until else 2**62,
        places=tuple(map(place_of, getattr(args, "ids", ()))),
    )


def _time(text: str) -> int:
    try:
        return from_rfc3339(text)
    except ValueError as error:
        raise TapewatchError(f"{text!r} is no time", "Give RFC 3339, such as 2026-01-05T00:00:00Z.") from error


def _list(args: argparse.Namespace, settings: Settings) -> int:
    """Counts."""
    replayed = replaying.known(settings)
    counted = dlq_text.LetterCounts()
    progress = dlq_text.Progress()
    for letter in found(settings, _selection(args), progress.read):
        counted.add(letter, replayed.of(letter) is not None)
    progress.end()
    if args.json:
        print(json.dumps({"groups": counted.trees()}))
    else:
        print("\n".join(counted.lines(WALL.now())))
    return 0


def _show(args: argparse.Namespace, settings: Settings) -> int:
    """Letters, oldest first."""
    replayed, progress = replaying.known(settings), dlq_text.Progress()
    shown: list[Letter] = []
    more = False
    for letter in found(settings, _selection(args), progress.read):
        more = len(shown) >= args.count
        if more:
            break
        shown.append(letter)
    progress.end()
    if args.json:
        print(json.dumps({"letters": [dlq_text.tree(each, replayed.of(each)) for each in shown], "more": more}))
        return 0
    for each in shown:
        print("\n".join(dlq_text.lines(each, replayed.of(each))))
    if not shown:
        print("no dead letters")
    if more:
        print(f"... more: give --count above {args.count}, or narrower filters")
    return 0


def _replay(args: argparse.Namespace, settings: Settings) -> int:
    """Plan, ask, send."""
    if not args.why.strip():
        raise TapewatchError("--why is empty", "Say why: it is kept in the audit log and beside every replayed letter.")
    selection, progress = _selection(args), dlq_text.Progress()
    if selection == Selection():
        raise TapewatchError("nothing is selected", "Give ids, or a filter such as --reason unregistered_instrument.")
    replayed = replaying.known(settings)
    chosen: list[Letter] = []
    before: list[Letter] = []
    more = False
    for letter in found(settings, selection, progress.read):
        if replayed.of(letter) is not None:
            before.append(letter)
            continue
        more = len(chosen) >= args.count
        if more:
            break
        chosen.append(letter)
    planned = replaying.plan(settings, chosen, progress.looked_at)
    progress.end()
    planned.done += before
    if not args.dry_run and planned.sendings:
        if not args.yes:
            _confirm(planned, args.json)
        order = Order(args.who or audit.user(), args.why.strip(), _asked(args))
        planned = _sent(settings, chosen, order, progress)
        planned.done += before
    print(
        json.dumps(dlq_text.outcome(planned, args.dry_run, more))
        if args.json
        else "\n".join(dlq_text.outcome_lines(planned, args.dry_run, more))
    )
    named = set(selection.places)
    return int(any(letter.place in named for letter, _ in planned.refused))


def _sent(settings: Settings, chosen: Sequence[Letter], order: Order, progress: dlq_text.Progress) -> Plan:
    """Replay topic by topic; what was done in all."""
    whole = Plan([], [], [])
    for topic, letters in groupby(chosen, lambda letter: letter.place.topic):
        done = replaying.replay(settings, list(letters), order, partial(progress.sent, topic))
        whole.sendings += done.sendings
        whole.refused += done.refused
        whole.done += done.done
    progress.end()
    return whole


def _confirm(planned: Plan, is_json: bool) -> None:
    """Ask a person; TapewatchError where there is none, or the answer is no."""
    if is_json or not sys.stdin.isatty():
        hint = "Give --yes to do it, --dry-run to see it."
        raise TapewatchError(f"{planned.letters} letters would be replayed", hint)
    print("\n".join(dlq_text.outcome_lines(planned, True, False)))
    if input(f"replay {planned.letters} letters? [y/N] ").strip().lower() not in ("y", "yes"):
        raise TapewatchError("nothing was replayed", "Answer y, or give --yes.")


def _asked(args: argparse.Namespace) -> dict[str, Any]:
    """The selection as it goes into the audit log."""
    chosen = asdict(_selection(args))
    return {
        "ids": list(args.ids),
        **{name: getattr(args, name) for name in chosen if isinstance(getattr(args, name, None), str)},
    }
