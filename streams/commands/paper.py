"""`tapewatch paper`: start, stop and kill paper trading, switch instruments, see where it stands."""

import argparse
import sys

import msgspec

from streams.paper import replay
from streams.paper.control import CommandStatus, PaperState, standing, tell
from tapewatch.contract import topics
from tapewatch.market_log.registry import Registry
from tapewatch.settings import Settings

_EPILOG = """examples:
  tapewatch paper start --why 'new week'
  tapewatch paper off 2330.XTAI --why 'results tonight'
  tapewatch paper kill --why 'wrong prices'
  tapewatch paper status
  tapewatch paper verify
"""

_MEANING = {
    "start": "trade on signals",
    "stop": "no new orders; those that stand stay",
    "kill": "the kill switch: no new orders, and every order is cancelled",
    "on": "trade an instrument automatically",
    "off": "no longer; its orders are cancelled",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tapewatch paper`."""
    parser.epilog = _EPILOG
    acts = parser.add_subparsers(dest="act", metavar="start|stop|kill|on|off|status|verify", required=True)
    for name, meaning in _MEANING.items():
        act = acts.add_parser(name, help=meaning, description=meaning)
        if name in ("on", "off"):
            act.add_argument("instrument", metavar="INSTRUMENT")
        act.add_argument("--why", required=True, metavar="TEXT", help="reason, kept in the audit log")
        act.add_argument("--who", default="", metavar="NAME", help="who does it (default: the operating system's user)")
        act.add_argument(
            "--wait", type=float, default=5.0, metavar="SECONDS", help="wait so long for it to take effect (default: 5)"
        )
        act.add_argument("--json", action="store_true", help="one JSON document on standard output")
        act.epilog = f"example: tapewatch paper {name} {'2330.XTAI ' if name in ('on', 'off') else ''}--why 'a test'"
    status = acts.add_parser("status", help="positions, results, orders that stand, switches")
    status.add_argument("--json", action="store_true", help="one JSON document on standard output")
    status.epilog = "example: tapewatch paper status --json"
    verify = acts.add_parser("verify", help="work the books out again from the log, and compare every byte")
    verify.add_argument("--feed", metavar="NAME", help="the books of this feed alone (default: of every feed)")
    verify.add_argument("--json", action="store_true", help="one JSON document on standard output")
    verify.epilog = "example: tapewatch paper verify --feed binance"


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Do what was asked."""
    if args.act == "status":
        state = standing(settings)
        print(msgspec.json.encode(state).decode() if args.json else _told(state))
        return 0
    if args.act == "verify":
        return _verify(args, settings)
    given = tell(settings, args.act, getattr(args, "instrument", ""), args.why, args.who, args.wait)
    if args.json:
        print(msgspec.json.encode(given).decode())
    else:
        print(_effect(args.act, given), file=sys.stderr)
    return 0


def _verify(args: argparse.Namespace, settings: Settings) -> int:
    """Compare every market partition; 1 where a record is lost, doubled, foreign or out of order."""
    registry = Registry(settings)
    registry.refresh()
    chosen = [kept for kept in replay.books(settings) if args.feed in (None, topics.feed_of(kept.market[0]))]
    found = [replay.verify(settings, registry, kept) for kept in chosen]
    registry.close()
    if args.json:
        print(msgspec.json.encode([{**msgspec.structs.asdict(each), "holds": each.holds} for each in found]).decode())
    for each in () if args.json else found:
        counts = ", ".join(f"{count:,} {topic}" for topic, count in each.records.items())
        verdict = (
            "the same bytes"
            if each.holds
            else (
                f"{each.lost} lost, {each.doubled} doubled, {each.foreign} foreign"
                f"{'' if each.in_order else ', another order'}"
            )
        )
        print(f"{each.topic}[{each.partition}] to offset {each.next_offset:,}: {counts}; {verdict}")
    return 0 if all(each.holds for each in found) else 1


def _effect(act: str, given: CommandStatus) -> str:
    if given.of and given.taken == given.of:
        return f"{act}: in effect in all {given.of} partitions"
    return (
        f"{act}: in effect in {given.taken} of {given.of} partitions. The others take it as soon as they are worked on "
        "(tapewatch run paper)."
    )


def _told(state: PaperState) -> str:
    """Positions, then partitions, then switches."""
    lines = [f"{'instrument':<24}{'position':>14}{'result':>16}{'fees':>12}"]
    lines += [
        f"{each.instrument:<24}{each.position:>14,.8g}{each.result:>12,.2f} {each.currency:<3}{each.fees:>12,.2f}"
        for each in state.accounts
    ]
    lines.append(f"{'partition':<30}{'state':<8}{'market offset':>14}{'standing':>10}{'orders':>8}{'fills':>8}")
    lines += [
        f"{f'{each.topic}[{each.partition}]':<30}{each.running:<8}{each.next_offset:>14,}{each.standing:>10,}"
        f"{each.orders:>8,}{each.fills:>8,}"
        for each in state.partitions
    ]
    for name, on in sorted(state.switched.items()):
        lines.append(f"{name} is switched {'on' if on else 'off'}")
    skipped = ", ".join(f"{count:,} {reason}" for reason, count in sorted(state.skipped.items()))
    return "\n".join([*lines, f"signals without an order: {skipped or 'none'}"])
