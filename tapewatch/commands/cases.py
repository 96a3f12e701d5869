"""`tapewatch cases`: the queue, one case, and everything that people do with cases and suppression rules."""

import argparse
import getpass
from typing import Any, get_args

import msgspec

from tapewatch.clock import NANOS, WALL
from tapewatch.commands import case_text
from tapewatch.contract.case_messages import CaseState, Disposition
from tapewatch.contract.message import Severity
from tapewatch.contract.messages import CaseAnswer, CaseCommand, Suppression
from tapewatch.desk import case_client, case_log
from tapewatch.desk.case_client import CaseClient
from tapewatch.errors import TapewatchError
from tapewatch.logs import printable
from tapewatch.rfc3339 import from_rfc3339
from tapewatch.settings import Settings

_EPILOG = """examples:
  tapewatch cases list
  tapewatch cases show 3f2a91
  tapewatch cases assign 3f2a91 ann
  tapewatch cases note 3f2a91 --why 'spoke to the broker'
  tapewatch cases close 3f2a91 false_positive --why 'index rebalancing'
  tapewatch cases approve 3f2a91 --who bob
  tapewatch cases suppress --scenario ramping --venue XTAI --hours 6 --why 'index rebalancing'
  tapewatch cases approve-rule 8c01d2 --who bob
"""

