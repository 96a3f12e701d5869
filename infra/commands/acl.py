"""`tapewatch acl`: the least rights of each service at Kafka, given to its account; accounts and their passwords."""

import argparse
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec

from tapewatch.access import accounts, acls, services
from tapewatch.access.services import SERVICES, Right
from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka
from tapewatch.settings import Settings
from tapewatch.settings.kafka import password_file

_EPILOG = """examples:
  tapewatch acl list --service engine
  tapewatch acl accounts --folder /run/secrets/kafka      # one a service, its password in a file
  tapewatch acl apply --feed twse --feed upbit --dry-run
  tapewatch acl apply --service engine=surveillance-engine
  tapewatch acl rotate engine --folder /run/secrets/kafka
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `acl`."""
    parser.epilog = _EPILOG
    acts = parser.add_subparsers(dest="act", metavar="list|apply|accounts|rotate", required=True)
    listing = acts.add_parser("list", help="what each service needs; asks no broker")
    giving = acts.add_parser("apply", help="make the shared topics, and give each service's account what it needs")
    opening = acts.add_parser("accounts", help="make an account for each service, with a random password in a file")
    rotating = acts.add_parser("rotate", help="new passwords: live processes take them from their files")
    for act in (listing, giving):
        act.add_argument(
            "--service",
            action="append",
            metavar="NAME[=ACCOUNT]",
            help="only this one, with an account of another name; may be given again (default: all)",
        )
        act.add_argument(
            "--feed",
            action="append",
            default=[],
            metavar="NAME",
            help="feeds that may be written to; may be given again (default: every one there will be)",
        )
    giving.add_argument(
        "--reads",
        action="append",
        default=[],
        metavar="TOPIC",
        help="a topic of others that it may read too, such as a bridge's input; may be given again",
    )
    giving.add_argument("--prune", action="store_true", help="take away what the service does not need")
    giving.add_argument("--dry-run", action="store_true", help="only say what would change")
    opening.add_argument("--service", action="append", metavar="NAME", help="only this one; may be given again")
    rotating.add_argument("names", nargs="+", metavar="ACCOUNT", help="account, as its file is named")
    for act in (opening, rotating):
        act.add_argument("--folder", type=Path, required=True, metavar="DIR", help="where ACCOUNT.password lies")
    for act in (listing, giving, opening, rotating):
        act.epilog = _EPILOG
        act.formatter_class = argparse.RawDescriptionHelpFormatter
        act.add_argument("--json", action="store_true", help="one JSON document on standard output")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """List, give or open."""
    act = {"list": _list, "apply": _apply, "accounts": _accounts, "rotate": _rotate}[args.act]
    document, lines = act(args, settings)
    print(msgspec.json.encode(document).decode() if args.json else "\n".join(lines))
    return 0


def _chosen(words: list[str] | None) -> dict[str, str]:
    """Account by service."""
    pairs = [word.partition("=") for word in words or SERVICES]
    return {service: account or service for service, _, account in pairs}


def _list(args: argparse.Namespace, settings: Settings) -> tuple[Any, list[str]]:
    found = {name: services.rights(settings, name, args.feed) for name in _chosen(args.service)}
    document = {"services": found, "every_service": services.seen(settings)}
    lines = []
    for name, wanted in found.items():
        lines += [f"{name}: {SERVICES[name].runs}", *_grouped(wanted)]
    return document, [*lines, "every service", *_grouped(services.seen(settings))]


def _grouped(wanted: list[Right]) -> list[str]:
    """One line an operation and kind."""
    lines: dict[str, list[str]] = defaultdict(list)
    for right in wanted:
        lines[f"{right.operation} {right.kind.replace('_', ' ')}"].append(right.name + "*" * right.prefix)
    return [f"  {act:24} {' '.join(sorted(names))}" for act, names in lines.items()]


def _apply(args: argparse.Namespace, settings: Settings) -> tuple[Any, list[str]]:
    chosen = _chosen(args.service)
    wanted = {service: acls.principal(account) for service, account in chosen.items()}
    made = []
    specs = services.topics_of_all(settings)
    if args.dry_run:
        there = kafka.existing_topics(kafka.admin(settings))
        made = [spec.name for spec in specs if spec.name not in there]
    else:
        made = kafka.create_topics(settings, specs)
    changes = acls.plan(settings, wanted, args.feed, args.prune, args.reads)
    if not args.dry_run:
        acls.carry_out(settings, changes)
    given, taken = sum(len(each.given) for each in changes), sum(len(each.taken) for each in changes)
    lines = [f"{each.principal}: {'+' if plus else '-'} {right}" for each in changes
             for plus, rights in ((True, each.given), (False, each.taken)) for right in rights]  # fmt: skip
    would = "would be " if args.dry_run else ""
    lines.append(f"{len(made)} topics {would}made, {given} rights {would}given, {taken} {would}taken")
    return {"dry_run": args.dry_run, "topics": made, "changes": changes}, lines


def _accounts(args: argparse.Namespace, settings: Settings) -> tuple[Any, list[str]]:
    client = kafka.admin(settings)
    there, made = accounts.known(client), []
    for name in _chosen(args.service):
        services.rights(settings, name)
        path = password_file(args.folder, name)
        if name in there and path.exists():
            continue
        if name in there:
            hint = f"Put its file there, or give it a new one: `tapewatch acl rotate {name}`."
            raise TapewatchError(f"the account {name} has a password that is not in {path}", hint)
        _renew(client, name, path)
        made.append(name)
    return {"made": made, "folder": str(args.folder)}, [f"{len(made)} accounts made, passwords in {args.folder}"]


def _rotate(args: argparse.Namespace, settings: Settings) -> tuple[Any, list[str]]:
    client = kafka.admin(settings)
    unknown = [name for name in args.names if name not in accounts.known(client)]
    if unknown:
        raise TapewatchError(f"there is no account {', '.join(unknown)}", "Make it: `tapewatch acl accounts`.")
    for name in args.names:
        _renew(client, name, password_file(args.folder, name))
        print(f"{name}: a new password", file=sys.stderr)
    return {"rotated": args.names, "folder": str(args.folder)}, [f"{len(args.names)} accounts have a new password"]


def _renew(client: Any, name: str, path: Path) -> None:
    """The broker first: who is refused meanwhile tries again, and finds the new password in the file."""
    password = accounts.new_password()
    accounts.put(client, {name: password})
    accounts.write_password(path, password)