_ON_CASES = {
    "assign": "give a case to an account, or to nobody",
    "review": "begin to look at a case",
    "escalate": "hand a case up",
    "note": "write something down",
    "close": "want to close a case; somebody else has to approve it",
    "approve": "approve a close that waits",
    "reject": "reject, or take back, a close that waits",
    "reopen": "work on a closed case again",
}
_ON_RULES = {
    "approve-rule": ("approve_suppression", "approve a suppression rule that somebody else proposed"),
    "end-rule": ("end_suppression", "end a suppression rule, or reject a proposed one"),
}
_EXAMPLES = {
    "assign": "3f2a91 ann",
    "review": "3f2a91",
    "escalate": "3f2a91 --why 'pattern over three days'",
    "note": "3f2a91 --why 'spoke to the broker'",
    "close": "3f2a91 false_positive --why 'index rebalancing'",
    "approve": "3f2a91 --who bob",
    "reject": "3f2a91 --why 'look at the accounts first'",
    "reopen": "3f2a91 --why 'it happened again'",
    "suppress": "--scenario ramping --venue XTAI --hours 6 --why 'index rebalancing'",
    "approve-rule": "8c01d2 --who bob",
    "end-rule": "8c01d2 --why 'the rebalancing is over'",
}
_WHY = frozenset({"escalate", "note", "close", "reject", "reopen", "suppress", "end-rule"})


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tapewatch cases`."""
    parser.epilog = _EPILOG
    acts = parser.add_subparsers(dest="act", metavar="list|show|rules|ACTION", required=True)
    _reading(acts)
    for name, meaning in _ON_CASES.items():
        act = _acting(acts, name, meaning)
        act.add_argument("id", metavar="CASE", help="id of the case, or its beginning")
        if name == "assign":
            act.add_argument("owner", metavar="ACCOUNT", nargs="?", default="", help="left out: nobody")
        if name == "close":
            act.add_argument("disposition", choices=get_args(Disposition), help="outcome")
        act.add_argument("--expected", type=int, default=-1, metavar="REVISION", help="refuse it if the case has moved")
    _suppressing(acts)


def _reading(acts: Any) -> None:
    listing = acts.add_parser("list", help="the queue: open cases, most risk first")
    listing.add_argument("--all", action="store_true", help="closed cases too")
    listing.add_argument("--state", choices=get_args(CaseState), help="in this state only")
    listing.add_argument("--owner", metavar="ACCOUNT", help="of this account only")
    listing.add_argument("--limit", type=int, default=50, metavar="N", help="at most so many (default: 50)")
    listing.epilog = "example: tapewatch cases list --owner ann --json"
    show = acts.add_parser("show", help="one case: alerts and history")
    show.add_argument("id", metavar="CASE", help="id of the case, or its beginning")
    show.epilog = "example: tapewatch cases show 3f2a91"
    rules = acts.add_parser("rules", help="suppression rules, newest first")
    rules.epilog = "example: tapewatch cases rules"
    for each in (listing, show, rules):
        each.add_argument("--json", action="store_true", help="one JSON document on standard output")


def _acting(acts: Any, name: str, meaning: str) -> argparse.ArgumentParser:
    """A parser of something that is done, with who does it and why."""
    act: argparse.ArgumentParser = acts.add_parser(name, help=meaning, description=meaning)
    act.add_argument("--why", required=name in _WHY, default="", metavar="TEXT", help="reason or text, kept for good")
    act.add_argument("--who", default="", metavar="ACCOUNT", help="who does it (default: the operating system's user)")
    act.add_argument("--wait", type=float, default=10.0, metavar="SECONDS", help="for the answer (default: 10)")
    act.add_argument("--command-id", default="", metavar="ID", help="of an earlier command, to send it again")
    act.add_argument("--json", action="store_true", help="one JSON document on standard output")
    act.epilog = f"example: tapewatch cases {name} {_EXAMPLES[name]}"
    return act


def _suppressing(acts: Any) -> None:
    rule = _acting(acts, "suppress", "propose a rule by which alerts raise nobody; somebody else has to approve it")
    for name in ("scenario", "instrument", "venue"):
        rule.add_argument(f"--{name}", default="", metavar="NAME", help=f"only this {name}")
    rule.add_argument("--below", choices=get_args(Severity), default="", help="only alerts below this severity")
    rule.add_argument("--starts", metavar="TIME", help="RFC 3339 (default: now)")
    end = rule.add_mutually_exclusive_group(required=True)
    end.add_argument("--expires", metavar="TIME", help="RFC 3339")
    end.add_argument("--hours", type=float, metavar="N", help="for so long")
    for name, (_, meaning) in _ON_RULES.items():
        _acting(acts, name, meaning).add_argument("id", metavar="RULE", help="id of the rule, or its beginning")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Show, or do what was asked; 1 where it was refused."""
    if args.act in ("list", "show", "rules"):
        return _show(args, case_log.read(settings))
    order = _order(args, settings)
    client = CaseClient(settings)
    try:
        answer = client.send(order, args.wait)
    finally:
        client.close()
    print(msgspec.json.encode(answer).decode() if args.json else _told(order, answer))
    return 0 if answer.accepted else 1


def _show(args: argparse.Namespace, log: case_log.CaseLog) -> int:
    shown: Any
    if args.act == "show":
        shown = log.case(args.id)
        text = case_text.one(shown)
    elif args.act == "rules":
        shown = sorted(log.rules.values(), key=lambda rule: rule.created, reverse=True)
        text = case_text.rules(shown)
    else:
        wanted = [
            case
            for case in log.cases.values()
            if (args.all or args.state == "closed" or case.state != "closed")
            and args.state in (None, case.state)
            and args.owner in (None, case.owner)
        ]
        shown = sorted(wanted, key=lambda case: (-case.risk, case.opened, case.id))[: args.limit]
        text = case_text.queue(shown)
    print(msgspec.json.encode(shown).decode() if args.json else text)
    return 0


def _order(args: argparse.Namespace, settings: Settings) -> CaseCommand:
    """The command that the words ask for."""
    who = args.who or getpass.getuser()
    fields: dict[str, Any] = {"why": args.why}
    if args.command_id:
        fields["id"] = args.command_id
    if args.act == "suppress":
        return case_client.command("suppress", who, suppression=_rule(args, who), **fields)
    log = case_log.read(settings)
    if args.act in _ON_RULES:
        return case_client.command(_ON_RULES[args.act][0], who, subject=log.rule(args.id).id, **fields)
    more = {name: getattr(args, name) for name in ("owner", "disposition") if hasattr(args, name)}
    return case_client.command(args.act, who, case=log.case(args.id).id, expected=args.expected, **fields, **more)


def _rule(args: argparse.Namespace, who: str) -> Suppression:
    try:
        starts = from_rfc3339(args.starts) if args.starts else WALL.now()
        expires = from_rfc3339(args.expires) if args.expires else starts + int(args.hours * 3600 * NANOS)
    except ValueError as error:
        raise TapewatchError(str(error), "Give times as 2026-01-31T09:00:00Z.") from error
    scope = {name: getattr(args, name) for name in ("scenario", "instrument", "venue", "below")}
    return case_client.suppression(who, args.why, starts, expires, **scope)


def _told(order: CaseCommand, answer: CaseAnswer) -> str:
    what = order.case or order.subject or (order.suppression.id if order.suppression else "")
    action = order.action.replace("_", " ")
    if answer.accepted:
        return f"{action} {what}: done, revision {answer.revision}"
    return f"{action} {what}: refused: {printable(answer.reason)}"
